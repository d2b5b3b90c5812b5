"""The tags that travel from a source into the result, and how they are read where ffprobe loses some of them.

The result is shared by a link, so only what describes the work is kept (docs/formats.md has the list): no positions, no
devices, no accounts, and no numbers that were true of another encoding.

Standards: ID3v2.3 and ID3v2.4 (id3.org), RIFF INFO (Microsoft 1994), ISO/IEC 14496-12 (protected sample entries).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from resample.formats.containers import Container, id3v2_bytes
from resample.formats.reader import Reader
from resample.formats.riff import read_chunks

KEPT = (
    *("title", "subtitle", "artist", "album_artist", "album", "composer", "lyricist", "conductor", "genre"),
    *("track", "disc", "date", "copyright", "publisher", "isrc", "bpm", "grouping", "compilation", "language"),
    *("title_sort", "artist_sort", "album_sort", "comment", "lyrics"),
    *("replaygain_track_gain", "replaygain_track_peak", "replaygain_album_gain", "replaygain_album_peak"),
)
"""The names of what is kept, in the order in which it is written."""

MAX_VALUE_CHARACTERS = 1 << 20
MULTIPLE = "; "

_ALIASES = {
    "albumartist": "album_artist",
    "tracknumber": "track",
    "discnumber": "disc",
    "year": "date",
    "label": "publisher",
    "unsyncedlyrics": "lyrics",
    "tbpm": "bpm",
    "tsrc": "isrc",
    "text": "lyricist",
    "tit3": "subtitle",
    "tcmp": "compilation",
    "tlan": "language",
    "tit1": "grouping",
    "tpe3": "conductor",
    "tempo": "bpm",
    "performer_sort": "artist_sort",
    "titlesort": "title_sort",
    "artistsort": "artist_sort",
    "albumsort": "album_sort",
}
_LYRICS = re.compile(r"lyrics-([a-z]{3})")


@dataclass(frozen=True, slots=True)
class Tags:
    """``values`` by the names of :data:`KEPT`; ``lyrics_language`` as ISO 639-2 spells it."""

    values: Mapping[str, str]
    lyrics_language: str = "und"


def kept_tags(spoken: Mapping[str, str], own: Mapping[str, str]) -> Tags:
    """What is kept of the tags that ffprobe tells, and of those that were read here, which are better."""
    values: dict[str, str] = {}
    language = "und"
    for key, text in [*spoken.items(), *own.items()]:
        name = key.lower().replace(" ", "_").replace("-", "_")
        if match := _LYRICS.fullmatch(key.lower()):
            name, language = "lyrics", match[1]
        name = _ALIASES.get(name, _ALIASES.get(name.replace("_", ""), name))
        cleaned = str(text).replace("\0", "").strip()[:MAX_VALUE_CHARACTERS]
        if name in KEPT and cleaned:
            values[name] = cleaned
    return Tags({name: values[name] for name in KEPT if name in values}, language)


def own_tags(read: Reader, size_bytes: int, container: Container) -> dict[str, str]:
    """Tags that ffprobe would lose a part of: several values in one ID3v2 frame, RIFF INFO that is not UTF-8.

    Never raises: a tag that makes no sense has nothing in it.
    """

    def inside(offset: int, length: int) -> bytes:
        return read(offset, length) if length > 0 and 0 <= offset < size_bytes else b""

    try:
        if container.name == "wav":
            return _riff_info(inside, size_bytes, container.audio_offset)
        return _several_values(inside)
    except (struct.error, ValueError, IndexError):
        return {}


_ID3_NAMES = {
    b"TIT2": "title",
    b"TPE1": "artist",
    b"TPE2": "album_artist",
    b"TALB": "album",
    b"TCOM": "composer",
    b"TCON": "genre",
    b"TEXT": "lyricist",
    b"TPE3": "conductor",
    b"TPUB": "publisher",
    b"TLAN": "language",
}
_ID3_ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_MAX_FRAMES = 500
_UNSYNCHRONISED = 0x80


def id3_frames(read: Reader) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and size of the frames of an ID3v2.3 or 2.4 tag at the beginning of a file."""
    header = read(0, 10)
    end = id3v2_bytes(header)
    if not end or header[3] not in (3, 4) or header[5] & _UNSYNCHRONISED:
        return
    offset = 10
    if header[5] & 0x40:
        extended = read(10, 4)
        offset += _syncsafe(extended) if header[3] == 4 else int.from_bytes(extended, "big") + 4
    for _ in range(_MAX_FRAMES):
        frame = read(offset, 10)
        if offset + 10 > end or len(frame) < 10 or not frame[0]:
            return
        size = _syncsafe(frame[4:8]) if header[3] == 4 else int.from_bytes(frame[4:8], "big")
        if frame[9] == 0:  # neither compressed nor encrypted
            yield frame[:4], offset + 10, size
        offset += 10 + size


