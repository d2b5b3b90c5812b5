"""The loop that feeds the encoders, joins what they write, and writes the file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from audiojobs.errors import TimeLimit
from resample.engine.parallel.encoder_process import Encoder, EncoderSettings
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.join import Join, last_frames
from resample.engine.parallel.joined_file import JoinedFile
from resample.engine.parallel.pcm_window import PcmWindow
from resample.engine.parallel.plan import Plan
from resample.sandbox.pipes import PIPE_BYTES

WINDOW_BYTES = 96 << 20
"""How much PCM may wait in memory: six minutes of 32 kHz stereo as 32-bit float."""

_TICK_SECONDS = 0.004
"""How long to sleep when no pipe was ready: an encoder takes some 30 ms to read a megabyte, which a pipe holds."""

_PROGRESS_TICKS = 64

_MOST_FRAMES_WITHOUT_HEAD = 8192
"""How many MPEG frames may wait in memory while the length of the head, and so their place in the file, is unknown."""

_MOST_FRAMES_TO_AGREE = 4096
"""After so many MPEG frames without agreement the second encoder is given up: what both write waits in memory."""


@dataclass(frozen=True, slots=True)
class ParallelResult:
    """What was written. ``sample_frames`` is the sound's exact length; ``joins`` how often the encoder changed."""

    sample_frames: int
    mpeg_frames: int
    size_bytes: int
    joins: int
    discarded_mpeg_frames: int


def encode_in_parallel(
    pcm: int,
    settings: EncoderSettings,
    destination: BinaryIO,
    *,
    head: Callable[[], bytes],
    workers: int,
    deadline: float,
    expected_sample_frames: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    window_bytes: int = WINDOW_BYTES,
) -> ParallelResult:
    """Encode raw PCM with ``workers`` encoders at a time into ``destination``, a seekable file at its beginning.

    ``pcm`` is the reading end of a pipe, which the caller closes. Its other end is a decoder's; should that fail, the
    result is of what it wrote before, and the caller has to know. ``head`` gives what there is so far of a short MP3
    of the same source, with the tags and options that the result shall have; when the PCM ends, it must be complete.
    ``deadline`` is a moment of ``time.monotonic()``. ``expected_sample_frames`` is a hint that only speed depends on.
    ``on_progress`` gets the number of sample frames done so far, some times a second; what it raises ends the encoding.

    Raises :class:`ParallelEncodingFailed`: ``destination`` is of no use, encode with one process. Raises
    :class:`~audiojobs.errors.TimeLimit`.
    """
    file = JoinedFile(destination, head, settings)
    ring = _EncoderRing(pcm, settings, file, workers, window_bytes, expected_sample_frames)
    try:
        ring.start_encoder(0)
        ticks = 0
        while not ring.advance():
            if time.monotonic() > deadline:
                raise TimeLimit
            ticks += 1
            if on_progress is not None and ticks % _PROGRESS_TICKS == 0:
                on_progress(ring.sample_frames_done())
        return ring.finish()
    finally:
        ring.stop()


@contextmanager
def _system_errors() -> Iterator[None]:
    """Memory, pipes or processes that can't be had: one process needs fewer of them."""
    try:
        yield
    except OSError as error:
        raise ParallelEncodingFailed(str(error)) from error


