"""From a file to an MP3 file, as fast as this machine can: by one ffmpeg, or by several encoders at a time.

Both ways give the same file, to the byte. Where parallel encoding finds anything unexpected, one ffmpeg does it all
over: slower, never wrong.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.arguments import decode_command, output_channels
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.parallel import EncoderSettings, ParallelEncodingFailed, encode_in_parallel
from resample.engine.progress import Progress
from resample.engine.serial import encode_serially
from resample.sandbox.process import Finished, executable, run

logger = logging.getLogger(__name__)

PARALLEL_FROM_SECONDS = 40.0
"""Shorter files take one process: on two cores, two encoders are no faster than one at 30 seconds."""

PARALLEL_ENCODER = "lame-frames"
"""Stands beside ffmpeg in the layer. Where it does not, as with an ffmpeg of the system's, one process does it all."""

MAX_HEAD_BYTES = 32 << 20
"""Of tags and cover, which parallel encoding holds in memory."""


def encode(task: EncodeTask, progress: Progress, *, encoders: int) -> FfmpegReport:
    """Write the MP3, with so many ``encoders`` at a time where that pays off.

    Raises :class:`~audiojobs.errors.TimeLimit`, :class:`~audiojobs.errors.InternalError`, and what a progress
    callback raises. Whether the result is good is for the caller to judge.
    """
    program = shutil.which(PARALLEL_ENCODER)
    if encoders < 2 or program is None or (progress.expected_seconds or 0.0) < PARALLEL_FROM_SECONDS:
        return encode_serially(task, progress)
    try:
        return _encode_in_parallel(task, progress, program, encoders)
    except ParallelEncodingFailed:
        logger.warning("parallel encoding failed; falling back to a single encoder", exc_info=True)
    report = encode_serially(task, progress)
    report.is_fallback = True
    return report


def _encode_in_parallel(task: EncodeTask, progress: Progress, program: str, encoders: int) -> FfmpegReport:
    """One process decodes and resamples, and writes the tags; the encoders read the PCM from its pipe."""
    ffmpeg = executable("ffmpeg")
    head = task.folder / "head.mp3"
    encoding = EncoderSettings(
        program=program,
        sample_rate=task.conversion.sample_rate,
        channels=output_channels(task.probed, task.conversion),
        bit_rate=task.conversion.constant_bit_rate,
        vbr_quality=task.conversion.vbr_quality,
    )
    report = FfmpegReport()
    with task.open_input() as (source, stdin), ThreadPoolExecutor(1, "decoder") as thread:
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
            max_output_bytes=task.max_message_bytes,
        )
        try:
            with task.destination.open("wb") as destination:
                encoded = encode_in_parallel(
                    reading,
                    encoding,
                    destination,
                    head=partial(_read_head, head, reading, decoding),
                    workers=encoders,
                    deadline=task.deadline,
                    expected_sample_frames=round((progress.expected_seconds or 0.0) * encoding.sample_rate),
                    on_progress=lambda sample_frames: progress.reach(sample_frames / encoding.sample_rate),
                )
        finally:
            os.close(reading)  # this stops the decoder
        report.end(decoding.result())
    report.sample_frames = encoded.sample_frames
    return report


def _read_head(head: Path, pcm: int, decoding: Future[Finished]) -> bytes:
    """The short MP3 that the decoder writes beside the PCM: while it grows, and whole when there is no more PCM.

    Raises :class:`ParallelEncodingFailed` if its cover is too big to be held in memory.
    """
    poll = select.poll()
    poll.register(pcm, select.POLLIN)
    if any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0)):
        decoding.result()
    if not head.exists():
        return b""
    if head.stat().st_size > MAX_HEAD_BYTES:
        raise ParallelEncodingFailed("the tags and the cover are too big")
    return head.read_bytes()
