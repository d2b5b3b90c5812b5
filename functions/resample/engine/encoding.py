"""From a file to an MP3 file, as fast as this machine can: by one ffmpeg, or by several encoders at a time.

Both ways give the same sound. Where several encoders find anything that they don't understand, one ffmpeg does it all
over: slower, never wrong.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audiojobs.conversion import Conversion
from resample.engine.ffmpeg.arguments import decode_command, encode_command, output_channels
from resample.engine.ffmpeg.probed import Probed
from resample.engine.parallel import EncoderSettings, ParallelEncodingFailed, encode_in_parallel
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import Container
from resample.sandbox.process import Finished, executable, run

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_SECONDS = 0.5

PARALLEL_FROM_SECONDS = 40.0
"""Shorter files take one process: on two cores, two encoders are no faster than one at 30 seconds."""

PARALLEL_ENCODER = "lame-frames"
"""Stands beside ffmpeg in the layer. Where it does not, as with an ffmpeg of the system's, one process does it all."""

_SAID = re.compile(
    r"(?:\[[^\[\]]+ @ 0x[0-9a-f]+\] )*\[(?P<level>verbose|info|warning|error|fatal|panic)\] (?P<text>.*)"
)
_ENCODED = re.compile(r"  Output stream #0:\d+ \(audio\): \d+ frames encoded \((?P<sample_frames>\d+) samples\)")
_DISK_FULL = 256 - errno.ENOSPC
"""ffmpeg's exit status. Its words would prove nothing: some tags are printed as they are, line breaks included."""

_DECODE_ERROR = re.compile(r"Error (while decoding stream|submitting packet to decoder|during demuxing)|Decoding error")


@dataclass(slots=True)
class Report:
    """What ffmpeg wrote to stderr, as far as it matters.

    ``sample_frames`` is how many went into the encoder, ``None`` if it did not get to the end. ``is_fallback`` tells
    that several encoders were tried and one did it.
    """

    exit_status: int = 0
    decode_errors: int = 0
    sample_frames: int | None = None
    is_fallback: bool = False

    def read_line(self, line: str) -> bool:
        """Take note of a line; tells whether it is worth keeping for the log.

        The tags of the file are printed too, as information, and their further lines behind spaces. Any other line
        without a level is LAME's or libc's own.
        """
        said = _SAID.match(line)
        if said is None:
            return not line.startswith(" ")
        if match := _ENCODED.match(said["text"]):
            self.sample_frames = int(match["sample_frames"])
        if said["level"] in ("verbose", "info", "warning"):
            return False
        self.decode_errors += _DECODE_ERROR.search(said["text"]) is not None
        return True

    @property
    def is_disk_full(self) -> bool:
        return self.exit_status == _DISK_FULL

    def end(self, finished: Finished) -> None:
        """Take note of how ffmpeg ended."""
        self.exit_status = finished.exit_status
        if finished.exit_status or finished.last_lines:
            logger.warning(
                "ffmpeg complained", extra={"exit_status": finished.exit_status, "stderr": list(finished.last_lines)}
            )


