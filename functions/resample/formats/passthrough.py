"""Whether an upload already is the MP3 that was asked for, found out from a few small pieces of it.

Such a file is copied byte for byte: encoding it again would cost quality and time. One header says little (there are
files of mixed sample rates, cut ones, MP2 and AAC in disguise), so the beginning, the end and places spread over the
file are read, each as a chain of MPEG frames, and compared with what the Xing/Info tag declares. Where anything does
not fit, the answer is ``None`` and the encoder has its say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiojobs.conversion import Conversion
from audiojobs.job import Result, Source
from resample.formats.containers import Container, identify
from resample.formats.mpeg_frames import (
    InfoTag,
    MpegFrame,
    VbriTag,
    iterate_mpeg_frames,
    parse_header,
    parse_info_tag,
    parse_vbri_tag,
)
from resample.formats.reader import Reader
from resample.formats.trailing_tags import audio_end

_WINDOW_BYTES = 16_384  # eleven MPEG frames at 320 kbit/s and 32 kHz, far more at any lower bit rate
_PLACES = 6  # looked at between the beginning and the end
_WHOLE_BYTES = 12 * _WINDOW_BYTES  # up to here all of the audio is read at once
_MAX_MPEG_FRAME_BYTES = 1441  # of Layer III: 320 kbit/s at 32 kHz, padded
_MIN_CHAIN = 3
_CONSTANT_OFF, _VARIABLE_OFF = 0.005, 0.3  # of the number of MPEG frames


@dataclass(frozen=True, slots=True)
class _Window:
    """A chain of MPEG frames; ``offset`` is where the window lies in the file, frames count from its start."""

    offset: int
    data: bytes
    mpeg_frames: Sequence[MpegFrame]

    @property
    def audio_start(self) -> int:
        return self.offset + self.mpeg_frames[0].offset

    @property
    def audio_end(self) -> int:
        return self.offset + self.mpeg_frames[-1].end


def passthrough_result(
    read: Reader, size_bytes: int, conversion: Conversion, container: Container | None = None
) -> tuple[Source, Result] | None:
    """What the upload is, twice: as the source and as the result; ``None`` if it has to be encoded.

    An explicit wish is never contradicted: a ``bit_rate`` must be the constant one of the file, ``channels`` must be
    the file's, and nobody can tell which ``vbr_quality`` a file was made with. ``allow_partial`` does not matter: a
    truncated file goes to the encoder, which knows what to do.

    Reads at most 220 kB in at most 15 pieces, and one piece of 16 kB of a large file that is not wanted; another 64 kB
    or more if ``container`` was not found by :func:`~resample.formats.containers.identify` before.

    Raises what :func:`~resample.formats.containers.identify` raises, if ``container`` is not given.
    """
    if conversion.vbr_quality is not None:
        return None
    if container is None:
        container = identify(read, size_bytes)
    if container.name != "mp3" or container.junk_bytes:
        return None

    windows = _windows(read, container.audio_offset, size_bytes, conversion)
    if windows is None or not _is_wanted(windows, conversion):
        return None
    return _judge(windows, size_bytes, conversion)


def _windows(read: Reader, start: int, size_bytes: int, conversion: Conversion) -> list[_Window] | None:
    """All windows of the file in order; ``None`` if one is no chain of MPEG frames, or the first is not wanted."""
    if size_bytes - start <= _WHOLE_BYTES:
        whole = _window(read, start, audio_end(read, size_bytes) - start, is_last=True)
        return None if whole is None else [whole]
    first = _window(read, start, _WINDOW_BYTES)
    if first is None or not _is_wanted([first], conversion):
        return None
    last_start = audio_end(read, size_bytes) - _WINDOW_BYTES
    step = (last_start - start) // (_PLACES + 1)
    if step < 1:
        return None  # hardly anything but tags
    found = [first]
    for offset in [*range(start + step, last_start - step // 2, step), last_start]:
        window = _window(read, offset, _WINDOW_BYTES, is_last=offset == last_start)
        if window is None:
            return None
        found.append(window)
    return found


def _window(read: Reader, offset: int, length: int, *, is_last: bool = False) -> _Window | None:
    """The MPEG frames of a piece of the file; ``None`` if they are not all that is in it. The last may end in zeros."""
    data = read(offset, length) if length > 0 else b""
    dead_ends: set[int] = set()  # a chain that meets one of these ends as badly, and need not be followed again
    for position in _header_positions(data):
        mpeg_frames: list[MpegFrame] = []
        for mpeg_frame in iterate_mpeg_frames(data, position):
            if mpeg_frame.offset in dead_ends:
                break
            mpeg_frames.append(mpeg_frame)
        else:
            if len(mpeg_frames) >= _MIN_CHAIN or (mpeg_frames and position == 0):
                end = mpeg_frames[-1].end
                if len(data) - end < 4 or _is_cut(data, end) or (is_last and not any(data[end:])):
                    return _Window(offset, data, mpeg_frames)
                dead_ends.update(mpeg_frame.offset for mpeg_frame in mpeg_frames)
    return None


def _header_positions(data: bytes) -> list[int]:
    """Where the first MPEG frame of a window may start: behind zeros, and a piece of another one."""
    start = len(data) - len(data.lstrip(b"\0")) if not data.startswith(b"\xff") else 0
    return [
        position
        for position in range(start, min(start + _MAX_MPEG_FRAME_BYTES, len(data)))
        if data[position] == 0xFF
        and (header := parse_header(data, position)) is not None
        and (header.layer, header.bit_rate is None) == (3, False)
    ]


def _is_cut(data: bytes, offset: int) -> bool:
    """Whether the rest is the beginning of one more MPEG frame."""
    header = parse_header(data, offset)
    return header is not None and (header.length_bytes or 0) > len(data) - offset


def _is_wanted(windows: Sequence[_Window], conversion: Conversion) -> bool:
    channels = conversion.channels or windows[0].mpeg_frames[0].header.channels
    return all(
        (header.layer, header.sample_rate, header.channels) == (3, conversion.sample_rate, channels)
        and header.bit_rate is not None
        for window in windows
        for header in (mpeg_frame.header for mpeg_frame in window.mpeg_frames)
    )


def _judge(windows: Sequence[_Window], size_bytes: int, conversion: Conversion) -> tuple[Source, Result] | None:
    first, first_frame = windows[0], windows[0].mpeg_frames[0]
    header = first_frame.header
    info, vbri = parse_info_tag(first.data, first_frame), parse_vbri_tag(first.data, first_frame)
    tag = info or vbri
    audio_bytes = windows[-1].audio_end - first.audio_start
    seen = [mpeg_frame for window in windows for mpeg_frame in window.mpeg_frames]
    audio = seen[1:] if tag else seen
    if tag:
        if not _agrees(tag, audio_bytes, size_bytes):
            return None
        audio_bytes -= first_frame.length_bytes
    if not audio or (tag and not _counts_what_is_there(tag, audio, audio_bytes)):
        return None

    bit_rates = {mpeg_frame.header.bit_rate for mpeg_frame in audio}
    constant = bit_rates.pop() if len(bit_rates) == 1 and not vbri and not (info and info.is_variable) else None
    if conversion.bit_rate is not None and constant != conversion.bit_rate:
        return None
    if constant and not _in_step(windows, audio):
        return None

    sample_frames = _sample_frames(tag, audio, audio_bytes)
    if sample_frames <= 0:
        return None
    duration_seconds = sample_frames / header.sample_rate
    source = Source("mp3", "mp3", header.sample_rate, header.channels, duration_seconds, size_bytes)
    result = Result(
        sample_rate=header.sample_rate,
        bit_rate=constant or round(audio_bytes * 8 / duration_seconds),
        channels=header.channels,
        duration_seconds=duration_seconds,
        size_bytes=size_bytes,
        passthrough=True,
    )
    return source, result


def _agrees(tag: InfoTag | VbriTag, audio_bytes: int, size_bytes: int) -> bool:
    """Whether a tag's size is that of the file, give or take an MPEG frame: writers differ in what they count.

    Shorter than declared: truncated. Longer: something was appended.
    """
    declared = tag.size_bytes
    if not declared:
        return tag.mpeg_frames is not None
    return abs(audio_bytes - declared) <= _MAX_MPEG_FRAME_BYTES or declared == size_bytes


def _counts_what_is_there(tag: InfoTag | VbriTag, audio: Sequence[MpegFrame], audio_bytes: int) -> bool:
    """Whether as many MPEG frames are there as the tag counts, judged by the mean length of those that were seen.

    At a constant bit rate that is exact; at a variable one it finds tags of which half is true.
    """
    if tag.mpeg_frames is None:
        return True
    lengths = [mpeg_frame.length_bytes for mpeg_frame in audio]
    count = audio_bytes * len(lengths) / sum(lengths)
    is_constant = max(lengths) - min(lengths) <= 1
    return abs(count - tag.mpeg_frames) <= 2 + (_CONSTANT_OFF if is_constant else _VARIABLE_OFF) * tag.mpeg_frames


def _in_step(windows: Sequence[_Window], audio: Sequence[MpegFrame]) -> bool:
    """For MPEG frames of one length: whether whole ones fit between the windows.

    That finds, between the places that were looked at, anything that is not of this length.
    """
    length = audio[0].length_bytes
    if any(mpeg_frame.length_bytes != length for mpeg_frame in audio):
        return True  # padded now and then; nothing to be said
    start = windows[0].offset + audio[0].offset
    return all((window.audio_start - start) % length == 0 for window in windows[1:])


def _sample_frames(tag: InfoTag | VbriTag | None, audio: Sequence[MpegFrame], audio_bytes: int) -> int:
    """Exact where a tag tells or the bit rate is constant; for variable bit rate without a tag an estimate."""
    header = audio[0].header
    if isinstance(tag, InfoTag) and (exact := tag.sample_frames(header)) is not None:
        return exact
    if tag is not None and tag.mpeg_frames:
        return tag.mpeg_frames * header.sample_frames
    seen_bytes = sum(mpeg_frame.length_bytes for mpeg_frame in audio)
    return audio_bytes * len(audio) // seen_bytes * header.sample_frames
