"""Where the next encoder starts: pure arithmetic in MPEG frames.

There is no fixed list of segments. An encoder that has become free starts ahead of the foremost one, by that one's
share of what is left. So stretches are as long as memory allows, which keeps the joins few, and get shorter towards
the end, so that all encoders finish together, whatever the noise of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

START_GRID = 49
"""At a constant bit rate encoders start at multiples of this.

At 44.1, 22.05 and 11.025 kHz some MPEG frames are one byte longer, in a pattern that repeats after at most 49 of them
(44100 = 900 x 49, and 900 divides the 144 x bit rate that an MPEG frame's length comes from). From the same point of
the pattern two encoders write the same.
"""

VARIABLE_START_GRID = 196
"""At a variable bit rate encoders start at multiples of this, for the sake of the next."""

VARIABLE_WARM_UP_FRAMES = 98
"""So many MPEG frames after each multiple of 196, as it counts them, the layer's LAME brings its bit reservoir to one
level (``lame-01-reservoir.patch``); nearly every encoder has forgotten by then that it started late."""

MINIMUM_FRAMES = 8 * START_GRID
"""A stretch shorter than this is not worth another encoder: up to a quarter would go into finding agreement."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``workers`` encoders, starts at multiples of ``grid``, no stretch longer than ``longest_frames`` MPEG frames."""

    workers: int
    longest_frames: int
    grid: int

    def next_start(self, done: int, given: int, end: int | None) -> int | None:
        """The MPEG frame where a free encoder starts; ``None`` if the others had better finish alone.

        ``done`` is how far the foremost encoder has come, ``given`` how far it was given PCM (a start before that is
        too late), ``end`` how many MPEG frames there are, as far as is known.
        """
        stretch = self.longest_frames
        if end is not None:
            stretch = min(stretch, (end - done) // self.workers)
            if stretch < MINIMUM_FRAMES:
                return None
        return -(-max(done + stretch, given + 1) // self.grid) * self.grid
