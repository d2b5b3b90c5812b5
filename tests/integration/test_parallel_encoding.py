"""Many encoders on one sound give what one encoder gives, to the sample; and whatever fails, fails as a whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from audiojobs.conversion import BIT_RATES
from audiojobs.errors import TimeLimit
from resample.engine.encode import PARALLEL_ENCODER
from resample.engine.parallel import (
    EncoderSettings,
    ParallelEncodingFailed,
    ParallelResult,
    encode_in_parallel,
    plan,
    ring,
)
from resample.engine.parallel.join import Join
from resample.formats.containers import id3v2_bytes
from resample.formats.mpeg_frames import iterate_mpeg_frames, parse_info_tag
from resample.sandbox.process import executable
from tests.audio.programs import run_full_ffmpeg

pytestmark = pytest.mark.usefixtures("no_new_children")

SECONDS = 45
SMALL_WINDOW_BYTES = 2 << 20  # so that there are several joins in a short sound
SHARES_A_FOLDER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

# Voices that come and go, with attacks, noise, and half a second of silence every five.
MUSIC = (
    "aevalsrc=exprs="
    "'gt(mod(t,5),0.5)*(0.3*sin(2*PI*t*(220+40*floor(mod(t*3,8))))*exp(-3*mod(t,0.33))+0.2*sin(880*t+3*sin(5*t))"
    "+0.05*(random(0)-0.5))"
    "|gt(mod(t,5),0.5)*(0.3*sin(2*PI*t*(330+30*floor(mod(t*2,5))))*exp(-2*mod(t,0.5))+0.3*(random(1)-0.5)*exp(-9*mod(t,1)))'"
)
SOUNDS = {
    "music": MUSIC,
    "silence": "anullsrc=cl=stereo",
    "full-scale-noise": "anoisesrc=a=1:seed=5,aformat=cl=stereo",
    "quiet-noise": "anoisesrc=a=0.001:c=pink:seed=6,aformat=cl=stereo",
    "tone": "sine=f=440,aformat=cl=stereo",
    "chord": "aevalsrc='0.2*(sin(2*PI*220*t)+sin(2*PI*277*t))|0.2*(sin(2*PI*294*t)+sin(2*PI*349*t))'",
    "fades": f"{MUSIC},volume='pow(10,-5*abs(sin(t/4)))':eval=frame",
}
KINDS = [
    *((32_000, channels, {"bit_rate": rate}) for channels in (1, 2) for rate in (64_000, 128_000, 192_000, 320_000)),
    *((32_000, channels, {"vbr_quality": quality}) for channels in (1, 2) for quality in (0, 2, 5, 9)),
    (48_000, 2, {"bit_rate": 320_000}),
    (44_100, 2, {"bit_rate": 128_000}),
    (24_000, 2, {"bit_rate": 8_000}),
    (22_050, 1, {"bit_rate": 56_000}),
    (16_000, 2, {"vbr_quality": 4}),
    (12_000, 1, {"bit_rate": 64_000}),
    (11_025, 2, {"bit_rate": 40_000}),
    (8_000, 1, {"bit_rate": 8_000}),
]


@cache
def pcm(sound: str = "music", sample_rate: int = 32_000, channels: int = 2, seconds: float = SECONDS) -> bytes:
    """Float samples of one of :data:`SOUNDS`."""
    source = f"{SOUNDS[sound]},aformat=r={sample_rate},atrim=end={seconds}"
    return run_full_ffmpeg("-f", "lavfi", "-i", source, "-ac", str(channels), "-f", "f32le", "pipe:1")


def encoding(sample_rate: int = 32_000, channels: int = 2, **rate: int) -> EncoderSettings:
    return EncoderSettings(
        program=executable(PARALLEL_ENCODER),
        sample_rate=sample_rate,
        channels=channels,
        bit_rate=rate.get("bit_rate", None if "vbr_quality" in rate else 128_000),
        vbr_quality=rate.get("vbr_quality"),
    )


def encode_serially(samples: bytes, wanted: EncoderSettings, path: Path) -> Path:
    """What one process makes of it."""
    rate = ("-q:a", str(wanted.vbr_quality)) if wanted.bit_rate is None else ("-b:a", str(wanted.bit_rate))
    pcm_arguments = ("-f", "f32le", "-ar", str(wanted.sample_rate), "-ac", str(wanted.channels), "-i", "pipe:0")
    tags = ("-metadata", "title=Both", "-id3v2_version", "3")
    command = [
        executable("ffmpeg"),
        "-loglevel",
        "error",
        *pcm_arguments,
        "-codec:a",
        "libmp3lame",
        *rate,
        *tags,
        "-y",
        str(path),
    ]
    subprocess.run(command, input=samples, check=True, env={})
    return path


@contextmanager
def piped(data: bytes, *, times: int = 1, then: Callable[[], None] = lambda: None) -> Iterator[int]:
    """The reading end of a pipe into which ``data`` is written some ``times``; ``then`` happens before it ends."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as file:
            for _ in range(times):
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            then()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join()


