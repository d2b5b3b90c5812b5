"""How much of a conversion is done."""

from __future__ import annotations

import time
from collections.abc import Callable

PROGRESS_INTERVAL_SECONDS = 0.5


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
