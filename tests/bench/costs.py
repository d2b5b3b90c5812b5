"""`make bench-costs`: what a conversion takes, and costs, at which `MemorySize`.

Lambda gives a function memory / 1769 MB vCPU-seconds a second, on two or more cores. A control group with that quota
of CPU time stands in for it, as far as this machine has cores. Beyond, the CPU time that so many encoders take is
measured, and the wall time estimated from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rich.console

from audiojobs.settings import MEGABYTES_A_VCPU, encoders_for
from tests.bench import document
from tests.bench.contenders import Programs, engine_worker
from tests.bench.measuring import Job, Run, processor_share, run_worker
from tests.bench.recordings import FOLDER, Recording, recordings

RESULTS = Path(__file__).with_name("costs.json")

MEMORY_SIZES = (885, 1769, 2654, 3008, 3538, 5307, 7076, 10240)
CHARTED = "wav-10min"
RUNS = {"wav-3min": 3, "wav-10min": 3, "wav-60min": 1}
DOLLARS_A_GIGABYTE_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}


@dataclass(frozen=True, slots=True)
class Point:
    """One place of the curve. ``peak_bytes`` is that of all processes; ``is_estimate`` is said of ``wall_seconds``."""

    memory_megabytes: int
    encoders: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    is_estimate: bool

    @property
    def gigabyte_seconds(self) -> float:
        return self.memory_megabytes / 1024 * self.wall_seconds


def estimated_wall_seconds(run: Run, *, cores: int, vcpus: float) -> float:
    """Wall time on ``vcpus``, from a run on fewer ``cores``: time in which a core idled stays, the rest is divided."""
    idle_seconds = run.wall_seconds * (1 - run.other_load / cores) - run.cpu_seconds / cores
    return max(0.0, idle_seconds) + run.cpu_seconds / vcpus


def measure(sound: Recording, memory_megabytes: int, encoders: int, runs: int, programs: Programs) -> Point:
    """One place of the curve, from the fastest of ``runs``: the work is the same, a machine's noise only adds."""
    vcpus = memory_megabytes / MEGABYTES_A_VCPU
    cores = len(os.sched_getaffinity(0))
    is_estimate = vcpus > cores
    command, environment = engine_worker(programs, encoders=encoders)
    destination = FOLDER / "cost.mp3"
    jobs = [Job(file, destination) for file in sound.files]
    found = []
    for _ in range(runs):
        with processor_share(min(vcpus, cores)) as processes:
            found.append(run_worker(command, environment, jobs, confine=lambda pid: processes.write_text(str(pid))))
        destination.unlink()
    best = min(found, key=lambda run: run.wall_seconds)
    wall = estimated_wall_seconds(best, cores=cores, vcpus=vcpus) if is_estimate else best.wall_seconds
    peak = max(run.peak_rss_bytes for run in found)
    return Point(memory_megabytes, encoders, round(wall, 2), round(best.cpu_seconds, 2), peak, is_estimate)


def markdown(cases: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Tables and a chart for docs/costs.md."""
    blocks = []
    for case, found in cases.items():
        points = [Point(**point) for point in found]
        base = next(point for point in points if point.memory_megabytes == MEGABYTES_A_VCPU)
        rows = [_row(point, base) for point in points]
        blocks.append("\n".join([f"**{case}**", "", *_HEAD, *rows]) + "\n")
        if case == CHARTED:
            blocks.append(_chart(points, base))
    return "\n".join(blocks)


_HEAD = (
    "| MemorySize | vCPUs | encoders | wall s | GB-s | to 1769 MB | USD for 1,000, x86_64 | arm64 | peak MB |",
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def _row(point: Point, base: Point) -> str:
    cells = (
        str(point.memory_megabytes),
        f"{point.memory_megabytes / MEGABYTES_A_VCPU:.1f}",
        str(point.encoders),
        f"{'about ' if point.is_estimate else ''}{point.wall_seconds:.1f}",
        f"{point.gigabyte_seconds:.1f}",
        f"{point.gigabyte_seconds / base.gigabyte_seconds:.2f}",
        *(f"{1000 * point.gigabyte_seconds * price:.2f}" for price in DOLLARS_A_GIGABYTE_SECOND.values()),
        f"{point.peak_bytes / 1e6:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _chart(points: Sequence[Point], base: Point) -> str:
    sizes = ", ".join(str(point.memory_megabytes) for point in points)
    walls = ", ".join(f"{point.wall_seconds / base.wall_seconds:.2f}" for point in points)
    costs = ", ".join(f"{point.gigabyte_seconds / base.gigabyte_seconds:.2f}" for point in points)
    return f"""```mermaid
xychart-beta
    title "{CHARTED}: bars are the cost, the line is the wait, both to 1769 MB"
    x-axis "MemorySize" [{sizes}]
    y-axis "times" 0 --> 2.2
    bar [{costs}]
    line [{walls}]
```
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench-costs", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(RUNS)}; default: all")
    parser.add_argument("--memory", type=int, nargs="*", default=MEMORY_SIZES, help="sizes in MB")
    parser.add_argument("--encoders", type=int, help="instead of as many as the function would run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write; cases not run stay as they are")
    chosen = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("control groups take root")
    out = rich.console.Console(highlight=False)
    sounds, programs = recordings(FOLDER), Programs.found()
    cases: dict[str, list[dict[str, Any]]] = {}
    if chosen.results.exists():
        cases = json.loads(chosen.results.read_text())
    for case in chosen.cases or RUNS:
        points = []
        for size in chosen.memory:
            point = measure(sounds[case], size, chosen.encoders or encoders_for(size), RUNS[case], programs)
            points.append(asdict(point))
            out.print(f"{case} at {size} MB: {point.wall_seconds:.2f} s, CPU {point.cpu_seconds:.2f} s")
        cases[case] = points
    ordered = {case: cases[case] for case in RUNS if case in cases}
    chosen.results.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    out.print(markdown(ordered), soft_wrap=True)
    if chosen.results == RESULTS:
        document.put("cost-curve", markdown(ordered))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
