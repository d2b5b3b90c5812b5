"""The tags of a result: ID3v2.3 frames, and putting them into the room that ffmpeg left."""

from __future__ import annotations

from pathlib import Path

import pytest

from resample.engine.id3_tag import id3_frames_of, write_frames
from resample.formats.tags import KEPT, Tags

TITLE = b"TIT2\x00\x00\x00\x05\x00\x00\x00Song"


def frames(**values: str) -> bytes:
    return id3_frames_of(Tags(values))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (Tags({"title": "Song"}), TITLE),
        (Tags({"title": "漢"}), b"TIT2\x00\x00\x00\x05\x00\x00\x01\xff\xfe\x22\x6f"),
        (Tags({"track": "3/12"}), b"TRCK\x00\x00\x00\x05\x00\x00\x003/12"),
        (Tags({"comment": "hi"}), b"COMM\x00\x00\x00\x07\x00\x00\x00und\x00hi"),
        (Tags({"comment": "漢"}), b"COMM\x00\x00\x00\x0c\x00\x00\x01und\xff\xfe\x00\x00\xff\xfe\x22\x6f"),
        (Tags({"lyrics": "la"}, "deu"), b"USLT\x00\x00\x00\x07\x00\x00\x00deu\x00la"),
        (
            Tags({"replaygain_track_gain": "-6.2 dB"}),
            b"TXXX\x00\x00\x00\x1e\x00\x00\x00replaygain_track_gain\x00-6.2 dB",
        ),
        (Tags({"date": "2026"}), b"TYER\x00\x00\x00\x05\x00\x00\x002026"),
        (
            Tags({"date": "2026-11-29T01:02:03"}),
            b"TYER\x00\x00\x00\x05\x00\x00\x002026TDAT\x00\x00\x00\x05\x00\x00\x002911",
        ),
        (Tags({"date": "2026-11"}), b"TYER\x00\x00\x00\x05\x00\x00\x002026"),
        (Tags({"date": "last year"}), b""),
        (Tags({"language": "deu"}), b"TLAN\x00\x00\x00\x04\x00\x00\x00deu"),
        (Tags({"language": "und"}), b""),
        (Tags({"language": "German"}), b""),
        (Tags({}), b""),
    ],
    ids=lambda value: str(dict(value.values)) if isinstance(value, Tags) else "",
)
def test_each_tag_has_its_frame(tags: Tags, expected: bytes) -> None:
    assert id3_frames_of(tags) == expected


def test_every_tag_that_is_kept_has_a_frame() -> None:
    values = dict.fromkeys(KEPT, "2026") | {"language": "deu"}

    written = id3_frames_of(Tags(values))

    names, at = [], 0
    while at < len(written):
        names.append(written[at : at + 4].decode())
        at += 10 + int.from_bytes(written[at + 4 : at + 8], "big")
    assert at == len(written)
    assert len(names) == len(values)
    assert len(set(names) - {"TXXX"}) == len(values) - 4, "no two share one, but for ReplayGain"


def tagged(path: Path, body: bytes) -> Path:
    size = bytes((len(body) >> shift & 0x7F) for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\x00\x00" + size + body + b"MP3")
    return path


def picture(name: bytes, size: int) -> bytes:
    return name + size.to_bytes(4, "big") + b"\0\0" + b"P" * size


def body(path: Path) -> bytes:
    return path.read_bytes()[10:-3]


def test_they_go_before_the_cover_and_the_chapters_and_replace_ffmpegs_own(tmp_path: Path) -> None:
    kept = [picture(name, 300) for name in (b"APIC", b"CHAP", b"CTOC")]
    mp3 = tagged(tmp_path / "x.mp3", kept[0] + picture(b"TSSE", 13) + kept[1] + kept[2] + bytes(100))
    before = mp3.read_bytes()

    assert write_frames(mp3, TITLE)

    after = mp3.read_bytes()
    assert body(mp3).rstrip(b"\0") == TITLE + b"".join(kept)
    assert (len(after), after[:10], after[-3:]) == (len(before), before[:10], b"MP3")


@pytest.mark.parametrize(("room", "fits"), [(len(TITLE), True), (len(TITLE) - 1, False)])
def test_they_fit_or_nothing_changes(tmp_path: Path, room: int, fits: bool) -> None:
    mp3 = tagged(tmp_path / "x.mp3", bytes(room))

    assert write_frames(mp3, TITLE) is fits

    assert body(mp3) == (TITLE if fits else bytes(room))


def test_a_file_without_a_tag_stays_as_it_is(tmp_path: Path) -> None:
    mp3 = tmp_path / "x.mp3"
    mp3.write_bytes(b"\xff\xfb" + bytes(100))

    assert not write_frames(mp3, TITLE)

    assert mp3.read_bytes() == b"\xff\xfb" + bytes(100)