def _several_values(read: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, offset, size in id3_frames(read):
        if name not in _ID3_NAMES or not 1 < size <= MAX_VALUE_CHARACTERS:
            continue
        body = read(offset, size)
        text = body[1:].decode(_ID3_ENCODINGS.get(body[0], "latin-1"), "replace").rstrip("\0")
        values = [part.strip("\ufeff ") for part in text.split("\0")]
        if len(values) > 1:
            found[_ID3_NAMES[name]] = MULTIPLE.join(value for value in values if value)
    return found


def _syncsafe(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]


def unreadable_covers(read: Reader) -> list[str]:
    """Kinds of pictures in an ID3v2 tag that MP3 players cannot show, judged by their bytes."""
    kinds = []
    with suppress(IndexError):  # a tag that is cut off
        for name, offset, size in id3_frames(read):
            if name == b"APIC" and size > 16:
                kind = _picture_kind(read(offset, 512))
                if kind:
                    kinds.append(kind)
    return kinds


def _picture_kind(frame: bytes) -> str | None:
    if b"\xff\xd8\xff" in frame or b"\x89PNG\r\n" in frame:
        return None
    if match := re.search(
        rb"RIFF....WEBP|GIF8[79]a|ftyp(avif|hei[cx]|mif1)|II\*\0|MM\0\*|BM....\0\0\0\0", frame, re.DOTALL
    ):
        magic = match[0]
        kinds = {b"RIFF": "WebP", b"GIF8": "GIF", b"ftyp": "HEIF or AVIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
        return kinds.get(magic[:4], "BMP")
    mime = frame[1:].split(b"\0", 1)[0].decode("latin-1")
    return mime.removeprefix("image/") if re.fullmatch(r"image/[\w.+-]{1,20}", mime) else None


_INFO_NAMES = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"IGNR": "genre",
    b"ICRD": "date",
    b"ICMT": "comment",
    b"ICOP": "copyright",
    b"ITRK": "track",
    b"IPRT": "track",
    b"IMUS": "composer",
    b"IWRI": "lyricist",
    b"ILNG": "language",
    b"IPUB": "publisher",
}
_MAX_INFO_BYTES = 1 << 20


def _riff_info(read: Reader, size_bytes: int, start: int) -> dict[str, str]:
    order = ">" if read(start, 4) == b"RIFX" else "<"
    found: dict[str, str] = {}
    for chunk in read_chunks(read, start + 12, size_bytes, order):
        if chunk.name != b"LIST" or read(chunk.offset, 4) != b"INFO" or chunk.size > _MAX_INFO_BYTES:
            continue
        info = read(chunk.offset, chunk.size)
        for item in read_chunks(lambda at, length, info=info: info[at : at + length], 4, len(info), order):  # type: ignore[misc]
            if name := _INFO_NAMES.get(item.name):
                found[name] = decode_text(info[item.offset : item.offset + item.size])
    return found


def decode_text(data: bytes) -> str:
    """Text of an unknown encoding: UTF-8, or Shift-JIS where that is plain, or Windows-1252 (a larger Latin-1)."""
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError:
        text = ""
    if text and _is_japanese(text):
        return text
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# What Windows-1252 becomes when it is read as Shift-JIS: a control character, private use, kana of half width.
_MISREAD = re.compile("[\x80\ue000-\uf8ff\uff61-\uff9f]")
_KANA = re.compile("[\u3040-\u30ff]")
_LATIN = re.compile("[A-Za-z]")


def _is_japanese(text: str) -> bool:
    """Kana of full width, or kanji without Latin letters: accented letters, misread, stand among plain ones."""
    if _MISREAD.search(text):
        return False
    foreign_count = sum(not character.isascii() for character in text)
    return _KANA.search(text) is not None or (foreign_count > 1 and not _LATIN.search(text))