@dataclass(frozen=True)
class Both:
    serial: Path
    parallel: Path
    facts: ParallelResult

    @property
    def size_ratio(self) -> float:
        return self.parallel.stat().st_size / self.serial.stat().st_size


def encode_both(
    samples: bytes, wanted: EncoderSettings, folder: Path, *, workers: int = 2, window_bytes: int = SMALL_WINDOW_BYTES
) -> Both:
    serial = encode_serially(samples, wanted, folder / "serial.mp3")
    head = serial.read_bytes()[:5000]
    with piped(samples) as pipe, (folder / "parallel.mp3").open("wb") as destination:
        facts = encode_in_parallel(
            pipe,
            wanted,
            destination,
            head=lambda: head,
            workers=workers,
            deadline=time.monotonic() + 500,
            expected_sample_frames=len(samples) // wanted.sample_frame_bytes,
            window_bytes=window_bytes,
        )
    return Both(serial, folder / "parallel.mp3", facts)


def encode_both_and_join(samples: bytes, wanted: EncoderSettings, folder: Path, *, window_bytes: int) -> Both:
    """Again until there was a join: on a busy machine the first encoder may be done before the second gets to work."""
    for _ in range(10):
        both = encode_both(samples, wanted, folder, window_bytes=window_bytes)
        if both.facts.joins:
            return both
    raise AssertionError("no join in ten tries")


def decoded(mp3: Path) -> bytes:
    command = [executable("ffmpeg"), "-v", "error", "-i", str(mp3), "-f", "s16le", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=True, env={})
    assert done.stderr == b""
    return done.stdout


def window_for(wanted: EncoderSettings) -> int:
    """Four stretches of some ten seconds."""
    return 9 * SECONDS * wanted.sample_rate * wanted.sample_frame_bytes // 20


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize(
    ("sample_rate", "channels", "rate"),
    [pytest.param(*kind, id="-".join(map(str, (*kind[:2], *kind[2].items())))) for kind in KINDS],
)
def test_the_decoded_sound_is_that_of_one_encoder(
    sample_rate: int, channels: int, rate: dict[str, int], tmp_path: Path
) -> None:
    wanted = encoding(sample_rate, channels, **rate)
    samples = pcm("music", sample_rate, channels)

    both = encode_both_and_join(samples, wanted, tmp_path, window_bytes=window_for(wanted))

    parallel = decoded(both.parallel)
    assert both.facts.sample_frames == len(samples) // wanted.sample_frame_bytes
    assert len(parallel) == 2 * channels * both.facts.sample_frames
    assert parallel == decoded(both.serial)
    assert both.size_ratio == 1


@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize("sound", [sound for sound in SOUNDS if sound != "music"])
@pytest.mark.parametrize("rate", [{"bit_rate": 128_000}, {"vbr_quality": 4}], ids=["cbr", "vbr"])
def test_special_sounds_are_those_of_one_encoder(sound: str, rate: dict[str, int], tmp_path: Path) -> None:
    both = encode_both_and_join(pcm(sound), encoding(**rate), tmp_path, window_bytes=4 * SMALL_WINDOW_BYTES)

    assert decoded(both.parallel) == decoded(both.serial)


@dataclass(frozen=True)
class Asked:
    """Any encoding of any length, by any number of encoders, with any room to wait in."""

    sound: str
    mpeg_frames: int
    more: int
    sample_rate: int
    channels: int
    rate: dict[str, int]
    workers: int
    window_bytes: int

    @property
    def encoding(self) -> EncoderSettings:
        return encoding(self.sample_rate, self.channels, **self.rate)

    @property
    def sample_frames(self) -> int:
        # Of fewer than 47 in small MPEG frames, whoever wrote them, ffmpeg decodes 529 too many.
        least = 1 if self.sample_rate >= 32_000 else 47
        mpeg_frame = self.encoding.mpeg_frame_bytes // self.encoding.sample_frame_bytes
        return max(least, mpeg_frame * self.mpeg_frames + self.more)

    @property
    def samples(self) -> bytes:
        """The same PCM whatever the sample rate: at another one it plays at another speed."""
        return pcm(self.sound, channels=self.channels)[: self.sample_frames * self.encoding.sample_frame_bytes]


