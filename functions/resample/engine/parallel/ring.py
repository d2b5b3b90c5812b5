"""The loop that feeds the encoders, joins what they write, and writes the file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from audiojobs.errors import TimeLimit
from resample.engine.parallel.encoder_process import Encoder, Encoding
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.info_header import Head, Music
from resample.engine.parallel.join import Join, last_frames
from resample.engine.parallel.pcm_window import PcmWindow
from resample.engine.parallel.plan import Plan
from resample.sandbox.pipes import PIPE_BYTES

WINDOW_BYTES = 96 << 20
"""How much PCM may wait in memory: six minutes of 32 kHz stereo as 32-bit float."""

_TICK_SECONDS = 0.004
"""How long to sleep when nobody could be served: an encoder takes some 30 ms to read a pipe of a megabyte empty."""

_PROGRESS_TICKS = 64

_MOST_FRAMES_WITHOUT_HEAD = 8192
"""How many MPEG frames may wait in memory, because nobody knows where in the file they belong."""

_MOST_FRAMES_TO_AGREE = 4096
"""After so many MPEG frames without agreement the second encoder is given up: what both write waits in memory."""


@dataclass(frozen=True, slots=True)
class ParallelEncoding:
    """What was written. ``sample_frames`` is the sound's exact length; ``joins`` how often the encoder changed."""

    sample_frames: int
    mpeg_frames: int
    size_bytes: int
    joins: int
    discarded_mpeg_frames: int


def encode_in_parallel(
    pcm: int,
    encoding: Encoding,
    destination: BinaryIO,
    *,
    head: Callable[[], bytes],
    workers: int,
    deadline: float,
    expected_sample_frames: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    window_bytes: int = WINDOW_BYTES,
) -> ParallelEncoding:
    """Encode raw PCM with ``workers`` encoders at a time into ``destination``, a seekable file at its beginning.

    ``pcm`` is the reading end of a pipe, which the caller closes. Its other end is a decoder's; should that fail, the
    result is of what it wrote before, and the caller has to know. ``head`` gives what there is so far of a short MP3
    of the same source, with the tags and options that the result shall have; when the PCM ends, it must be complete.
    ``deadline`` is a moment of ``time.monotonic()``. ``expected_sample_frames`` is a hint that only speed depends on.
    ``on_progress`` gets the number of sample frames done so far, some times a second; what it raises ends the encoding.

    Raises :class:`ParallelEncodingFailed`: ``destination`` is of no use, encode with one process. Raises
    :class:`~audiojobs.errors.TimeLimit`.
    """
    work = _Work(pcm, encoding, destination, head, workers, window_bytes, expected_sample_frames)
    try:
        work.start(0)
        ticks = 0
        while not work.advance():
            if time.monotonic() > deadline:
                raise TimeLimit
            ticks += 1
            if on_progress is not None and ticks % _PROGRESS_TICKS == 0:
                on_progress(work.sample_frames_done())
        return work.finish()
    finally:
        work.close()


@contextmanager
def _system_errors() -> Iterator[None]:
    """Memory, pipes or processes that can't be had: one process needs fewer of them."""
    try:
        yield
    except OSError as error:
        raise ParallelEncodingFailed(str(error)) from error


