"""The sound that comes out is the sound that libsndfile reads from the same file: an oracle that shares no line of
code with ffmpeg. Waveform, level and length are compared, and the MP3 is decoded by libsndfile too."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiojobs.errors import FileError, UnsupportedFormat
from tests.audio.headers import HEADERS, SAMPLE_RATE, Case, Samples, sweeps
from tests.audio.oracle import differences, read_with_libsndfile
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine

# libsndfile refuses these, or reads them wrongly, as it says itself: for them, what was written is what must come out.
_UNREADABLE = re.compile(r"W64-extensible-float|odd-\d+-bit-W64|AIFC-42ni|CAF-open")


def _reference(case: Case) -> Samples:
    if _UNREADABLE.match(case.name):
        return case.samples
    content = case.content.replace(b"BW64", b"RF64", 1)  # the same but for its name, which libsndfile does not know
    samples, sample_rate = read_with_libsndfile(content)
    assert sample_rate == SAMPLE_RATE
    assert samples.shape == case.samples.shape, f"{case.name}: the header was written wrongly"
    assert np.abs(samples - case.samples).max() < 0.02, f"{case.name}: the header was written wrongly"
    return samples


# ffmpeg's demuxers read these wrongly or not at all: refused by name.
_NOT_TAKEN = re.compile(
    r"RIFX-(extensible|float|a-law|mu-law)|AIFC-(sowt-(8|20|24|28|32)|42ni|23ni)"
    r"|WAV (ALAW|ULAW|IMA_ADPCM|MS_ADPCM) BIG|AIFF PCM_(24|32) LITTLE"
)


@pytest.mark.parametrize("kind", HEADERS)
def test_generated_headers(tmp_path: Path, kind: str) -> None:
    faults = {}
    for case in HEADERS[kind]():
        source = tmp_path / "source"
        source.write_bytes(case.content)
        if _NOT_TAKEN.match(case.name):
            with pytest.raises(UnsupportedFormat):
                run_engine(source)
            continue
        try:
            run = run_engine(source)
        except FileError as error:
            faults[case.name] = [error.detail]
            continue

        wrong = [*differences(_reference(case), SAMPLE_RATE, run.mp3), *(str(it) for it in run.converted.warnings)]
        if wrong:
            faults[case.name] = wrong
    assert faults == {}


# --- what encoders wrote

# What libsndfile writes and can't read again, what it reads one block longer than it is (GSM), and G.726, in which it
# strays from ffmpeg by some -14 dB: no judge there.
_NO_JUDGE = re.compile(
    r"\w+ (DWVW_\d+|GSM610|G72\w+|NMS\w+|VOX_ADPCM|MPEG_LAYER_I+) \w+|(RAW|HTK|SD2|SDS|SVX|WVE|XI) .*"
)
_REFUSED = re.compile(r"(AVR|IRCAM|MAT4|MAT5|MPC2K|NIST|PAF|PVF|VOC) .*|AU \w+ LITTLE")
_LAYER_3 = re.compile("MP3 MPEG_LAYER_III FILE")

_LIBSNDFILE_WRITES = [
    f"{kind} {subtype} {endian}"
    for kind in sorted(soundfile.available_formats())
    for subtype in sorted(soundfile.available_subtypes(kind))
    for endian in ("FILE", "LITTLE", "BIG")
    if soundfile.check_format(kind, subtype, endian)
]
# A short Ogg Vorbis file is one page, of whose end ffmpeg mistakes up to 3 ms.
_OGG_SECONDS = 3
_JUDGED = [name for name in _LIBSNDFILE_WRITES if _LAYER_3.match(name) or not _NO_JUDGE.match(name)]


def _sound(sample_rate: int, *, is_ogg: bool) -> Samples:
    return sweeps(2, sample_rate=sample_rate, sample_frames=_OGG_SECONDS * sample_rate if is_ogg else None)


def _written(path: Path, name: str) -> Path:
    kind, subtype, endian = name.split()
    sample_rate = 48_000 if subtype == "OPUS" else 44_100
    with soundfile.SoundFile(path, "w", sample_rate, 2, subtype, endian, kind) as file:
        file.write(_sound(sample_rate, is_ogg=kind == "OGG"))
    return path


@pytest.mark.parametrize("kind", sorted({name.split()[0] for name in _JUDGED if not _REFUSED.match(name)}))
def test_what_libsndfile_writes(tmp_path: Path, kind: str) -> None:
    faults = {}
    for name in _JUDGED:
        if not name.startswith(f"{kind} ") or _REFUSED.match(name) or _NOT_TAKEN.match(name):
            continue
        source = _written(tmp_path / "source", name)
        reference, sample_rate = read_with_libsndfile(source.read_bytes())
        try:
            run = run_engine(source)
        except FileError as error:
            faults[name] = [error.detail]
            continue
        wrong = differences(reference, sample_rate, run.mp3, sample_frames_off=1)
        if wrong or run.converted.warnings:
            faults[name] = [*wrong, *map(str, run.converted.warnings)]
    assert faults == {}


@pytest.mark.parametrize("name", [name for name in _JUDGED if _REFUSED.match(name) or _NOT_TAKEN.match(name)])
def test_what_libsndfile_writes_and_is_not_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedFormat):
        run_engine(_written(tmp_path / "source", name))


@pytest.mark.parametrize(
    ("suffix", "arguments", "sample_rate"),
    [
        (".mp3", ("-b:a", "128k"), 44_100),
        (".mp3", ("-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"), 44_100),
        (".mp3", ("-q:a", "0"), 48_000),
        (".mp3", ("-b:a", "64k"), 22_050),
        (".mp3", ("-b:a", "320k"), 32_000),
        (".ogg", ("-c:a", "libvorbis", "-q:a", "3"), 44_100),
        (".ogg", ("-c:a", "libvorbis", "-q:a", "8"), 96_000),
        (".opus", ("-c:a", "libopus", "-b:a", "96k"), 48_000),
        (".opus", ("-c:a", "libopus", "-b:a", "64k", "-frame_duration", "60"), 48_000),
        (".flac", ("-c:a", "flac", "-sample_fmt", "s16"), 44_100),
        (".flac", ("-c:a", "flac", "-sample_fmt", "s32"), 192_000),
        (".wav", ("-c:a", "adpcm_ms"), 22_050),
        (".wav", ("-c:a", "adpcm_ima_wav"), 11_025),
        (".w64", ("-c:a", "pcm_s24le"), 48_000),
        (".aiff", ("-c:a", "pcm_s24be"), 88_200),
        (".au", ("-c:a", "pcm_mulaw"), 8_000),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_other_encoders_write(tmp_path: Path, suffix: str, arguments: tuple[str, ...], sample_rate: int) -> None:
    sound = (_sound(sample_rate, is_ogg=suffix in (".ogg", ".opus")) * 32767).astype("<i2").tobytes()
    source = tmp_path / f"source{suffix}"
    raw = ("-f", "s16le", "-ar", str(sample_rate), "-ac", "2", "-i", "pipe:0")
    run_full_ffmpeg(*raw, *arguments, source, stdin=sound)
    reference, _ = read_with_libsndfile(source.read_bytes())

    run = run_engine(source, bit_rate=320_000)

    assert differences(reference, sample_rate, run.mp3, sample_frames_off=1) == []
    assert run.converted.warnings == ()
