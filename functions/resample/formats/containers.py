"""What kind of file this is, judged by its bytes. File names and declared media types are never looked at.

ffmpeg is told which demuxer to use and never guesses: a playlist or a script that is named ``song.wav`` would
otherwise make it open other files. What is recognised here as no audio gets a sentence that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from audiojobs.errors import NoAudio, TruncatedAudio, UnsupportedFormat
from resample.formats.mpeg_frames import free_format_unpadded_bytes, parse_header
from resample.formats.not_audio import describe
from resample.formats.reader import Reader

HEAD_BYTES = 65_536
"""How much of a file's beginning is looked at, in bytes, and again behind each ID3v2 tag."""

ACCEPTED = "WAV, MP3, FLAC, Ogg, M4A, AIFF or AAC"

_MAX_ID3_TAGS = 8
_MAX_ZEROS_BYTES = 16 << 20
_ZEROS_BLOCK_BYTES = 1 << 20
_MAX_JUNK_BYTES = 1024
# White space or a byte order mark that a script printed in front, or the header of an old Macintosh file.
_MAGIC_BEHIND_JUNK = re.compile(
    rb"(RIFF|RIFX|RF64)....WAVE|FORM....AIF[FC]|fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02", re.DOTALL
)
_ID3_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file that is accepted.

    ``name`` is what users see, ``demuxer`` what ffmpeg calls it. ``audio_offset`` is where it starts, in bytes, behind
    any ID3v2 tags. ``is_big_endian`` is set where ffmpeg's reader takes big-endian samples for little-endian.
    ``junk_bytes`` in front of the file have to be skipped.
    """

    name: str
    demuxer: str
    audio_offset: int = 0
    is_big_endian: bool = False
    junk_bytes: int = 0


WAV = Container("wav", "wav")
RIFX = replace(WAV, is_big_endian=True)
W64 = Container("w64", "w64")
AIFF = Container("aiff", "aiff")
AU = Container("au", "au")
CAF = Container("caf", "caf")
FLAC = Container("flac", "flac")
OGG = Container("ogg", "ogg")
MP4 = Container("mp4", "mov")
MP3 = Container("mp3", "mp3")
AAC = Container("aac", "aac")

_W64_MAGIC = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

_MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof")
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")

# Pattern at the very beginning -> what to call it.
_FOREIGN: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), what)
    for pattern, what in (
        (rb"\s*#EXTM3U", "a playlist (M3U or HLS), which only points to other files"),
        (rb"\s*ffconcat version", "a list of other files (an ffconcat script)"),
        (rb"\s*\[playlist\]", "a playlist (PLS), which only points to other files"),
        (rb"\s*<(\?xml|!doctype|html|head|svg|smil|asx)", "a web page or an XML document"),
        (rb"%PDF-", "a PDF document"),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a ZIP archive or an office document"),
        (rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "an archive"),
        (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*", "a picture"),
        (rb"RIFF....AVI ", "a video (AVI)"),
        (rb"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
        (rb"FLV\x01", "a video (FLV)"),
        (rb"\0\0\x01[\xba\xb3]", "a video (MPEG)"),
        (rb"\x47.{187}\x47.{187}\x47", "a video (MPEG transport stream)"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
        (rb"\.RMF", "a RealMedia file"),
        (rb"MThd|RIFF....RMID", "a MIDI file, which holds notes and no sound"),
        (rb"MAC ", "a Monkey's Audio file"),
        (rb"wvpk", "a WavPack file"),
        (rb"TTA[12]", "a True Audio file"),
        (rb"DSD |FRM8", "a DSD file"),
        (rb"#!AMR", "an AMR file"),
        (rb"MPCK|MP\+", "a Musepack file"),
        (rb"\x7fELF|MZ.{62}", "a program"),
    )
)


def detect(head: bytes, *, is_whole_file: bool = False) -> Container:
    """The container that ``head`` begins, ``head`` being the first :data:`HEAD_BYTES` (or all) of a file.

    ID3v2 tags at the beginning are not skipped: :func:`identify` does that.

    Raises :class:`~audiojobs.errors.NoAudio` for no bytes at all and
    :class:`~audiojobs.errors.UnsupportedFormat`, saying what it is if that is known, for anything not accepted.
    """
    if not head:
        raise NoAudio("The file is empty.")
    if sentence := describe(head):
        raise UnsupportedFormat(sentence)
    container = _by_magic(head)
    if container is not None:
        return container
    for pattern, what in _FOREIGN:
        if pattern.match(head):
            raise UnsupportedFormat(f"This is {what}. Please send {ACCEPTED}.")
    container = _by_mpeg_headers(head, is_whole_file)
    if container is not None:
        return container
    if match := _MAGIC_BEHIND_JUNK.search(head[:_MAX_JUNK_BYTES]):
        container = _by_magic(head[match.start() :])
        if container is not None:
            return replace(container, audio_offset=match.start(), junk_bytes=match.start())
    if _looks_like_text(head):
        raise UnsupportedFormat(f"This is a text file. Please send {ACCEPTED}.")
    raise UnsupportedFormat(f"This file is not in a supported audio format. Please send {ACCEPTED}.")


def identify(read: Reader, size_bytes: int) -> Container:
    """The container of a file of ``size_bytes``; ID3v2 tags of any size in front of it are skipped.

    Reads :data:`HEAD_BYTES` once, and once more for each tag that is longer.

    Raises what :func:`detect` raises, and :class:`~audiojobs.errors.TruncatedAudio` for a file that ends in a tag.
    """
    offset = 0
    head_offset, head = 0, read(0, HEAD_BYTES) if size_bytes else b""
    for _ in range(_MAX_ID3_TAGS):
        tag_bytes = id3v2_bytes(head[offset - head_offset :])
        if not tag_bytes:
            break
        offset += tag_bytes
        if offset > size_bytes:
            raise TruncatedAudio("The file ends inside the tag at its beginning.")
        if offset == size_bytes:
            raise NoAudio("The file contains a tag and no sound.")
        # Enough must be left to tell a stream of MPEG frames from noise.
        if head_offset + len(head) - offset < HEAD_BYTES // 4 and head_offset + len(head) < size_bytes:
            head_offset, head = offset, read(offset, HEAD_BYTES)
    rest = head[offset - head_offset :]
    junk_bytes = 0
    if rest and not any(rest):
        offset = junk_bytes = _skip_zeros(read, offset + len(rest), size_bytes)
        rest = read(offset, HEAD_BYTES)
    container = detect(rest, is_whole_file=offset + len(rest) >= size_bytes)
    if junk_bytes or container.junk_bytes:
        junk_bytes = offset + container.junk_bytes
    return replace(container, audio_offset=offset + container.audio_offset, junk_bytes=junk_bytes)


def _skip_zeros(read: Reader, offset: int, size_bytes: int) -> int:
    """Where the first byte after ``offset`` stands that is not zero: space is reserved before a download begins."""
    for start in range(offset, min(size_bytes, offset + _MAX_ZEROS_BYTES), _ZEROS_BLOCK_BYTES):
        block = read(start, min(_ZEROS_BLOCK_BYTES, size_bytes - start))
        if any(block):
            return start + len(block) - len(block.lstrip(b"\0"))
    if offset + _MAX_ZEROS_BYTES < size_bytes:
        raise UnsupportedFormat("The file begins with many megabytes of zeros, in front of any sound.")
    raise UnsupportedFormat(
        "This file contains nothing but zeros, so it is not in a supported audio format."
        " Please make the copy or download again."
    )


def id3v2_bytes(data: bytes) -> int:
    """Length of the ID3v2 tag that ``data`` begins with, in bytes, its header and footer included; 0 for none.

    ID3v2.4 section 3.1: the size has seven bits in each of four bytes.
    """
    header = data[:_ID3_HEADER_BYTES]
    if len(header) < _ID3_HEADER_BYTES or header[:3] != b"ID3" or header[3] == 0xFF or header[4] == 0xFF:
        return 0
    size = 0
    for byte in header[6:10]:
        if byte & 0x80:
            return 0
        size = size << 7 | byte
    footer = _ID3_HEADER_BYTES if header[5] & 0x10 else 0
    return _ID3_HEADER_BYTES + size + footer


def _by_magic(head: bytes) -> Container | None:
    kind, form = head[:4], head[8:12]
    if kind in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form == b"WAVE":
        return RIFX if kind == b"RIFX" else WAV
    if head[: len(_W64_MAGIC)] == _W64_MAGIC:
        return W64
    if kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        return AIFF
    if kind == b"fLaC":
        return FLAC
    if kind == b"OggS":
        return OGG
    if kind == b".snd":
        return AU
    if kind == b"caff":
        return CAF
    if head[4:8] in _MP4_FIRST_BOXES:
        size = int.from_bytes(kind, "big")
        if head[4:8] == b"ftyp" and form in _PICTURE_BRANDS:
            raise UnsupportedFormat(f"This is a picture. Please send {ACCEPTED}.")
        return MP4 if size >= 8 or size in (0, 1) else None
    return None


_FRAMES_NEEDED = 4  # in a row: by chance that happens once in 10^13 positions of noise


def _by_mpeg_headers(head: bytes, is_whole_file: bool) -> Container | None:
    """MPEG audio of any layer, or AAC with ADTS headers. Junk in front of the first frame is common and skipped."""
    start = len(head) - len(head.lstrip(b"\0"))
    if free_format_unpadded_bytes(head, start) is not None:
        raise UnsupportedFormat("This is a free-format MP3, which is not supported. Please send an ordinary MP3.")
    position = head.find(b"\xff", start)
    while position >= 0:
        for length_of, container in ((mpeg_frame_bytes, MP3), (adts_frame_bytes, AAC)):
            if _is_chain(head, position, length_of, is_whole_file, at_start=position == start):
                return container
        position = head.find(b"\xff", position + 1)
    return None


def _is_chain(
    head: bytes, offset: int, length_of: Callable[[bytes, int], int | None], is_whole_file: bool, at_start: bool
) -> bool:
    """Whether enough frames follow each other from ``offset`` on; a whole short file may have fewer."""
    count = 0
    while count < _FRAMES_NEEDED and (length := length_of(head, offset)) is not None:
        if offset + length > len(head) and not (at_start and is_whole_file and count):
            break
        offset += length
        count += 1
    if count >= _FRAMES_NEEDED:
        return True
    rest = head[offset : offset + 3]
    return at_start and is_whole_file and count >= 1 and (not rest or rest in (b"TAG", b"APE"))


def mpeg_frame_bytes(data: bytes, offset: int) -> int | None:
    """Length of the MPEG audio frame at ``offset``; ``None`` if there is none, or it is of free format."""
    header = parse_header(data, offset)
    return header.length_bytes if header else None


def adts_frame_bytes(data: bytes, offset: int) -> int | None:
    """Length of the AAC frame at ``offset`` (ISO/IEC 13818-7, 6.2): sync, layer 0, a legal sampling index."""
    header = data[offset : offset + 7]
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else None


def _looks_like_text(head: bytes) -> bool:
    sample = head[:4096]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in sample):
        return False
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return len(sample) == 4096 and error.start > 4092  # a character cut in two
    return True
