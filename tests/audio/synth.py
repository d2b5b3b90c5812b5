"""Whole files of every format. pydub makes the sound, ffmpeg or :mod:`struct` the file."""

from __future__ import annotations

import array
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from pydub import AudioSegment
from pydub.generators import Sine

from tests.audio.programs import run_full_ffmpeg

CODECS: Mapping[str, tuple[str, ...]] = {
    ".wav": ("-c:a", "pcm_s16le"),
    ".w64": ("-c:a", "pcm_s16le"),
    ".aiff": ("-c:a", "pcm_s16be", "-write_id3v2", "1"),
    ".au": ("-c:a", "pcm_s16be"),
    ".caf": ("-c:a", "pcm_s16be"),
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "192k"),
    ".mp2": ("-c:a", "mp2", "-b:a", "192k"),
    ".flac": ("-c:a", "flac"),
    ".ogg": ("-c:a", "libvorbis", "-q:a", "6"),
    ".opus": ("-c:a", "libopus", "-b:a", "128k"),
    ".m4a": ("-c:a", "aac", "-b:a", "160k"),
    ".aac": ("-c:a", "aac", "-b:a", "160k"),
}
"""How each kind of file is encoded where nothing else is asked for."""


@cache
def tone(
    seconds: float = 2.0,
    *,
    frequency: float = 1000.0,
    level_dbfs: float = -12.0,
    sample_rate: int = 44_100,
    channels: int = 2,
) -> AudioSegment:
    """A sine whose peak lies at ``level_dbfs``, faded over 20 ms at both ends so that it has no other frequencies."""
    sound = Sine(frequency, sample_rate=sample_rate, bit_depth=32).to_audio_segment(
        duration=1000 * seconds, volume=level_dbfs
    )
    return sound.fade_in(20).fade_out(20).set_channels(channels)


def encode(
    path: Path,
    sound: AudioSegment,
    *arguments: str,
    tags: Mapping[str, str] | None = None,
    cover: Path | None = None,
    container: str | None = None,
) -> Path:
    """Write ``sound`` as the name's suffix says, or as ffmpeg ``arguments`` say; ``container`` is a muxer's name."""
    pcm = {1: "u8", 2: "s16le", 4: "s32le"}[sound.sample_width]
    source = ["-f", pcm, "-ar", sound.frame_rate, "-ac", sound.channels, "-i", "pipe:0"]
    if cover:
        source += ["-i", cover, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"]
    metadata = [word for name, value in (tags or {}).items() for word in ("-metadata", f"{name}={value}")]
    muxer = ["-f", container] if container else []
    codec = arguments or CODECS.get(path.suffix, ())
    run_full_ffmpeg(*map(str, source), *codec, *metadata, *muxer, path, stdin=sound.raw_data)
    return path


def write(path: Path, seconds: float = 2.0, *, sample_rate: int = 44_100, channels: int = 2) -> Path:
    """A 1 kHz tone in the format that the suffix says."""
    return encode(path, tone(seconds, sample_rate=sample_rate, channels=channels))


def png(path: Path, size: int = 16, *, noise: bytes = b"") -> Path:
    """A red square; ``noise`` goes into an extra chunk, to make a picture of any length."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\xff\0\0" * size) * size)
    extra = chunk(b"teSt", noise) if noise else b""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


def sine(
    seconds: float, *, frequency: float = 1000.0, amplitude: float = 0.25, sample_rate: int = 44_100, channels: int = 1
) -> list[float]:
    """Interleaved samples of a sine, the same on every channel."""
    step = 2 * math.pi * frequency / sample_rate
    return [
        amplitude * math.sin(step * index) for index in range(round(seconds * sample_rate)) for _ in range(channels)
    ]


_PCM_GUID_REST = bytes.fromhex("000000001000800000aa00389b71")
SAMPLE_KINDS = ("u8", "s16", "s24", "s32", "s64", "f32", "f64")


def wav_bytes(
    samples: Sequence[float],
    kind: str = "s16",
    *,
    sample_rate: int = 44_100,
    channels: int = 1,
    form: str = "RIFF",
    extensible: bool = False,
    channel_mask: int = 0,
    junk: bool = False,
    declared_bytes: int | None = None,
    riff_bytes: int | None = None,
) -> bytes:
    """A WAV file with interleaved ``samples`` from -1 to 1.

    ``kind`` is one of :data:`SAMPLE_KINDS`, ``form`` RIFF, RIFX (big-endian), RF64 or BW64. ``junk`` puts chunks of
    odd lengths before and after the data. ``declared_bytes`` and ``riff_bytes`` replace the true lengths.
    """
    order = ">" if form == "RIFX" else "<"
    bits = int(kind[1:])
    data = _pcm(samples, kind, order)
    tag = 0xFFFE if extensible else 3 if kind[0] == "f" else 1
    align = channels * bits // 8
    fmt = struct.pack(order + "HHIIHH", tag, channels, sample_rate, sample_rate * align, align, bits)
    if extensible:
        fmt += struct.pack(order + "HHIH", 22, bits, channel_mask, 3 if kind[0] == "f" else 1) + _PCM_GUID_REST

    def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
        declared = struct.pack(order + "I", len(content) if size is None else size)
        return name + declared + content + b"\0" * (len(content) & 1)

    is_long = form in ("RF64", "BW64")
    data_size = 0xFFFFFFFF if is_long else declared_bytes
    tail = chunk(b"LIST", b"INFOISFT\x04\0\0\0test") if junk else b""
    body = (chunk(b"JUNK", b"x" * 27) if junk else b"") + chunk(b"fmt ", fmt)
    body += (chunk(b"bext", b"y" * 603) if junk else b"") + chunk(b"data", data, data_size) + tail
    if is_long:
        true_size = len(data) if declared_bytes is None else declared_bytes
        body = chunk(b"ds64", struct.pack("<QQQI", 4 + 36 + len(body), true_size, len(data) // align, 0)) + body
    size = 0xFFFFFFFF if is_long else 4 + len(body) if riff_bytes is None else riff_bytes
    return form.encode() + struct.pack(order + "I", size) + b"WAVE" + body


def _pcm(samples: Sequence[float], kind: str, order: str) -> bytes:
    bits = int(kind[1:])
    if kind[0] == "f":
        return struct.pack(f"{order}{len(samples)}{'f' if bits == 32 else 'd'}", *samples)
    top = (1 << bits - 1) - 1
    whole = [max(-top - 1, min(top, round(sample * top))) for sample in samples]
    if kind == "u8":
        return bytes(sample + 128 for sample in whole)
    if kind == "s24":
        byte_order = "big" if order == ">" else "little"
        return b"".join(sample.to_bytes(3, byte_order, signed=True) for sample in whole)  # type: ignore[arg-type]
    return struct.pack(f"{order}{len(whole)}{ {16: 'h', 32: 'i', 64: 'q'}[bits] }", *whole)


def floats(raw: bytes) -> array.array[float]:
    """Raw 32-bit floats as an array."""
    return array.array("f", raw)