class _Work:
    @_system_errors()
    def __init__(
        self,
        pcm: int,
        encoding: Encoding,
        destination: BinaryIO,
        head: Callable[[], bytes],
        workers: int,
        window_bytes: int,
        expected_sample_frames: int | None,
    ) -> None:
        self._encoding = encoding
        self._destination = destination
        self._read_head = head
        self._head: Head | None = None
        self._workers = workers
        frame_bytes = encoding.mpeg_frame_bytes
        self._expected_frames = (
            expected_sample_frames * encoding.sample_frame_bytes // frame_bytes if expected_sample_frames else None
        )
        self._plan = Plan(
            workers,
            longest_frames=max(1, window_bytes // frame_bytes // max(2, workers)),
            grid=encoding.start_grid,
        )
        self._window = PcmWindow(pcm, window_bytes)
        self._music = Music()
        self._written = 0  # MPEG frames, from the beginning
        self._joins = 0
        self._discarded = 0
        self._next_start: int | None = None
        self._encoders: deque[Encoder] = deque()
        self._join: Join | None = None

    def close(self) -> None:
        for encoder in self._encoders:
            encoder.stop()
        self._window.close()

    def sample_frames_done(self) -> int:
        """About how much of the sound is encoded: what each encoder has done since its start."""
        done = 0
        encoders = list(self._encoders)
        for encoder, following in zip(encoders, [*encoders[1:], None], strict=True):
            end = encoder.stream.end if following is None else min(encoder.stream.end, following.stream.first)
            done += end - (self._written if encoder is encoders[0] else encoder.stream.first)
        return (self._written + done) * self._encoding.mpeg_frame_bytes // self._encoding.sample_frame_bytes

    @_system_errors()
    def advance(self) -> bool:
        """Do whatever can be done now, or sleep a little if that is nothing. Returns whether all is encoded."""
        window = self._window
        happened = window.fill()
        for encoder in self._encoders:
            happened |= encoder.feed(window)
            happened |= encoder.collect()
        self._settle_joins()
        self._write_what_is_certain()
        first = self._encoders[0]
        if first.has_finished:
            return True
        happened |= self._start_free_encoder()
        window.release(min(encoder.position for encoder in self._encoders))
        if not happened:
            time.sleep(_TICK_SECONDS * min(1.0, 2 * first.pipe_bytes / PIPE_BYTES))
        return False

    @_system_errors()
    def finish(self) -> ParallelEncoding:
        """Write what is left, and the head."""
        window, encoding = self._window, self._encoding
        first = self._encoders[0].stream
        self._write(bytes(first.slice(self._written, first.end)), first.lengths(self._written, first.end))
        if window.end % encoding.sample_frame_bytes or not window.end:
            raise ParallelEncodingFailed(f"{window.end} bytes of PCM")
        head = Head.parse(self._read_head())
        if self._head is None or head is None or head.size_bytes != self._head.size_bytes:
            raise ParallelEncodingFailed("the head has no Xing/Info tag")
        sample_frames = window.end // encoding.sample_frame_bytes
        self._destination.seek(0)
        self._destination.write(head.finished(self._music, sample_frames))
        self._destination.flush()
        return ParallelEncoding(
            sample_frames=sample_frames,
            mpeg_frames=self._music.mpeg_frames,
            size_bytes=head.size_bytes + self._music.size_bytes,
            joins=self._joins,
            discarded_mpeg_frames=self._discarded,
        )

    @_system_errors()
    def start(self, first: int) -> None:
        """Start an encoder at an MPEG frame."""
        self._encoders.append(Encoder(self._encoding, first))

    def _start_free_encoder(self) -> bool:
        """Start an encoder ahead of the others, if one is free and the PCM is there. Returns whether it did."""
        if len(self._encoders) >= self._workers:
            return False
        window, frame_bytes = self._window, self._encoding.mpeg_frame_bytes
        start, end = self._next_start, self._expected_frames
        if window.at_end:
            end = window.end // frame_bytes
            if start is not None and start >= end:
                start = None  # there is less than was expected
        if start is None:
            foremost = self._encoders[-1]
            given = foremost.position // frame_bytes
            if end is not None and end < given:
                end = None  # there is more than was expected
            start = self._plan.next_start(foremost.stream.end, given, end)
        self._next_start = start
        if start is None or start * frame_bytes >= window.end:
            return False
        self.start(start)
        self._next_start = None
        return True

    def _settle_joins(self) -> None:
        """Go over to the second encoder where it has come to agree with the first."""
        while len(self._encoders) > 1 and self._has_head():
            first, second = self._encoders[0], self._encoders[1]
            if self._join is None:
                self._join = Join(
                    first.stream, second.stream, written=self._written, warm_up=self._encoding.warm_up_frames
                )
            index = self._join.find()
            if index is not None:
                self._write_what_is_certain()
                data = last_frames(first.stream, second.stream, self._written, index)
                self._write(data, first.stream.lengths(self._written, index))
                self._joins += 1
                self._discarded += first.stream.end - second.stream.first
                self._give_up(first)
            elif first.stream.end - second.stream.first > _MOST_FRAMES_TO_AGREE:
                self._discarded += second.stream.end - second.stream.first
                self._give_up(second)
            else:
                return

    def _give_up(self, encoder: Encoder) -> None:
        encoder.stop()
        self._encoders.remove(encoder)
        self._join = None

    def _write_what_is_certain(self) -> None:
        """Write the first encoder's MPEG frames up to where the second one began."""
        first = self._encoders[0].stream
        if not self._has_head():
            if first.end > _MOST_FRAMES_WITHOUT_HEAD:
                raise ParallelEncodingFailed("the head does not come")
            return
        end = min(first.end, self._encoders[1].stream.first) if len(self._encoders) > 1 else first.end
        if end > self._written:
            self._write(bytes(first.slice(self._written, end)), first.lengths(self._written, end))
            first.forget(self._written)

    def _write(self, data: bytes, lengths: list[int]) -> None:
        if not self._has_head():
            raise ParallelEncodingFailed("the head has no Xing/Info tag")
        self._destination.write(data)
        self._music.append(data, lengths)
        self._written += len(lengths)

    def _has_head(self) -> bool:
        """Whether the head's length is known, so that there can be something behind it."""
        if self._head is None:
            self._head = Head.parse(self._read_head())
            if self._head is not None:
                expected = self._encoding.sample_rate, self._encoding.channels
                if (self._head.sample_rate, self._head.channels) != expected:
                    raise ParallelEncodingFailed("the head is of another kind of MP3")
                self._destination.seek(self._head.size_bytes)
        return self._head is not None
