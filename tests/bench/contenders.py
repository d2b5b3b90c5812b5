"""The ways to a 32 kHz MP3 that are compared, and what each needs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from tests.bench.measuring import Job, Run, run_programs, run_worker
from tests.bench.recordings import PROJECT
from tests.bench.worker import BIT_RATE, SEED_BIT_RATE

ENGINE, STOCK = "engine", "stock-ffmpeg"


@dataclass(frozen=True, slots=True)
class Contender:
    """``describes`` is for people; ``bit_rate`` in bit/s; ``missing`` says why it can't run here."""

    name: str
    describes: str
    run: Callable[[Sequence[Job]], Run]
    bit_rate: int = BIT_RATE
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Programs:
    """The executables that are measured. ``layer_folder`` holds the layer's ffmpeg and ffprobe."""

    stock_ffmpeg: str
    layer_folder: Path
    sox: str | None

    @classmethod
    def found(cls) -> Programs:
        """Those of this machine; the layer is built, if it is not there yet."""
        bin_dir = ["make", "-s", "-C", str(PROJECT / "layers" / "ffmpeg"), "bin-dir", f"PYTHON={sys.executable}"]
        layer = subprocess.run(bin_dir, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        return cls(imageio_ffmpeg.get_ffmpeg_exe(), Path(layer), _sox_with_mp3())

    def versions(self) -> dict[str, str]:
        """What each program calls itself, without paths."""
        found = {
            "python": sys.version.partition(" ")[0],
            STOCK: _first_line(self.stock_ffmpeg, "-version"),
            "layer-ffmpeg": _first_line(str(self.layer_folder / "ffmpeg"), "-version"),
        }
        if self.sox:
            found["sox"] = _first_line(self.sox, "--version").rpartition(":")[2].strip()
        return found


def contenders(programs: Programs, links: Path) -> list[Contender]:
    """All of them, this engine first. ``links`` is a folder for a PATH on which the stock ffmpeg is called ffmpeg."""
    layer = str(programs.layer_folder)
    own = engine_worker(programs, encoders=len(os.sched_getaffinity(0)))
    pydub = _worker_environment(_path_with(links, programs))
    needs_sox = None if programs.sox else "no SoX with MP3 here; sudo apt-get install sox libsox-fmt-mp3"
    return [
        Contender(ENGINE, "this project, an encoder for each core", lambda jobs: run_worker(*own, jobs)),
        Contender(STOCK, "ffmpeg -i in -ar 32000 -b:a 192k, imageio-ffmpeg's", _ffmpeg(programs.stock_ffmpeg)),
        Contender("layer-ffmpeg", "the same with our layer's ffmpeg", _ffmpeg(f"{layer}/ffmpeg")),
        Contender("sox", "sox in -r 32000 -C 192 out", _sox(programs.sox or ""), missing=needs_sox),
        Contender(
            "seed-pipeline",
            "pydub's mediainfo_json, then stock ffmpeg at 320k",
            _worker("seed", pydub),
            bit_rate=SEED_BIT_RATE,
        ),
        Contender("naive-pydub", "from_file, set_frame_rate, export; stock ffmpeg", _worker("naive", pydub)),
    ]


def _ffmpeg(program: str) -> Callable[[Sequence[Job]], Run]:
    def command(job: Job) -> list[str | Path]:
        options = ["-ar", "32000", "-b:a", str(BIT_RATE)]
        return [program, "-nostdin", "-loglevel", "error", "-y", "-i", job.source, *options, job.destination]

    return lambda jobs: run_programs([command(job) for job in jobs])


def _sox(program: str) -> Callable[[Sequence[Job]], Run]:
    return lambda jobs: run_programs(
        [[program, job.source, "-r", "32000", "-C", str(BIT_RATE // 1000), job.destination] for job in jobs]
    )


def engine_worker(programs: Programs, *, encoders: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process that runs this engine."""
    environment = _worker_environment(str(programs.layer_folder))
    return [sys.executable, "-m", "tests.bench.worker", "engine", str(encoders)], environment


def _worker(name: str, environment: Mapping[str, str]) -> Callable[[Sequence[Job]], Run]:
    return lambda jobs: run_worker([sys.executable, "-m", "tests.bench.worker", name], environment, jobs)


def _worker_environment(path: str) -> dict[str, str]:
    modules = [str(PROJECT / "functions"), str(PROJECT / "layers" / "shared"), str(PROJECT)]
    return {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _path_with(links: Path, programs: Programs) -> str:
    """pydub looks for programs by their plain names; the stock ffmpeg comes without an ffprobe."""
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    (links / "ffmpeg").symlink_to(programs.stock_ffmpeg)
    (links / "ffprobe").symlink_to(programs.layer_folder / "ffprobe")
    return str(links)


def _sox_with_mp3() -> str | None:
    sox = shutil.which("sox")
    if sox is None:
        return None
    formats = subprocess.run([sox, "--help"], capture_output=True, text=True, check=False).stdout
    return sox if " mp3 " in formats else None


def _first_line(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return output.partition("\n")[0].partition(" Copyright")[0].removeprefix("ffmpeg version ")
