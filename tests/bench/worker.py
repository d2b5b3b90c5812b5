"""A Python contender, started and imported beforehand, as in a warm Lambda or a web service.

It says ``ready``, reads one line of JSON, ``[[source, destination], ...]``, converts them one after another, and
answers with the CPU time that it and its children took.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BIT_RATE = 192_000
SEED_BIT_RATE = 320_000
_DEADLINE_SECONDS = 900


def engine(encoders: str) -> Callable[[Path, Path], None]:
    """This project's, by the door that its Lambda uses."""
    from audiojobs.conversion import Conversion
    from resample.engine.convert import convert
    from resample.formats.containers import identify
    from resample.formats.reader import file_reader

    def run(source: Path, destination: Path) -> None:
        with file_reader(source) as read:
            container = identify(read, source.stat().st_size)
        converted = convert(
            source,
            container,
            Conversion(bit_rate=BIT_RATE),
            destination,
            deadline=time.monotonic() + _DEADLINE_SECONDS,
            on_progress=lambda _: None,
            encoders=int(encoders),
        )
        if converted.is_fallback:
            raise RuntimeError("several encoders were tried, and one did it")

    return run


def seed() -> Callable[[Path, Path], None]:
    """The service that this one grew out of: pydub's probe, then ffmpeg at 320 kbit/s."""
    from pydub.utils import mediainfo_json

    def run(source: Path, destination: Path) -> None:
        mediainfo_json(str(source))
        bit_rate = str(SEED_BIT_RATE)
        subprocess.run(
            [
                "ffmpeg",
                "-nostdin",
                "-loglevel",
                "error",
                "-y",
                "-i",
                source,
                "-ar",
                "32000",
                "-b:a",
                bit_rate,
                destination,
            ],
            check=True,
        )

    return run


def naive() -> Callable[[Path, Path], None]:
    """pydub alone: all of the sound in memory, linear interpolation."""
    from pydub import AudioSegment

    def run(source: Path, destination: Path) -> None:
        sound = AudioSegment.from_file(str(source)).set_frame_rate(32000)
        sound.export(str(destination), format="mp3", bitrate=str(BIT_RATE)).close()

    return run


WAYS: dict[str, Callable[..., Callable[[Path, Path], None]]] = {"engine": engine, "seed": seed, "naive": naive}


def cpu_seconds() -> float:
    """Of this process and of the children that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(name: str, *options: str) -> None:
    run = WAYS[name](*options)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    jobs = json.loads(sys.stdin.readline())
    before = cpu_seconds()
    for source, destination in jobs:
        run(Path(source), Path(destination))
    sys.stdout.write(json.dumps({"cpu_seconds": cpu_seconds() - before}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
