"""One encoder process: raw PCM into its stdin, MPEG frames out of its stdout, both without ever waiting."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.mpeg_stream import EncodedStream, Expected
from resample.engine.parallel.pcm_window import PcmWindow
from resample.engine.parallel.plan import START_GRID, VARIABLE_START_GRID, VARIABLE_WARM_UP_FRAMES
from resample.sandbox.confinement import kill, start
from resample.sandbox.pipes import widen_pipe

_READ_BYTES = 256 << 10

_SAMPLE_BYTES = 4  # 32-bit float

_MOST_FRAMES_BEHIND_THE_END = 4
"""LAME writes three MPEG frames at most for what it still holds when the PCM ends."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What the encoders are given and what they make of it: PCM in 32-bit float, and MP3.

    ``program`` is the layer's ``lame-frames``. Rates in Hz and bit/s; either ``bit_rate`` (constant) or
    ``vbr_quality`` (0..9) is given.
    """

    program: str
    sample_rate: int
    channels: int
    bit_rate: int | None
    vbr_quality: int | None

    def __post_init__(self) -> None:
        if (self.bit_rate is None) == (self.vbr_quality is None):
            raise ValueError("either bit_rate or vbr_quality")

    @property
    def sample_frame_bytes(self) -> int:
        return _SAMPLE_BYTES * self.channels

    @property
    def mpeg_frame_bytes(self) -> int:
        """Bytes of PCM that one MPEG frame takes."""
        return self.sample_frame_bytes * (1152 if self.sample_rate >= 32_000 else 576)

    @property
    def start_grid(self) -> int:
        """Encoders may start at multiples of so many MPEG frames."""
        return VARIABLE_START_GRID if self.bit_rate is None else START_GRID

    @property
    def warm_up_frames(self) -> int:
        """What an encoder writes at first differs, even where it looks the same."""
        return VARIABLE_WARM_UP_FRAMES if self.bit_rate is None else 0

    @property
    def expected(self) -> Expected:
        return Expected(self.sample_rate, self.channels, self.bit_rate)

    def command(self) -> list[str]:
        """From stdin to stdout, without tags and headers, each MPEG frame as soon as it is there."""
        rate = f"v{self.vbr_quality}" if self.bit_rate is None else str(self.bit_rate)
        return [self.program, str(self.sample_rate), str(self.channels), rate]


class Encoder:
    """An encoder that starts at an MPEG frame of the whole file. ``stream`` is what it has written."""

    def __init__(self, settings: EncoderSettings, first: int) -> None:
        self._frame_bytes = settings.mpeg_frame_bytes
        self._position = first * self._frame_bytes
        self.stream = EncodedStream(first, settings.expected)
        self.has_finished = False
        self._process = start(settings.command(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin, self._process.stdout
        self.pipe_bytes = widen_pipe(self._input.fileno())
        widen_pipe(self._output.fileno())
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)

    @property
    def position(self) -> int:
        """The first byte of the PCM that it was not given yet."""
        return self._position

    def feed(self, window: PcmWindow) -> bool:
        """Give it as much PCM as it takes, and close its stdin after the last. Returns whether anything happened."""
        if self._input.closed:
            return False
        count = window.send(self._input.fileno(), self._position)
        self._position += count
        if window.at_end and self._position == window.end:
            self._input.close()
            return True
        return count > 0

    def collect(self) -> bool:
        """Take what it has written. Returns whether anything happened.

        Raises :class:`ParallelEncodingFailed` if it failed, or wrote something else than expected.
        """
        if self.has_finished:
            return False
        try:
            data = os.read(self._output.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self.stream.append(data)
            if self.stream.end > self._position // self._frame_bytes + _MOST_FRAMES_BEHIND_THE_END:
                raise ParallelEncodingFailed("an encoder wrote more MPEG frames than its PCM has")
            return True
        if self._process.poll() is None:
            return False  # it has closed its stdout, and is about to end
        if self._process.returncode != 0 or not self._input.closed or not self.stream.is_whole:
            raise ParallelEncodingFailed(f"an encoder ended with exit status {self._process.returncode}")
        self.has_finished = True
        return True

    def stop(self) -> None:
        """End it, wherever it is."""
        kill(self._process)
        self._input.close()
        self._output.close()
