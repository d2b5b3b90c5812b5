"""What kind of file this is, judged by its bytes. File names and declared media types are never looked at.

ffmpeg is told which demuxer to use and never guesses: a playlist or a script that is named ``song.wav`` would
otherwise make it open other files. What is recognised here as no audio gets a sentence that says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from audiojobs.errors import NoAudio, TruncatedAudio, UnsupportedFormat
from resample.formats.mpeg_frames import free_format_unpadded_bytes, parse_header
from resample.formats.not_audio import describe
from resample.formats.reader import Reader
from resample.formats.sync_words import ac3_bytes, is_gsm

HEAD_BYTES = 65_536
"""How much of a file's beginning is looked at, in bytes, and again behind each ID3v2 tag."""

ACCEPTED = "WAV, MP3, FLAC, Ogg, M4A, WebM, WMA, AMR, AIFF or AAC"

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

WEBM = Container("webm", "matroska")
MATROSKA = Container("matroska", "matroska")
MPEG_TS = Container("mpegts", "mpegts")
ASF = Container("asf", "asf")
AMR = Container("amr", "amr")
AC3 = Container("ac3", "ac3")
EAC3 = Container("eac3", "eac3")
DTS = Container("dts", "dts")
DTS_HD = Container("dts", "dtshd")
TRUEHD = Container("truehd", "truehd")
GSM = Container("gsm", "gsm")
WAVPACK = Container("wavpack", "wv")
MONKEYS_AUDIO = Container("ape", "ape")
TRUE_AUDIO = Container("tta", "tta")
MUSEPACK_7 = Container("musepack", "mpc")
MUSEPACK_8 = Container("musepack", "mpc8")
DSF = Container("dsf", "dsf")
DSDIFF = Container("dff", "iff")
SHORTEN = Container("shorten", "shn")

# Pattern at the very beginning -> the container.
_MAGIC: tuple[tuple[re.Pattern[bytes], Container], ...] = tuple(
    (re.compile(pattern, re.DOTALL), container)
    for pattern, container in (
        (rb"\x1a\x45\xdf\xa3.{1,60}webm", WEBM),
        (rb"\x1a\x45\xdf\xa3", MATROSKA),
        (rb"\x47.{187}\x47.{187}\x47|.{4}\x47.{191}\x47.{191}\x47", MPEG_TS),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", ASF),
        (rb"#!AMR(-WB)?\n", AMR),
        (rb"DTSHDHDR", DTS_HD),
        # 16 or 14 bits in each word, and both byte orders
        (rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\0\x07[\xf0-\xff]|\xff\x1f\0\xe8[\xf0-\xff]\x07", DTS),
        (rb".{4}\xf8\x72\x6f\xba", TRUEHD),
        (rb"wvpk", WAVPACK),
        (rb"MAC ", MONKEYS_AUDIO),
        (rb"TTA1", TRUE_AUDIO),
        (rb"MP\+[\x07\x17]", MUSEPACK_7),
        (rb"MPCK", MUSEPACK_8),
        (rb"DSD \x1c\0\0\0\0\0\0\0", DSF),
        (rb"FRM8.{8}DSD ", DSDIFF),
        (rb"ajkg", SHORTEN),
    )
)

# In the header of a Windows Media file: the objects that tell how its sound is encrypted.
_ASF_PROTECTION = tuple(
    bytes.fromhex(guid)
    for guid in (
        "fbb3112223bdd211b4b700a0c955fc6e",
        "14e68a292226174cb935dae07ee9289c",
        "b6a28d4355f9db4e9a1f4c0db6cae6e0",
    )
)

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
        (rb"FLV\x01", "a video (FLV)"),
        (rb"\0\0\x01[\xba\xb3]", "a video (MPEG)"),
        (rb"\.RMF|\.ra\xfd", "a RealAudio file"),
        (rb"MThd|RIFF....RMID", "a MIDI file, which holds notes and no sound"),
        (rb"#!AMR_MC|#!AMR-WB_MC", "an AMR file of several channels"),
        (rb"TTA2", "a True Audio 2 file"),
        (rb"MP\+", "a Musepack file of a version before 7"),
        (rb"tBaK", "a TAK file"),
        (rb"OFR ", "an OptimFROG file"),
        (rb"LA0[234]", "a Lossless Audio file"),
        (rb"ADIF", "an AAC file with one header for all (ADIF)"),
        (rb"ea3\x03|EA3\x01", "a Sony ATRAC file"),
        (rb"\x02dss|\x03ds2", "a dictation (DSS)"),
        (rb"FORM....(8SVX|16SV)", "an Amiga sound (8SVX)"),
        (rb"Creative Voice File\x1a", "a Creative Voice file"),
        (rb"NIST_1A", "a NIST SPHERE file"),
        (rb"dns\.", "an AU file with its bytes in the other order"),
        (rb"\x7fELF|MZ.{62}", "a program"),
    )
)


def detect(head: bytes, *, is_whole_file: bool) -> Container:
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
    container = _by_sync_words(head, is_whole_file) or _by_mpeg_headers(head, is_whole_file)
    if container is not None:
        return container
    if match := _MAGIC_BEHIND_JUNK.search(head[:_MAX_JUNK_BYTES]):
        container = _by_magic(head[match.start() :])
        if container is not None:
            return replace(container, audio_offset=match.start(), junk_bytes=match.start())
    if _looks_like_text(head):
        raise UnsupportedFormat(f"This is a text file. Please send {ACCEPTED}.")
    if is_gsm(head):
        return GSM
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
    container = next((container for pattern, container in _MAGIC if pattern.match(head)), None)
    if container is ASF and any(guid in head for guid in _ASF_PROTECTION):
        raise UnsupportedFormat(
            "This Windows Media file is protected (DRM), so only licensed players can decode it. "
            f"Please send an unprotected copy: {ACCEPTED}."
        )
    return container


def _by_sync_words(head: bytes, is_whole_file: bool) -> Container | None:
    for container, is_enhanced in ((AC3, False), (EAC3, True)):
        length_of = partial(ac3_bytes, is_enhanced=is_enhanced)
        if _is_chain(head, 0, length_of, is_whole_file, at_start=True):
            return container
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
