"""What is kept of a file's tags, and how they are read."""

from __future__ import annotations

import struct

import pytest

from resample.formats.containers import MP3, WAV
from resample.formats.tags import decode_text, kept_tags, own_tags, unreadable_covers


def _id3v24(*frames: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + bytes((0, 0, len(data) >> 7, len(data) & 127)) + b"\0\0" + data for name, data in frames)
    return b"ID3\4\0\0" + bytes((0, 0, len(body) >> 7, len(body) & 127)) + body


def _own(content: bytes, container: object = MP3) -> dict[str, str]:
    return own_tags(lambda offset, length: content[offset : offset + length], len(content), container)  # type: ignore[arg-type]


def test_what_describes_the_work_stays_and_nothing_else() -> None:
    spoken = {
        "TITLE": "Holiday",
        "ALBUMARTIST": "Everyone",
        "lyrics-eng": "La la",
        "comment": "a note",
        "replaygain_track_gain": "-6.2 dB",
        "com.apple.quicktime.location.ISO6709": "+12.3456+065.4321/",
        "location": "+12.3456+065.4321/",
        "com.apple.quicktime.model": "Phone Model 99",
        "make": "Maker",
        "iTunSMPB": " 00000000 00000840",
        "TLEN": "183000",
        "encoded_by": "ZOOM H6",
        "creation_time": "2001-02-03T04:05:06",
        "purchase_account": "me@example.com",
    }

    tags = kept_tags(spoken, {"title": "Better"})

    assert tags.values == {
        "title": "Better",
        "album_artist": "Everyone",
        "comment": "a note",
        "lyrics": "La la",
        "replaygain_track_gain": "-6.2 dB",
    }
    assert tags.lyrics_language == "eng"


def test_all_values_of_one_frame() -> None:
    content = _id3v24((b"TPE1", b"\3First\0Second\0Third"), (b"TCON", b"\1" + "\ufeffRock\0Pop".encode("utf-16-le")))

    assert _own(content) == {"artist": "First; Second; Third", "genre": "Rock; Pop"}


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("Café Señor".encode("cp1252"), "Café Señor"),
        ("Björk Müller".encode("latin-1"), "Björk Müller"),
        ("“Œuvre” – €".encode("cp1252"), "“Œuvre” – €"),
        ("Ärger im Çay".encode("cp1252"), "Ärger im Çay"),
        ("さくら さくら".encode("cp932"), "さくら さくら"),
        ("ラジオ Take 2".encode("cp932"), "ラジオ Take 2"),
        ("東京".encode("cp932"), "東京"),
        ("東京 2".encode("cp932"), "東京 2"),
        ("élève".encode("cp1252"), "élève"),
        ("ça".encode("cp1252"), "ça"),
        ("ÄÖÜ".encode("cp1252"), "ÄÖÜ"),
        ("¡¡".encode("cp1252"), "¡¡"),
        ("ßß".encode("cp1252"), "ßß"),
        ("ñoño".encode("cp1252"), "ñoño"),
        ("5€ + 3€".encode("cp1252"), "5€ + 3€"),
        ("Dvořák".encode(), "Dvořák"),
        (b"plain\0rest", "plain"),
        (b"\x81\x8d\x8f", "\x81\x8d\x8f"),
    ],
)
def test_text_of_an_unknown_encoding(encoded: bytes, text: str) -> None:
    assert decode_text(encoded) == text


@pytest.mark.parametrize("order", ["<", ">"])
def test_riff_info(order: str) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(order + "I", len(body)) + body + bytes(len(body) & 1)

    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Caf\xe9\0") + chunk(b"ISFT", b"Recorder 5") + chunk(b"ICMT", b"x"))
    body = b"WAVE" + chunk(b"fmt ", bytes(16)) + chunk(b"data", bytes(4)) + info
    content = (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", len(body)) + body

    assert _own(content, WAV) == {"title": "Café", "comment": "x"}


@pytest.mark.parametrize(
    ("picture", "kinds"),
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", ["WebP"]),
        (b"GIF89a" + bytes(20), ["GIF"]),
        (b"\0\0\0\x1cftypavif" + bytes(20), ["HEIF or AVIF"]),
        (b"\xff\xd8\xff\xe0" + bytes(20), []),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), []),
    ],
)
def test_covers_that_players_cannot_show(picture: bytes, kinds: list[str]) -> None:
    content = _id3v24((b"APIC", b"\0image/any\0\3\0" + picture))

    assert unreadable_covers(lambda offset, length: content[offset : offset + length]) == kinds


@pytest.mark.parametrize("length", range(0, 60, 3))
def test_a_tag_that_is_cut_off_has_nothing_in_it(length: int) -> None:
    whole = bytearray(_id3v24((b"TPE1", b"\3First\0Second"), (b"APIC", bytes(40))))
    whole[5] |= 0x40 if length % 2 else 0
    cut = bytes(whole[:length])

    for text in _own(cut).values():
        assert "First; Second".startswith(text)
    assert unreadable_covers(lambda offset, count: cut[offset : offset + count]) == []
