"""What an encoder is given: a file, what is known of it, and what is wanted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audiojobs.conversion import Conversion
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import Container
from resample.sandbox.process import MAX_OUTPUT_BYTES


@dataclass(frozen=True, slots=True)
class EncodeTask:
    """One file to encode. ``folder`` is for scratch files; all paths are absolute."""

    source: Path | StreamedSource
    container: Container
    probed: ProbeResult
    conversion: Conversion
    destination: Path
    folder: Path
    deadline: float

    @property
    def max_message_bytes(self) -> int:
        """What ffmpeg may say about the file. It reports damage once a packet, so a long file may have more of it."""
        size_bytes = self.source.stat().st_size if isinstance(self.source, Path) else self.source.size_bytes
        return MAX_OUTPUT_BYTES + size_bytes // 4

    @contextmanager
    def open_input(self) -> Iterator[tuple[Path | None, int]]:
        """The path that ffmpeg reads (``None`` for stdin), and ffmpeg's stdin."""
        if isinstance(self.source, Path):
            yield self.source, subprocess.DEVNULL
        else:
            with self.source.flowing() as pipe:
                yield None, pipe
