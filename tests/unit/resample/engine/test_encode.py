"""One encoder or several, and one after all where several fail. Decoder and encoders are stand-ins."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import TimeLimit
from resample.engine import encode as encode_module
from resample.engine.encode import PARALLEL_FROM_SECONDS, encode
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.parallel.ring import encode_in_parallel
from resample.engine.progress import Progress
from resample.formats.containers import WAV
from tests.unit.resample.engine.conftest import Programs
from tests.unit.resample.engine.parallel.test_info_header import template
from tests.unit.resample.engine.parallel.test_parallel_ring import AS_ONE_ENCODER, ENCODER, MPEG_FRAMES, numbers, pcm

SECONDS = MPEG_FRAMES * 1152 / 32_000  # 54
BY_ONE = b"what one ffmpeg writes"

# With a pipe for PCM it decodes, and writes the head; without one it does all.
FFMPEG = """#!/bin/sh
echo "$@" >>{folder}/ffmpeg.calls
for argument; do case "$argument" in pipe:1) ;; pipe:*) pcm=${{argument#pipe:}};; esac; last=${{argument#file:}}; done
echo '[mp3 @ 0x5] [error] Error submitting packet to decoder: x' >&2
if [ -z "$pcm" ]; then echo out_time_us=1000000; exec /bin/cp {folder}/by-one "$last"; fi
/bin/cp {folder}/head "$last"
/bin/cat {folder}/pcm >/proc/self/fd/$pcm
"""


@pytest.fixture
def task(programs: Programs, tmp_path: Path) -> EncodeTask:
    folder = programs.folder
    for name, script in (("ffmpeg", FFMPEG.format(folder=folder)), ("lame-frames", ENCODER)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "by-one").write_bytes(BY_ONE)
    (folder / "head").write_bytes(template())
    (folder / "pcm").write_bytes(pcm())
    source = tmp_path / "source"
    source.write_bytes(bytes(100))
    probed = ProbeResult("pcm_s16le", 32_000, 1, "s16", "mono", SECONDS, None)
    conversion = Conversion(bit_rate=128_000)
    return EncodeTask(source, WAV, probed, conversion, tmp_path / "x.mp3", tmp_path, time.monotonic() + 300)


def run(task: EncodeTask, *, encoders: int = 2, seconds: float | None = SECONDS) -> FfmpegReport:
    return encode(task, Progress(seconds, lambda _: None), encoders=encoders)


def test_several_encoders_make_what_one_makes(task: EncodeTask, programs: Programs) -> None:
    report = run(task)

    written = task.destination.read_bytes()
    assert numbers(written[len(template()) :]) == AS_ONE_ENCODER
    assert report == FfmpegReport(decode_errors=1, sample_frames=MPEG_FRAMES * 1152)
    assert len(programs.calls("ffmpeg")) == 1


@pytest.mark.parametrize(
    ("encoders", "seconds"),
    [(1, SECONDS), (2, PARALLEL_FROM_SECONDS - 0.1), (2, None)],
    ids=["one encoder", "short", "nobody knows how long"],
)
def test_one_encoder_is_enough(task: EncodeTask, encoders: int, seconds: float | None) -> None:
    report = run(task, encoders=encoders, seconds=seconds)

    assert task.destination.read_bytes() == BY_ONE
    assert report == FfmpegReport(decode_errors=1), "no fallback, as nothing failed"


def test_forty_seconds_are_worth_two(task: EncodeTask) -> None:
    assert run(task, seconds=PARALLEL_FROM_SECONDS).sample_frames == MPEG_FRAMES * 1152


def test_several_are_told_how_much_to_share(task: EncodeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Mock(wraps=encode_in_parallel)
    monkeypatch.setattr(encode_module, "encode_in_parallel", shared)

    run(task)

    assert shared.call_args.kwargs["expected_sample_frames"] == MPEG_FRAMES * 1152


def test_without_the_layers_encoder_one_ffmpeg_does_it_all(task: EncodeTask, programs: Programs) -> None:
    (programs.folder / "lame-frames").unlink()

    assert not run(task).is_fallback
    assert task.destination.read_bytes() == BY_ONE


def test_where_several_fail_one_does_it_all_over(
    task: EncodeTask, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    (programs.folder / "lame-frames").write_text("#!/bin/sh\nexit 1\n")

    with caplog.at_level(logging.WARNING):
        report = run(task)

    assert task.destination.read_bytes() == BY_ONE
    assert report.is_fallback
    assert report.decode_errors == 1, "those of the second reading alone"
    assert "parallel encoding failed; falling back to a single encoder" in caplog.messages
    assert len(programs.calls("ffmpeg")) == 2


def test_a_cover_that_is_too_big_for_the_memory(task: EncodeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_module, "MAX_HEAD_BYTES", len(template()) - 1)
    assert run(task).is_fallback

    monkeypatch.setattr(encode_module, "MAX_HEAD_BYTES", len(template()))
    assert not run(task).is_fallback


def test_time_that_ran_out_is_no_reason_to_do_it_all_over(task: EncodeTask, programs: Programs) -> None:
    with pytest.raises(TimeLimit):
        run(replace(task, deadline=time.monotonic() - 1))

    assert len(programs.calls("ffmpeg")) <= 1


def test_a_head_that_comes_after_the_sound_is_waited_for(task: EncodeTask, programs: Programs) -> None:
    """ffmpeg may close the pipe for PCM before it writes the head: only its end says that the head is whole."""
    folder = programs.folder
    (folder / "ffmpeg").write_text(
        f"#!{sys.executable} -IS\n"
        "import os, shutil, sys, time\n"
        "pcm = next(int(a[5:]) for a in sys.argv if a.startswith('pipe:'))\n"
        f"with open('{folder}/pcm', 'rb') as source, open(pcm, 'wb') as pipe: shutil.copyfileobj(source, pipe)\n"
        "time.sleep(0.3)\n"
        f"shutil.copyfile('{folder}/head', sys.argv[-1].removeprefix('file:'))\n"
    )

    report = run(task)

    assert not report.is_fallback
    assert numbers(task.destination.read_bytes()[len(template()) :]) == AS_ONE_ENCODER


def test_progress_is_what_the_encoders_have_done(task: EncodeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.engine.parallel.ring._PROGRESS_TICKS", 1)
    progress = Progress(SECONDS, lambda _: None)

    encode(task, progress, encoders=2)

    assert 0 < progress.seconds <= SECONDS + 0.1


def test_the_larger_a_file_the_more_may_be_said_of_it(task: EncodeTask) -> None:
    """ffmpeg reports damage once a packet."""
    before = task.max_message_bytes
    assert isinstance(task.source, Path)
    task.source.write_bytes(bytes(100 + 4000))

    assert task.max_message_bytes == before + 1000