@st.composite
def anything(draw: st.DrawFn) -> Asked:
    sample_rate = draw(st.sampled_from(sorted(BIT_RATES)))
    longest = 1240 if sample_rate >= 32_000 else 2480
    short = st.sampled_from([784, 392, 98, 50, 49, 48, 2, 1, 0])  # encoders start at multiples of 49
    return Asked(
        sound=draw(st.sampled_from(sorted(SOUNDS))),
        # Long ones first: hypothesis likes what is small and simple.
        mpeg_frames=draw(st.integers(0, longest).map(lambda shorter_by: longest - shorter_by) | short),
        more=draw(st.sampled_from([-1, 0, 1, 47, 528, 529, 575, 576, 1105]) | st.integers(0, 1151)),
        sample_rate=sample_rate,
        channels=draw(st.sampled_from([1, 2])),
        rate=draw(
            st.sampled_from(BIT_RATES[sample_rate]).map(lambda rate: {"bit_rate": rate})
            | st.integers(0, 9).map(lambda quality: {"vbr_quality": quality})
        ),
        workers=draw(st.sampled_from([2, 3, 4, 5, 6, 1])),
        window_bytes=draw(st.sampled_from([SMALL_WINDOW_BYTES, 16 << 20, 1 << 20, 64 << 10])),
    )


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders start where they are hardly worth it, so that there are joins in seconds of sound."""
    monkeypatch.setattr(plan, "MINIMUM_FRAMES", plan.START_GRID)


def is_any_encoding_that_of_one_encoder(asked: Asked, tmp_path: Path) -> None:
    both = encode_both(asked.samples, asked.encoding, tmp_path, workers=asked.workers, window_bytes=asked.window_bytes)

    event(f"{min(both.facts.joins, 5)} joins")
    size = 2 * asked.channels * asked.sample_frames
    parallel = decoded(both.parallel)
    assert both.facts.sample_frames == asked.sample_frames
    assert len(parallel) == size
    # ffmpeg itself writes up to 46 sample frames too little padding where more than one MPEG frame is padding.
    assert parallel == decoded(both.serial)[:size]
    assert both.size_ratio == 1


@pytest.mark.usefixtures("short_stretches")
@settings(max_examples=12, suppress_health_check=SHARES_A_FOLDER)
@given(asked=anything())
def test_any_encoding_of_any_length_is_that_of_one_encoder(asked: Asked, tmp_path: Path) -> None:
    is_any_encoding_that_of_one_encoder(asked, tmp_path)


@pytest.mark.long
@pytest.mark.usefixtures("short_stretches")
@settings(max_examples=400, derandomize=False, suppress_health_check=SHARES_A_FOLDER)
@given(asked=anything())
def test_very_many_encodings_are_those_of_one_encoder(asked: Asked, tmp_path: Path) -> None:
    is_any_encoding_that_of_one_encoder(asked, tmp_path)


def test_without_knowing_the_length_the_result_is_the_same(tmp_path: Path) -> None:
    wanted = encoding()
    serial = encode_serially(pcm(), wanted, tmp_path / "serial.mp3")
    with piped(pcm()) as pipe, (tmp_path / "parallel.mp3").open("wb") as destination:
        facts = encode_in_parallel(
            pipe,
            wanted,
            destination,
            head=serial.read_bytes,
            workers=3,
            deadline=time.monotonic() + 300,
            window_bytes=SMALL_WINDOW_BYTES,
        )

    assert facts.joins >= 1
    assert decoded(tmp_path / "parallel.mp3") == decoded(serial)


@pytest.mark.parametrize("rate", [{"bit_rate": 128_000}, {"vbr_quality": 2}], ids=["cbr", "vbr"])
def test_tags_and_the_xing_header_are_those_of_one_encoder(rate: dict[str, int], tmp_path: Path) -> None:
    both = encode_both(pcm(), encoding(**rate), tmp_path)

    serial, parallel = both.serial.read_bytes(), both.parallel.read_bytes()
    start = serial.index(b"\xff\xfb")
    assert b"TIT2" in serial[:start]
    assert parallel[:start] == serial[:start]
    for data in (serial, parallel):
        frames = list(iterate_mpeg_frames(data, start))
        info = parse_info_tag(data, frames[0])
        assert info is not None
        assert info.lame is not None
        assert info.mpeg_frames == len(frames) - 1
        assert info.size_bytes == frames[-1].end - start == len(data) - start
        assert info.lame.tag_crc_is_valid
    if "bit_rate" in rate:
        # All but the CRC of the tag, which ffmpeg gets wrong.
        crc = start + 36 + 120 + 34
        assert parallel[:crc] + parallel[crc + 2 :] == serial[:crc] + serial[crc + 2 :]


def test_the_head_may_come_late_but_not_too_late(tmp_path: Path) -> None:
    wanted = encoding()
    head = encode_serially(pcm()[:80_000], wanted, tmp_path / "head.mp3").read_bytes()
    known = [b""]
    for then, fails in ((lambda: known.insert(0, head), False), (lambda: known.insert(0, b""), True)):
        with piped(pcm(), then=then) as pipe, (tmp_path / "parallel.mp3").open("wb") as destination:
            try:
                encode_in_parallel(
                    pipe,
                    wanted,
                    destination,
                    head=lambda: known[0],
                    workers=2,
                    deadline=time.monotonic() + 300,
                )
            except ParallelEncodingFailed:
                assert fails
            else:
                assert not fails


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exit 1", id="exits"),
        pytest.param("cat >/dev/null", id="writes-nothing-and-succeeds"),
        pytest.param("cat", id="writes-something-else"),
        pytest.param("head -c 3000000 >/dev/null; exit 1", id="breaks-off"),
        pytest.param("exec 0<&-; sleep 3600", id="stops-reading"),
    ],
)
def test_an_encoder_that_fails_is_noticed(script: str, tmp_path: Path) -> None:
    program = tmp_path / "encoder"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    good = encoding()
    head = encode_serially(pcm()[:80_000], good, tmp_path / "head.mp3").read_bytes()
    bad = replace(good, program=str(program))

    with (
        piped(pcm()) as pipe,
        (tmp_path / "parallel.mp3").open("wb") as destination,
        pytest.raises(ParallelEncodingFailed),
    ):
        encode_in_parallel(pipe, bad, destination, head=lambda: head, workers=2, deadline=time.monotonic() + 300)


def test_an_encoder_that_writes_without_end_is_noticed(tmp_path: Path) -> None:
    """All of it are MPEG frames as expected; they would fill the memory and the disk."""
    good = encoding(bit_rate=128_000)
    serial = encode_serially(pcm()[:80_000], good, tmp_path / "head.mp3").read_bytes()
    second = list(iterate_mpeg_frames(serial, id3v2_bytes(serial)))[1]
    (tmp_path / "frames").write_bytes(serial[second.offset : second.end] * 100)
    program = tmp_path / "encoder"
    program.write_text(f"#!/bin/sh\nwhile :; do cat {tmp_path}/frames; done\n")
    program.chmod(0o755)

    with (
        piped(pcm()) as pipe,
        (tmp_path / "parallel.mp3").open("wb") as destination,
        pytest.raises(ParallelEncodingFailed, match="more MPEG frames than its PCM"),
    ):
        encode_in_parallel(
            pipe,
            replace(good, program=str(program)),
            destination,
            head=lambda: serial,
            workers=2,
            deadline=time.monotonic() + 300,
        )


def test_an_encoder_that_stays_when_it_has_written_all_keeps_nobody_waiting(tmp_path: Path) -> None:
    program = tmp_path / "encoder"
    program.write_text("#!/bin/sh\nexec 1>&-\nsleep 3600\n")
    program.chmod(0o755)
    bad = replace(encoding(), program=str(program))

    with piped(pcm()) as pipe, (tmp_path / "parallel.mp3").open("wb") as destination, pytest.raises(TimeLimit):
        encode_in_parallel(pipe, bad, destination, head=lambda: b"", workers=2, deadline=time.monotonic() + 0.5)


@pytest.mark.usefixtures("short_stretches")
def test_encoders_that_never_agree_are_one_encoder_and_do_not_wait_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []

    def find(join: Join) -> None:
        waiting.append(join._first.end - join._second.first)

    monkeypatch.setattr(Join, "find", find)
    monkeypatch.setattr(ring, "_MOST_FRAMES_TO_AGREE", 100)

    both = encode_both(pcm(), encoding(), tmp_path)

    assert both.facts.joins == 0
    assert both.facts.discarded_mpeg_frames > 0
    assert 100 < max(waiting) < 100 + 400, "a megabyte of pipe and what is read at once"
    assert decoded(both.parallel) == decoded(both.serial)


def test_no_pcm_is_no_result(tmp_path: Path) -> None:
    wanted = encoding()
    head = encode_serially(pcm()[:80_000], wanted, tmp_path / "head.mp3").read_bytes()

    with (
        piped(b"") as pipe,
        (tmp_path / "parallel.mp3").open("wb") as destination,
        pytest.raises(ParallelEncodingFailed),
    ):
        encode_in_parallel(pipe, wanted, destination, head=lambda: head, workers=2, deadline=time.monotonic() + 300)


def test_the_deadline_ends_everything(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        with (tmp_path / "parallel.mp3").open("wb") as destination, pytest.raises(TimeLimit):
            encode_in_parallel(
                reading, encoding(), destination, head=lambda: b"", workers=2, deadline=time.monotonic() + 0.3
            )
    finally:
        os.close(reading)
        os.close(writing)


def test_progress_grows_and_what_it_raises_ends_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_PROGRESS_TICKS", 1)
    wanted = encoding()
    head = encode_serially(pcm()[:80_000], wanted, tmp_path / "head.mp3").read_bytes()
    seen: list[int] = []

    def look(sample_frames: int) -> None:
        seen.append(sample_frames)
        if sample_frames > 400_000:
            raise BrokenPipeError("mine")

    with (
        piped(pcm(), times=6) as pipe,
        (tmp_path / "parallel.mp3").open("wb") as destination,
        pytest.raises(BrokenPipeError, match="mine"),
    ):
        encode_in_parallel(
            pipe,
            wanted,
            destination,
            head=lambda: head,
            workers=2,
            deadline=time.monotonic() + 300,
            on_progress=look,
        )

    assert seen == sorted(seen)
    assert 400_000 < seen[-1] < 6 * SECONDS * 32_000


needs_judges = pytest.mark.skipif(
    not all(map(shutil.which, ("mp3val", "mpg123", "lame"))), reason="mp3val, mpg123 and lame are not installed"
)


def other_programs_agree(mp3: Path, sample_frames: int, channels: int) -> None:
    """mp3val and mpg123 are silent; mpg123, LAME and ffmpeg decode as many sample frames."""
    report = subprocess.run(["mp3val", mp3], capture_output=True, check=True, text=True).stdout
    assert "WARNING" not in report
    assert "ERROR" not in report
    mpg123 = subprocess.run(["mpg123", "-q", "-s", mp3], capture_output=True, check=True)
    assert mpg123.stderr == b""
    wav = mp3.with_suffix(".wav")
    subprocess.run(["lame", "--silent", "--decode", mp3, wav], capture_output=True, check=True)
    size = 2 * channels * sample_frames
    assert (len(mpg123.stdout), wav.stat().st_size - 44, len(decoded(mp3))) == (size, size, size)


@needs_judges
@pytest.mark.parametrize("rate", [{"bit_rate": 64_000}, {"bit_rate": 320_000}, {"vbr_quality": 0}, {"vbr_quality": 6}])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_programs_find_no_fault_and_agree_on_the_length(
    channels: int, rate: dict[str, int], tmp_path: Path
) -> None:
    both = encode_both(pcm("music", 32_000, channels), encoding(32_000, channels, **rate), tmp_path)

    other_programs_agree(both.parallel, both.facts.sample_frames, channels)


@pytest.mark.long
@needs_judges
@pytest.mark.usefixtures("short_stretches")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", sorted(BIT_RATES))
def test_every_rate_of_mp3(sample_rate: int, channels: int, tmp_path: Path) -> None:
    samples = pcm("fades", channels=channels)[: SECONDS // 2 * 32_000 * 4 * channels]
    rates: list[dict[str, int]] = [
        *({"bit_rate": rate} for rate in BIT_RATES[sample_rate]),
        *({"vbr_quality": quality} for quality in range(10)),
    ]
    joins = 0
    for rate in rates:
        both = encode_both(samples, encoding(sample_rate, channels, **rate), tmp_path, workers=3)

        size = 2 * channels * both.facts.sample_frames
        assert decoded(both.parallel) == decoded(both.serial)[:size], rate
        assert both.size_ratio == 1, rate
        other_programs_agree(both.parallel, both.facts.sample_frames, channels)
        joins += both.facts.joins
    assert joins >= len(rates)
