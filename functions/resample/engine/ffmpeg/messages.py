"""What ffmpeg writes to stderr, read line by line."""

from __future__ import annotations

import errno
import logging
import re
from dataclasses import dataclass

from resample.sandbox.process import Finished

logger = logging.getLogger(__name__)

_MESSAGE = re.compile(
    r"(?:\[[^\[\]]+ @ 0x[0-9a-f]+\] )*\[(?P<level>verbose|info|warning|error|fatal|panic)\] (?P<text>.*)"
)
_ENCODED = re.compile(r"  Output stream #0:\d+ \(audio\): \d+ frames encoded \((?P<sample_frames>\d+) samples\)")
_DECODE_ERROR = re.compile(r"Error (while decoding stream|submitting packet to decoder|during demuxing)|Decoding error")
_ENDED_EARLY = re.compile("File ended prematurely")
"""Of a Matroska file without sizes, as recorders stream it, nothing else tells that its end is missing."""

_DISK_FULL = 256 - errno.ENOSPC
"""ffmpeg's exit status. A line of text would prove nothing: some tags are printed as they are, line breaks included."""


@dataclass(slots=True)
class FfmpegReport:
    """What ffmpeg reported, as far as it matters.

    ``sample_frames`` is how many went into the encoder, ``None`` if it did not get to the end. ``is_fallback`` tells
    that parallel encoding was tried and failed. ``ended_early``: the file broke off inside a block.
    """

    exit_status: int = 0
    decode_errors: int = 0
    sample_frames: int | None = None
    is_fallback: bool = False
    ended_early: bool = False

    def read_line(self, line: str) -> bool:
        """Take note of a line; tells whether it is worth keeping for the log.

        The tags of the file are printed too, as information, and their further lines behind spaces. Any other line
        without a level is LAME's or libc's own.
        """
        message = _MESSAGE.match(line)
        if message is None:
            return not line.startswith(" ")
        if match := _ENCODED.match(message["text"]):
            self.sample_frames = int(match["sample_frames"])
        if message["level"] in ("verbose", "info", "warning"):
            return False
        self.ended_early |= _ENDED_EARLY.search(message["text"]) is not None
        self.decode_errors += _DECODE_ERROR.search(message["text"]) is not None
        return True

    @property
    def is_disk_full(self) -> bool:
        return self.exit_status == _DISK_FULL

    @property
    def was_killed(self) -> bool:
        """By SIGKILL, and not by us: the system does that when memory runs out."""
        return self.exit_status == -9

    def end(self, finished: Finished) -> None:
        """Take note of how ffmpeg ended."""
        self.exit_status = finished.exit_status
        if finished.exit_status or finished.last_lines:
            logger.warning(
                "ffmpeg complained", extra={"exit_status": finished.exit_status, "stderr": list(finished.last_lines)}
            )
