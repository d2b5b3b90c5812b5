"""Several encoders make what one makes. The encoder is a stand-in whose MPEG frames tell what it was given."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from audiojobs.errors import TimeLimit
from resample.engine.parallel import plan, ring
from resample.engine.parallel.encoder_process import Encoder, EncoderSettings
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.ring import ParallelResult, encode_in_parallel
from resample.sandbox.strays import children
from tests.unit.resample.engine.parallel.test_info_header import template

BLOCK_BYTES = 1152 * 4  # of PCM, for one MPEG frame
FRAME_BYTES = 576
WARM_UP = 60
MPEG_FRAMES = 1500

# An MPEG frame of 400 bytes of main data for each block of PCM, which begins with its own number; the first 60 differ
# from what an encoder writes that has started earlier. At the end, one more for what is held back.
ENCODER = f"""#!{sys.executable} -IS
import sys
def frame(number, is_new):
    bits = f"{{0:018b}}{{3200:012b}}{{2 * number + is_new:047b}}{{0:059b}}"
    main = bytes([number & 0xFF, number >> 8, is_new]) + bytes([0x5A]) * 397
    return (bytes.fromhex("fffb98c0") + int(bits, 2).to_bytes(17, "big") + main).ljust({FRAME_BYTES}, b"U")
count = number = 0
while block := sys.stdin.buffer.read({BLOCK_BYTES}):
    number = int.from_bytes(block[:4], "little")
    sys.stdout.buffer.write(frame(number, count < {WARM_UP}))
    sys.stdout.buffer.flush()
    count += 1
sys.stdout.buffer.write(frame(number + 1, False))
"""

# The first one goes on when another one has written a hundred.
WAIT = """    if number == 400 == count - 1:
        until = time.monotonic() + 60
        while not os.path.exists({other!r}) and time.monotonic() < until:
            time.sleep(0.01)
    if count == 100 != number + 1:
        open({other!r}, "w").close()
"""

Encode = Callable[..., tuple[ParallelResult, bytes]]


def first_waits(encoder: str, folder: Path) -> str:
    waits = WAIT.format(other=str(folder / "other"))
    return encoder.replace("import sys\n", "import os, sys, time\n").replace("count += 1\n", f"count += 1\n{waits}")


def pcm(mpeg_frames: int = MPEG_FRAMES) -> bytes:
    return b"".join(number.to_bytes(4, "little") + bytes(BLOCK_BYTES - 4) for number in range(mpeg_frames))


def numbers(music: bytes) -> list[tuple[int, int]]:
    """Of which block each MPEG frame is, and whether its encoder was new."""
    frames = [music[at : at + FRAME_BYTES] for at in range(0, len(music), FRAME_BYTES)]
    return [(frame[21] | frame[22] << 8, frame[23]) for frame in frames]


@contextmanager
def piped(*bursts: bytes, before_the_end: Callable[[], object] = bool) -> Iterator[int]:
    """The reading end of a pipe into which the bursts are written, a second after each other."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            try:
                for number, burst in enumerate(bursts):
                    time.sleep(min(number, 1))
                    pipe.write(burst)
                    pipe.flush()
            except BrokenPipeError:
                return
            before_the_end()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> EncoderSettings:
    return EncoderSettings(program(tmp_path, ENCODER), 32_000, 1, 128_000, None)


def program(folder: Path, script: str) -> str:
    path = folder / "encoder"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    descriptors, before = len(list(Path("/proc/self/fd").iterdir())), children(os.getpid())
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert children(os.getpid()) <= before


@pytest.fixture
def encode(settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch) -> Encode:
    """With stretches that are short enough for a test."""
    monkeypatch.setattr(plan, "MINIMUM_FRAMES", 196)

    def encode(content: bytes | None = None, *, workers: int = 2, **named: object) -> tuple[ParallelResult, bytes]:
        destination = io.BytesIO()
        with piped(pcm() if content is None else content) as pipe:
            given: dict[str, object] = {"head": template, "deadline": time.monotonic() + 300, **named}
            result = encode_in_parallel(pipe, settings, destination, workers=workers, **given)  # type: ignore[arg-type]
        return result, destination.getvalue()

    return encode


AS_ONE_ENCODER = [(number, number < WARM_UP) for number in range(MPEG_FRAMES + 1)]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    "expected",
    [None, MPEG_FRAMES * 1152, MPEG_FRAMES * 600, MPEG_FRAMES * 2000],
    ids=["unknown", "known", "less", "more"],
)
def test_the_file_is_that_of_one_encoder(encode: Encode, workers: int, expected: int | None) -> None:
    result, mp3 = encode(workers=workers, expected_sample_frames=expected)

    head = len(template())
    assert numbers(mp3[head:]) == AS_ONE_ENCODER
    assert (result.sample_frames, result.mpeg_frames) == (MPEG_FRAMES * 1152, MPEG_FRAMES + 1)
    assert result.size_bytes == len(mp3)
    assert mp3[:10] == template()[:10]
    if workers == 1:
        assert (result.joins, result.discarded_mpeg_frames) == (0, 0)