class _EncoderRing:
    """The encoders at work, in the order of their places in the file, and the PCM that they are fed from.

    The first one writes the file. When it agrees with the second, the second becomes the first. An encoder that is
    free starts ahead of the last one.
    """

    @_system_errors()
    def __init__(
        self,
        pcm: int,
        settings: EncoderSettings,
        file: JoinedFile,
        workers: int,
        window_bytes: int,
        expected_sample_frames: int | None,
    ) -> None:
        frame_bytes = settings.mpeg_frame_bytes
        self._settings = settings
        self._file = file
        self._window = PcmWindow(pcm, window_bytes)
        self._plan = Plan(
            workers,
            longest_frames=max(1, window_bytes // frame_bytes // max(2, workers)),
            grid=settings.start_grid,
        )
        self._expected_frames = (
            expected_sample_frames * settings.sample_frame_bytes // frame_bytes if expected_sample_frames else None
        )
        self._encoders: deque[Encoder] = deque()
        self._next_start: int | None = None
        self._join: Join | None = None
        self._joins = 0
        self._discarded = 0

    def stop(self) -> None:
        """End the encoders, and give the memory back."""
        for encoder in self._encoders:
            encoder.stop()
        self._window.close()

    def sample_frames_done(self) -> int:
        """About how much of the sound is encoded: what each encoder has done since its start."""
        written = self._file.mpeg_frames
        done = 0
        encoders = list(self._encoders)
        for encoder, following in zip(encoders, [*encoders[1:], None], strict=True):
            end = encoder.stream.end if following is None else min(encoder.stream.end, following.stream.first)
            done += end - (written if encoder is encoders[0] else encoder.stream.first)
        return (written + done) * self._settings.mpeg_frame_bytes // self._settings.sample_frame_bytes

    @_system_errors()
    def start_encoder(self, first: int) -> None:
        """Start an encoder at an MPEG frame."""
        self._encoders.append(Encoder(self._settings, first))

    @_system_errors()
    def advance(self) -> bool:
        """Do whatever can be done now, or sleep a little if that is nothing. Returns whether all is encoded."""
        window = self._window
        happened = window.fill()
        for encoder in self._encoders:
            happened |= encoder.feed(window)
            happened |= encoder.collect()
        self._join_encoders()
        self._write_up_to_the_second()
        first = self._encoders[0]
        if first.has_finished:
            return True
        happened |= self._start_free_encoder()
        window.release(min(encoder.position for encoder in self._encoders))
        if not happened:
            time.sleep(_TICK_SECONDS * min(1.0, 2 * first.pipe_bytes / PIPE_BYTES))
        return False

    @_system_errors()
    def finish(self) -> ParallelResult:
        """Write what is left, and the head."""
        window, settings = self._window, self._settings
        first = self._encoders[0].stream
        self._file.write(first, first.end)
        if window.end % settings.sample_frame_bytes or not window.end:
            raise ParallelEncodingFailed(f"{window.end} bytes of PCM")
        sample_frames = window.end // settings.sample_frame_bytes
        size_bytes = self._file.finish(sample_frames)
        return ParallelResult(
            sample_frames=sample_frames,
            mpeg_frames=self._file.mpeg_frames,
            size_bytes=size_bytes,
            joins=self._joins,
            discarded_mpeg_frames=self._discarded,
        )

    def _start_free_encoder(self) -> bool:
        """Start an encoder ahead of the others, if one is free and the PCM is there. Returns whether it did."""
        if len(self._encoders) >= self._plan.workers:
            return False
        window, frame_bytes = self._window, self._settings.mpeg_frame_bytes
        start, end = self._next_start, self._expected_frames
        if window.at_end:
            end = window.end // frame_bytes
            if start is not None and start >= end:
                start = None  # there is less than was expected
        foremost = self._encoders[-1]
        if start is not None and start < foremost.stream.end:
            start = None  # the PCM came late, and the others were quick: what is encoded there may be forgotten
        if start is None:
            given = foremost.position // frame_bytes
            if end is not None and end < given:
                end = None  # there is more than was expected
            start = self._plan.next_start(foremost.stream.end, given, end)
        self._next_start = start
        if start is None or start * frame_bytes >= window.end:
            return False
        self.start_encoder(start)
        self._next_start = None
        return True

    def _join_encoders(self) -> None:
        """Go over to the second encoder where it has come to agree with the first."""
        while len(self._encoders) > 1 and self._file.can_be_written():
            first, second = self._encoders[0], self._encoders[1]
            if self._join is None:
                self._join = Join(
                    first.stream, second.stream, written=self._file.mpeg_frames, warm_up=self._settings.warm_up_frames
                )
            index = self._join.find()
            if index is not None:
                self._write_up_to_the_second()
                data = last_frames(first.stream, second.stream, self._file.mpeg_frames, index)
                self._file.write(first.stream, index, data)
                self._joins += 1
                self._discarded += first.stream.end - second.stream.first
                self._remove(first)
            elif first.stream.end - second.stream.first > _MOST_FRAMES_TO_AGREE:
                self._discarded += second.stream.end - second.stream.first
                self._remove(second)
            else:
                return

    def _remove(self, encoder: Encoder) -> None:
        encoder.stop()
        self._encoders.remove(encoder)
        self._join = None

    def _write_up_to_the_second(self) -> None:
        """Write the first encoder's MPEG frames up to where the second one began: no join can change them."""
        first = self._encoders[0].stream
        if not self._file.can_be_written():
            if first.end > _MOST_FRAMES_WITHOUT_HEAD:
                raise ParallelEncodingFailed("the head does not come")
            return
        end = min(first.end, self._encoders[1].stream.first) if len(self._encoders) > 1 else first.end
        if end > self._file.mpeg_frames:
            self._file.write(first, end)
            first.forget(end)
