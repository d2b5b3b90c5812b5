"""One door for the engine's tests: a file in, what the engine says and made out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojobs.conversion import Conversion
from resample.engine.convert import Converted, convert
from resample.formats.containers import Container, identify
from resample.formats.reader import file_reader
from tests.audio.measure import Sound, decode


@dataclass(frozen=True, slots=True)
class Run:
    converted: Converted
    mp3: Path
    progress: list[float]

    @property
    def sound(self) -> Sound:
        return decode(self.mp3)


def identify_file(path: Path) -> Container:
    with file_reader(path) as read:
        return identify(read, path.stat().st_size)


def run_engine(source: Path, *, seconds_allowed: float = 300.0, encoders: int = 1, **wishes: Any) -> Run:
    """Convert ``source`` as ``wishes`` (fields of :class:`Conversion`) say, into a folder of its own."""
    folder = source.parent / f"{source.name}.converted-by-{encoders}"
    folder.mkdir(exist_ok=True)
    progress: list[float] = []
    converted = convert(
        source,
        identify_file(source),
        Conversion(**wishes),
        folder / "result.mp3",
        deadline=time.monotonic() + seconds_allowed,
        on_progress=progress.append,
        encoders=encoders,
    )
    assert [path.name for path in folder.iterdir()] == ["result.mp3"], "nothing is left beside the result"
    return Run(converted, folder / "result.mp3", progress)