def test_the_second_takes_over_where_both_agree(encode: Encode, settings: EncoderSettings) -> None:
    program(Path(settings.program).parent, first_waits(ENCODER, Path(settings.program).parent))

    result, mp3 = encode(expected_sample_frames=MPEG_FRAMES * 1152)

    assert numbers(mp3[len(template()) :]) == AS_ONE_ENCODER
    assert result.joins >= 1
    assert result.discarded_mpeg_frames >= WARM_UP + 32


def test_memory_for_little_of_it_is_enough(encode: Encode) -> None:
    _, mp3 = encode(window_bytes=1 << 20, expected_sample_frames=MPEG_FRAMES * 1152)

    assert numbers(mp3[len(template()) :]) == AS_ONE_ENCODER


def test_progress_grows_to_the_end(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_PROGRESS_TICKS", 1)
    told: list[int] = []

    encode(on_progress=told.append, expected_sample_frames=MPEG_FRAMES * 1152)

    assert told[0] >= 0
    assert max(told) <= (MPEG_FRAMES + 2) * 1152
    assert sorted(told)[len(told) // 2] > 0


def test_what_the_callback_raises_ends_it(encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "_PROGRESS_TICKS", 1)

    def stop(_: int) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        encode(on_progress=stop)


def test_the_deadline_ends_it(encode: Encode) -> None:
    with pytest.raises(TimeLimit):
        encode(deadline=time.monotonic() - 1)


@pytest.mark.parametrize("content", [b"", pcm(3) + b"\0"], ids=["none", "a piece of a sample"])
def test_pcm_that_is_none(encode: Encode, content: bytes) -> None:
    with pytest.raises(ParallelEncodingFailed, match=f"{len(content)} bytes of PCM"):
        encode(content)


class TestTheHead:
    def test_may_come_late(self, settings: EncoderSettings) -> None:
        known = [b""]
        destination = io.BytesIO()

        with piped(pcm(300), before_the_end=lambda: known.insert(0, template())) as pipe:
            encode_in_parallel(
                pipe, settings, destination, head=lambda: known[0], workers=2, deadline=time.monotonic() + 300
            )

        assert numbers(destination.getvalue()[len(template()) :]) == [*AS_ONE_ENCODER[:300], (300, 0)]

    def test_never_comes(self, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ParallelEncodingFailed, match="no Xing/Info tag"):
            encode(pcm(300), head=bytes)

        monkeypatch.setattr(ring, "_MOST_FRAMES_WITHOUT_HEAD", 100)
        with pytest.raises(ParallelEncodingFailed, match="the head does not come"):
            encode(head=bytes)

    def test_is_of_another_kind_of_mp3(self, encode: Encode) -> None:
        stereo = template().replace(bytes.fromhex("fffb98c4"), bytes.fromhex("fffb9804"), 1)
        moved = stereo[: 140 + 4] + bytes(15) + stereo[140 + 4 : -15]  # its side information is longer

        with pytest.raises(ParallelEncodingFailed, match="another kind of MP3"):
            encode(head=lambda: moved)

    def test_grows_when_its_place_is_taken(self, encode: Encode) -> None:
        heads = iter([template()])

        with pytest.raises(ParallelEncodingFailed):
            encode(pcm(300), head=lambda: next(heads, b""))

    @pytest.mark.parametrize("change", [-1, 1], ids=["shorter", "longer"])
    def test_has_another_length_at_the_end(self, encode: Encode, change: int) -> None:
        """By a byte of its tags: the music would not begin behind it."""
        other = bytearray(template()[:140] + bytes(max(0, change)) + template()[140:])
        other[9] += change
        if change < 0:
            del other[139]
        heads = iter([template()])

        with pytest.raises(ParallelEncodingFailed, match="no Xing/Info tag"):
            encode(pcm(300), head=lambda: next(heads, bytes(other)))


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "cat >/dev/null",
        "cat",
        "head -c 300000 >/dev/null; exit 1",
        "exec 0<&-; sleep 3600",
    ],
    ids=["exits", "writes nothing", "writes something else", "breaks off", "stops reading"],
)
def test_an_encoder_that_fails(encode: Encode, settings: EncoderSettings, script: str) -> None:
    program(Path(settings.program).parent, f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")

    with pytest.raises(ParallelEncodingFailed):
        encode()


def test_an_encoder_that_writes_more_than_its_pcm_has(encode: Encode, settings: EncoderSettings) -> None:
    script = ENCODER.replace("count += 1", "count += 1; sys.stdout.buffer.write(frame(number, False) * 9)")
    program(Path(settings.program).parent, script)

    with pytest.raises(ParallelEncodingFailed, match="more MPEG frames than its PCM"):
        encode()


def test_encoders_that_never_agree_are_one(
    encode: Encode, settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_MOST_FRAMES_TO_AGREE", 100)
    script = first_waits(ENCODER, Path(settings.program).parent)
    program(Path(settings.program).parent, script.replace(f"count < {WARM_UP}", "count != number"))

    result, mp3 = encode(expected_sample_frames=MPEG_FRAMES * 1152)

    assert result.joins == 0
    assert 100 <= result.discarded_mpeg_frames <= 2 * MPEG_FRAMES
    assert numbers(mp3[len(template()) :]) == [(number, 0) for number in range(MPEG_FRAMES + 1)]


def test_no_encoder_starts_behind_what_was_written(settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """PCM comes in bursts; while this process waits, the encoder passes the place where the next one was to start."""
    monkeypatch.setattr(plan, "MINIMUM_FRAMES", 196)
    collect = Encoder.collect

    def collect_late(encoder: Encoder) -> bool:
        time.sleep(0.1)
        return collect(encoder)

    monkeypatch.setattr(Encoder, "collect", collect_late)
    mp3, content = io.BytesIO(), pcm()
    first, second = 480 * BLOCK_BYTES, 770 * BLOCK_BYTES

    with piped(content[:first], content[first:second], content[second:]) as pipe:
        encode_in_parallel(
            pipe,
            settings,
            mp3,
            head=template,
            workers=2,
            deadline=time.monotonic() + 300,
            expected_sample_frames=MPEG_FRAMES * 1152,
        )

    assert numbers(mp3.getvalue()[len(template()) :]) == AS_ONE_ENCODER


@pytest.mark.parametrize("workers", [1, 2])
def test_it_sleeps_while_there_is_nothing_to_do(
    settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A decoder that is slower than the encoders needs the processor itself. The PCM stops for a second."""
    slept: list[float] = []
    sleep = time.sleep

    def note(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    content = pcm(60)
    with piped(content[: len(content) // 2], content[len(content) // 2 :]) as pipe:
        monkeypatch.setattr(time, "sleep", note)
        encode_in_parallel(
            pipe, settings, io.BytesIO(), head=template, workers=workers, deadline=time.monotonic() + 300
        )

    assert any(0 < seconds < 0.1 for seconds in slept)


def test_a_pipe_or_memory_that_cannot_be_had(settings: EncoderSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(pipe: int) -> None:
        encode_in_parallel(pipe, settings, io.BytesIO(), head=template, workers=2, deadline=time.monotonic() + 300)

    with pytest.raises(ParallelEncodingFailed, match="Bad file descriptor"):
        encode(-1)

    def no_memory(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("resample.engine.parallel.pcm_window.mmap.mmap", no_memory)
    with piped(pcm(10)) as pipe, pytest.raises(ParallelEncodingFailed, match="Cannot allocate memory"):
        encode(pipe)


def test_no_encoder_at_all(encode: Encode, settings: EncoderSettings) -> None:
    Path(settings.program).unlink()

    with pytest.raises(ParallelEncodingFailed):
        encode()


class TestSettings:
    @pytest.mark.parametrize(
        ("sample_rate", "channels", "block_bytes"),
        [(48_000, 2, 9216), (32_000, 1, 4608), (24_000, 2, 4608), (8_000, 1, 2304)],
    )
    def test_the_pcm_of_an_mpeg_frame(self, sample_rate: int, channels: int, block_bytes: int) -> None:
        assert EncoderSettings("x", sample_rate, channels, 64_000, None).mpeg_frame_bytes == block_bytes

    def test_the_command(self, settings: EncoderSettings) -> None:
        assert settings.command()[1:] == ["32000", "1", "128000"]
        assert replace(settings, bit_rate=None, vbr_quality=0).command()[1:] == ["32000", "1", "v0"]

    def test_where_encoders_start_and_how_long_they_are_not_trusted(self, settings: EncoderSettings) -> None:
        variable = replace(settings, bit_rate=None, vbr_quality=2)

        assert (settings.start_grid, settings.warm_up_frames) == (49, 0)
        assert (variable.start_grid, variable.warm_up_frames) == (196, 98)

    @pytest.mark.parametrize(("bit_rate", "quality"), [(None, None), (64_000, 2)])
    def test_one_kind_of_rate_is_given(self, bit_rate: int | None, quality: int | None) -> None:
        with pytest.raises(ValueError, match="either"):
            EncoderSettings("x", 32_000, 1, bit_rate, quality)