class Progress:
    """Passes on how much of ``expected_seconds`` is done, growing from 0 to 1, at most every half second.

    ``seconds`` of sound are done, whether or not anybody knows how many there will be.
    """

    def __init__(self, expected_seconds: float | None, on_progress: Callable[[float], None]) -> None:
        self.expected_seconds = expected_seconds
        self.seconds = 0.0
        self._on_progress = on_progress
        self._rest = b""
        self._fraction = 0.0
        self._last = time.monotonic()

    def feed(self, data: bytes) -> None:
        """Read ffmpeg's progress reports (``out_time_us=1234567`` among other lines)."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:100]
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"out_time_us" and value.strip().isdigit():
                self.reach(int(value) / 1e6)

    def reach(self, seconds: float) -> None:
        """So much is done."""
        self.seconds = max(self.seconds, seconds)
        if self.expected_seconds:
            self._fraction = min(1.0, self.seconds / self.expected_seconds)
        now = time.monotonic()
        if self._fraction and now - self._last >= PROGRESS_INTERVAL_SECONDS:
            self._last = now
            self._on_progress(self._fraction)


@dataclass(frozen=True, slots=True)
class Task:
    """A file, what is known of it, and what is wanted. ``folder`` is for scratch files; all paths are absolute."""

    source: Path | StreamedSource
    container: Container
    probed: Probed
    conversion: Conversion
    destination: Path
    folder: Path
    deadline: float


def encode(task: Task, progress: Progress, *, encoders: int) -> Report:
    """Write the MP3, with so many ``encoders`` at a time where that pays off.

    Raises :class:`~audiojobs.errors.TimeLimit`, :class:`~audiojobs.errors.InternalError`, and what a progress
    callback raises. Whether the result is good is for the caller to judge.
    """
    program = shutil.which(PARALLEL_ENCODER)
    if encoders < 2 or program is None or (progress.expected_seconds or 0.0) < PARALLEL_FROM_SECONDS:
        return _encode_with_one(task, progress)
    try:
        return _encode_with_several(task, progress, program, encoders)
    except ParallelEncodingFailed:
        logger.warning("parallel encoding failed; falling back to a single encoder", exc_info=True)
    report = _encode_with_one(task, progress)
    report.is_fallback = True
    return report


@contextmanager
def _input(source: Path | StreamedSource) -> Iterator[tuple[Path | None, int]]:
    """The path that ffmpeg shall read, ``None`` for stdin, and what shall be its stdin."""
    if isinstance(source, Path):
        yield source, subprocess.DEVNULL
    else:
        with source.flowing() as pipe:
            yield None, pipe


def _encode_with_one(task: Task, progress: Progress) -> Report:
    report = Report()
    with _input(task.source) as (source, stdin):
        report.end(
            run(
                encode_command(
                    executable("ffmpeg"), source, task.container, task.probed, task.conversion, task.destination
                ),
                folder=task.folder,
                deadline=task.deadline,
                on_output=progress.feed,
                on_line=report.read_line,
                stdin=stdin,
            )
        )
    return report


def _encode_with_several(task: Task, progress: Progress, program: str, encoders: int) -> Report:
    """One process decodes and resamples, and writes the tags; the encoders take the PCM from its pipe."""
    ffmpeg = executable("ffmpeg")
    head = task.folder / "head.mp3"
    wanted = EncoderSettings(
        program=program,
        sample_rate=task.conversion.sample_rate,
        channels=output_channels(task.probed, task.conversion),
        bit_rate=task.conversion.constant_bit_rate,
        vbr_quality=task.conversion.vbr_quality,
    )
    report = Report()
    with _input(task.source) as (source, stdin), ThreadPoolExecutor(1, "decoder") as thread:
        reading, writing = os.pipe()
        decoding = thread.submit(
            run,
            decode_command(ffmpeg, source, task.container, task.probed, task.conversion, pcm=writing, head=head),
            folder=task.folder,
            deadline=task.deadline,
            on_output=lambda _: None,
            on_line=report.read_line,
            inherited=writing,
            stdin=stdin,
        )
        try:
            with task.destination.open("wb") as destination:
                encoded = encode_in_parallel(
                    reading,
                    wanted,
                    destination,
                    head=partial(_read_head, head, reading, decoding),
                    workers=encoders,
                    deadline=task.deadline,
                    expected_sample_frames=round((progress.expected_seconds or 0.0) * wanted.sample_rate),
                    on_progress=lambda sample_frames: progress.reach(sample_frames / wanted.sample_rate),
                )
        finally:
            os.close(reading)  # a decoder that still writes is stopped by this
        report.end(decoding.result())
    report.sample_frames = encoded.sample_frames
    return report


def _read_head(head: Path, pcm: int, decoding: Future[Finished]) -> bytes:
    """The short MP3 that the decoder writes beside the PCM: while it grows, and whole when there is no more PCM."""
    poll = select.poll()
    poll.register(pcm, select.POLLIN)
    if any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0)):
        decoding.result()
    return head.read_bytes() if head.exists() else b""
