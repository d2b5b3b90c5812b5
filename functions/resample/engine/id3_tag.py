"""Writes the tags of a result, in place: ffmpeg leaves room for them.

ffmpeg writes lyrics and comments as texts of its own making, which no player looks for, and everything else it knows.
So it writes no tags but chapters and the cover, with padding behind them; this module puts the tags there.

Standard: ID3v2.3.0, which every player reads.
"""

from __future__ import annotations

import re
from pathlib import Path

from resample.formats.containers import id3v2_bytes
from resample.formats.tags import Tags

_FRAMES = {
    "title": "TIT2",
    "subtitle": "TIT3",
    "artist": "TPE1",
    "album_artist": "TPE2",
    "album": "TALB",
    "composer": "TCOM",
    "lyricist": "TEXT",
    "conductor": "TPE3",
    "genre": "TCON",
    "track": "TRCK",
    "disc": "TPOS",
    "copyright": "TCOP",
    "publisher": "TPUB",
    "isrc": "TSRC",
    "bpm": "TBPM",
    "grouping": "TIT1",
    "compilation": "TCMP",
    "title_sort": "TSOT",
    "artist_sort": "TSOP",
    "album_sort": "TSOA",
}
_KEPT_OF_FFMPEG = (b"APIC", b"CHAP", b"CTOC")
_HEADER_BYTES = 10
_LATIN, _UTF16 = 0, 1


def id3_frames_of(tags: Tags) -> bytes:
    """The frames, one behind the other."""
    frames = b""
    for name, text in tags.values.items():
        if name == "comment":
            frames += _frame(b"COMM", _described("und", "", text))
        elif name == "lyrics":
            frames += _frame(b"USLT", _described(tags.lyrics_language, "", text))
        elif name.startswith("replaygain_"):
            frames += _frame(b"TXXX", bytes([_LATIN]) + name.encode() + b"\0" + text.encode("latin-1", "replace"))
        elif name == "date":
            frames += _date_frames(text)
        elif name == "language":
            if re.fullmatch("[a-z]{3}", text) and text != "und":
                frames += _frame(b"TLAN", bytes([_LATIN]) + text.encode())
        else:
            frames += _frame(_FRAMES[name].encode(), _text(text))
    return frames


def _date_frames(text: str) -> bytes:
    """The day at most: a time of day tells more than when a work was published."""
    match = re.match(r"(\d{4})(?:-(\d\d)-(\d\d))?", text)
    if not match:
        return b""
    frames = _frame(b"TYER", _text(match[1]))
    return frames + _frame(b"TDAT", _text(match[3] + match[2])) if match[2] else frames


def _text(text: str) -> bytes:
    encoding, encoded, _ = _encoded(text)
    return bytes([encoding]) + encoded


def _described(language: str, description: str, text: str) -> bytes:
    encoding, encoded, end = _encoded(text)
    head = b"" if encoding == _LATIN else b"\xff\xfe"
    return bytes([encoding]) + language.encode() + head + description.encode() + end + encoded


def _encoded(text: str) -> tuple[int, bytes, bytes]:
    try:
        return _LATIN, text.encode("latin-1"), b"\0"
    except UnicodeEncodeError:
        return _UTF16, b"\xff\xfe" + text.encode("utf-16-le", "replace"), b"\0\0"


def _frame(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "big") + b"\0\0" + body


def write_frames(mp3: Path, frames: bytes) -> bool:
    """Put ``frames`` into the room that the ID3v2.3 tag of ``mp3`` has; tells whether they fit in."""
    with mp3.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        size = id3v2_bytes(header)
        if not size:
            return False
        body = file.read(size - _HEADER_BYTES)
        kept, at = [], 0
        while at + _HEADER_BYTES <= len(body) and body[at]:
            end = at + _HEADER_BYTES + int.from_bytes(body[at + 4 : at + 8], "big")
            if body[at : at + 4] in _KEPT_OF_FFMPEG:
                kept.append(body[at:end])
            at = end
        written = frames + b"".join(kept)
        if len(written) > len(body):
            return False
        file.seek(_HEADER_BYTES)
        file.write(written + bytes(len(body) - len(written)))
    return True
