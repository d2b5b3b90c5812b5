"""Files that must not come through, each broken in a way that is met in the world."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from tests.audio.programs import run_full_ffmpeg
from tests.audio.synth import encode, sine, tone, wav_bytes, write


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def text(path: Path) -> Path:
    path.write_text("This is a shopping list: milk, eggs, und Brötchen.\n" * 20)
    return path


def header_only_wav(path: Path) -> Path:
    """A correct header that declares no data, and no data."""
    path.write_bytes(wav_bytes([]))
    return path


def truncated(path: Path, source: Path, fraction: float = 0.5) -> Path:
    """The first part of ``source``."""
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


def truncated_wav(path: Path, seconds: float = 2.0) -> Path:
    content = wav_bytes(sine(seconds))
    path.write_bytes(content[: len(content) // 2])
    return path


def ffconcat_script(path: Path, target: Path) -> Path:
    """A script that makes a careless ffmpeg open ``target``."""
    path.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    return path


def hls_playlist(path: Path, target: Path) -> Path:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n")
    return path


def silent_movie(path: Path) -> Path:
    """An MP4 with a video stream and no sound."""
    picture = ["-f", "lavfi", "-i", "color=red:s=64x64:r=10:d=1"]
    run_full_ffmpeg(*picture, "-c:v", "mpeg4", "-f", "mp4", path)
    return path


def movie(path: Path, seconds: float = 2.0) -> Path:
    """An MP4 with moving pictures and sound."""
    sound = write(path.with_suffix(".wav"), seconds)
    picture = ["-f", "lavfi", "-i", f"testsrc=s=64x64:r=10:d={seconds}"]
    run_full_ffmpeg(*picture, "-i", sound, "-c:v", "mpeg4", "-c:a", "aac", "-f", "mp4", path)
    return path


def mixed_rates(path: Path, rates: tuple[int, ...] = (32_000, 44_100, 32_000)) -> Path:
    """MP3 streams of different sample rates, a second each, one behind the other, without tags."""
    path.write_bytes(b"".join(map(_second_of_mp3, rates)))
    return path


@cache
def _second_of_mp3(sample_rate: int) -> bytes:
    """MPEG frames and nothing else."""
    arguments = ("-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0")
    source = ("-f", "s32le", "-ar", str(sample_rate), "-ac", "2", "-i", "pipe:0")
    sound = tone(1.0, sample_rate=sample_rate).raw_data
    return run_full_ffmpeg(*source, *arguments, "-f", "mp3", "pipe:1", stdin=sound)


def riff_wrapped_mp3(path: Path, sample_rate: int = 32_000) -> Path:
    """An MP3 stream in a WAV file."""
    mp3 = path.with_suffix(".inner.mp3")
    encode(mp3, tone(2.0, sample_rate=sample_rate), "-c:a", "libmp3lame", "-b:a", "128k")
    run_full_ffmpeg("-i", mp3, "-c", "copy", "-f", "wav", path)
    mp3.unlink()
    return path


def flipped_bytes(path: Path, source: Path, positions: tuple[float, ...] = (0.3, 0.5, 0.7), count: int = 64) -> Path:
    """``source`` with ``count`` inverted bytes at each of the ``positions`` (fractions of its length)."""
    content = bytearray(source.read_bytes())
    for position in positions:
        start = int(position * len(content))
        content[start : start + count] = bytes(byte ^ 0xFF for byte in content[start : start + count])
    path.write_bytes(content)
    return path


def id3v2(size_bytes: int, content: bytes = b"") -> bytes:
    """An ID3v2.3 tag of ``size_bytes`` without its ten bytes of header: ``content``, then padding."""
    synchsafe = bytes(size_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + content.ljust(size_bytes, b"\0")


def ape_tag(value: bytes = b"value") -> bytes:
    """An APEv2 tag with header and footer."""
    item = struct.pack("<II", len(value), 0) + b"Comment\0" + value
    size = len(item) + 32
    flags = 0x80000000
    header = b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags | 0x20000000) + bytes(8)
    return header + item + b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags) + bytes(8)
