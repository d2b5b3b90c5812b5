"""ID3v2 tags of every layout: large frames, extended headers, frames that are packed, tags of other versions."""

from __future__ import annotations

import pytest

from resample.formats.containers import MP3
from resample.formats.tags import MAX_VALUE_CHARACTERS, id3_frames, kept_tags, own_tags, unreadable_covers


def syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, content: bytes, *, version: int = 4, flags: bytes = b"\0\0") -> bytes:
    size = syncsafe(len(content)) if version == 4 else len(content).to_bytes(4, "big")
    return name + size + flags + content


def tag(*frames: bytes, version: int = 4, flags: int = 0, extended: bytes = b"") -> bytes:
    body = extended + b"".join(frames)
    return b"ID3" + bytes((version, 0, flags)) + syncsafe(len(body)) + body


def names(content: bytes) -> list[tuple[bytes, int]]:
    return [(name, size) for name, _, size in id3_frames(lambda offset, length: content[offset : offset + length])]


def own(content: bytes) -> dict[str, str]:
    return own_tags(lambda offset, length: content[offset : offset + length], len(content), MP3)


ARTISTS = b"\3First\0Second"


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("size", [100, 127, 128, 255, 256, 20_000, 70_000, 3_000_000, 20_000_000])
def test_frames_behind_a_large_one(version: int, size: int) -> None:
    content = tag(
        frame(b"APIC", b"P" * size, version=version), frame(b"TPE1", ARTISTS, version=version), version=version
    )

    assert names(content) == [(b"APIC", size), (b"TPE1", len(ARTISTS))]
    assert own(content) == {"artist": "First; Second"}


@pytest.mark.parametrize(
    ("version", "extended"),
    [(4, syncsafe(200) + bytes(196)), (4, syncsafe(6) + b"\1\0"), (3, (6).to_bytes(4, "big") + bytes(6))],
    ids=["2.4", "2.4, small", "2.3"],
)
def test_an_extended_header_is_skipped(version: int, extended: bytes) -> None:
    """It counts itself in version 2.4, and does not in 2.3."""
    content = tag(frame(b"TPE1", ARTISTS, version=version), version=version, flags=0x40, extended=extended)

    assert own(content) == {"artist": "First; Second"}


@pytest.mark.parametrize(("version", "flags"), [(2, 0), (5, 0), (4, 0x80), (3, 0x80)])
def test_tags_that_are_not_read(version: int, flags: int) -> None:
    assert names(tag(frame(b"TPE1", ARTISTS, version=3), version=version, flags=flags)) == []


def test_frames_that_are_packed_are_left_out() -> None:
    content = tag(
        frame(b"TPE1", ARTISTS, flags=b"\0\x08"), frame(b"TPE2", ARTISTS, flags=b"\x40\0"), frame(b"TCON", ARTISTS)
    )

    assert names(content) == [(b"TPE2", len(ARTISTS)), (b"TCON", len(ARTISTS))]


def test_padding_ends_a_tag() -> None:
    assert names(tag(frame(b"TPE1", ARTISTS), bytes(100), frame(b"TCON", ARTISTS))) == [(b"TPE1", len(ARTISTS))]
    assert names(tag(frame(b"TPE1", ARTISTS)) + frame(b"TCON", ARTISTS)) == [(b"TPE1", len(ARTISTS))], (
        "so does its size"
    )


def test_there_is_a_bound() -> None:
    assert len(names(tag(*[frame(b"TXXX", b"\0a\0b")] * 600))) == 500


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\0A\0B", "A; B"),
        (b"\1" + "\ufeffÄ\0\ufeffB".encode("utf-16-le"), "Ä; B"),
        (b"\2" + "漢\0B".encode("utf-16-be"), "漢; B"),
        (b"\3\xc3\x84\0B", "Ä; B"),
        (b"\7\xc4\0B", "Ä; B"),
        (b"\3A\0\0B\0\0", "A; B"),
        (b"\3A", None),
        (b"\3A\0", None),
        (b"\3", None),
    ],
    ids=["Latin-1", "UTF-16", "UTF-16BE", "UTF-8", "unknown", "empty ones", "one value", "one that ends", "none"],
)
def test_the_values_of_a_frame(content: bytes, found: str | None) -> None:
    assert own(tag(frame(b"TALB", content))) == ({"album": found} if found else {})


@pytest.mark.parametrize(("size", "is_read"), [(MAX_VALUE_CHARACTERS, True), (MAX_VALUE_CHARACTERS + 1, False)])
def test_a_text_without_end_is_not_read(size: int, is_read: bool) -> None:
    content = tag(frame(b"TIT2", b"\3A\0".ljust(size, b"B")))

    assert bool(own(content)) is is_read


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b"\0image/webp\0\3\0" + bytes(40), ["webp"]),
        (b"\0image/x-icon\0\3\0" + bytes(40), ["x-icon"]),
        (b"\0text/html\0\3\0" + bytes(40), []),
        (b"\0\0\3\0II*\0" + bytes(40), ["TIFF"]),
        (b"\0\0\3\0MM\0*" + bytes(40), ["TIFF"]),
        (b"\0\0\3\0BM1234\0\0\0\0" + bytes(40), ["BMP"]),
        (b"\0\0\3\0....ftypheic" + bytes(40), ["HEIF or AVIF"]),
        (b"\0image/webp\0\3\0ab", []),
        (b"\0image/webp\0\3\0abc", ["webp"]),
        (b"\0image/png\0\3\0\x89PNG\r\n" + bytes(40), []),
    ],
    ids=["WebP", "icon", "HTML", "TIFF", "big-endian TIFF", "BMP", "HEIF", "no picture", "a small one", "PNG"],
)
def test_kinds_of_covers(content: bytes, kinds: list[str]) -> None:
    whole = tag(frame(b"APIC", content))

    assert unreadable_covers(lambda offset, length: whole[offset : offset + length]) == kinds


def test_a_value_has_an_end() -> None:
    """A million characters are enough for lyrics."""
    tags = kept_tags({"comment": "x" * (MAX_VALUE_CHARACTERS + 5), "title": " \0 A\0 "}, {})

    assert MAX_VALUE_CHARACTERS >= 1_000_000
    assert len(tags.values["comment"]) == MAX_VALUE_CHARACTERS
    assert tags.values["title"] == "A"


def test_names_of_other_formats() -> None:
    spoken = {
        "Album Artist": "A",
        "TRACKNUMBER": "3",
        "unsynced lyrics": "L",
        "TIT1": "G",
        "Performer-Sort": "P",
        "artist": " ",
    }

    assert kept_tags(spoken, {}).values == {
        "album_artist": "A",
        "track": "3",
        "grouping": "G",
        "artist_sort": "P",
        "lyrics": "L",
    }
