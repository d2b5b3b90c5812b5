"""`make bench`, or `make bench CASES="clips mp3-10min"` for some of it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import rich.console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import document, results
from tests.bench.contenders import ENGINE, STOCK, Contender, Programs, contenders
from tests.bench.measuring import Job, Run, precedence
from tests.bench.recordings import FOLDER, CannotPrepare, Recording, recordings

RESULTS = Path(__file__).with_name("results.json")

# How often each contender runs, so that the whole stays below twelve minutes on two cores.
RUNS = {
    "wav-10min": (5, 1),
    "mp3-10min": (5, 1),
    "flac-10min": (5, 0),
    "m4a-10min": (5, 0),
    "wav-60min": (3, 1),
    "mp3-60min": (3, 0),
    "clips": (5, 3),
}
"""By case: this engine and the stock ffmpeg, everybody else."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(results.CASES)}; default: all")
    parser.add_argument("--runs", type=int, default=sys.maxsize, help="at most so many of each contender")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write; cases not run stay as they are")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.cases) - set(results.CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")

    out = rich.console.Console(width=None if sys.stdout.isatty() else 120, soft_wrap=not sys.stdout.isatty())
    try:
        with out.status("Making the recordings (once, a minute or two) ..."):
            sounds = recordings(FOLDER)
    except CannotPrepare as error:
        out.print(f"[red]{error}[/red]")
        return 1
    programs = Programs.found()
    everybody = contenders(programs, FOLDER / "bin")
    wanted = [case for case in results.CASES if case in (chosen.cases or results.CASES)]
    with precedence():
        found = {case: measure(case, sounds[case], everybody, chosen.runs, out).as_json() for case in wanted}
    known = json.loads(chosen.results.read_text())["cases"] if chosen.results.exists() else {}
    made = results.document(known | found, cores=len(os.sched_getaffinity(0)), versions=programs.versions())
    results.write(chosen.results, made)
    if chosen.results == RESULTS:
        document.put("bench", results.markdown(made))
    out.print(results.table(made))
    return 0


def measure(
    case: str, sound: Recording, everybody: Sequence[Contender], most_runs: int, out: rich.console.Console
) -> results.CaseResult:
    """Run all contenders on a case, taking turns."""
    result = results.CaseResult(sound.seconds, len(sound.files), sum(file.stat().st_size for file in sound.files))
    result.left_out = {contender.name: contender.missing for contender in everybody if contender.missing}
    turns = list(schedule(case, [contender.name for contender in everybody if not contender.missing], most_runs))
    by_name = {contender.name: contender for contender in everybody}
    columns = TextColumn("{task.description:<36}"), BarColumn(40), TimeElapsedColumn()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task(case, total=len(turns))
        for number, name in enumerate(turns, 1):
            progress.update(task, description=f"{case}: {name}")
            one = run(by_name[name], sound)
            result.add(name, one)
            progress.advance(task)
            progress.console.print(
                f"[dim]{case} {number}/{len(turns)}  {name}: {one.wall_seconds:.2f} s,"
                f" CPU {one.cpu_seconds:.2f} s, {one.peak_rss_bytes / 1e6:.0f} MB,"
                f" {one.other_load:.2f} cores busy elsewhere[/dim]"
            )
    return result


def schedule(case: str, names: Sequence[str], most_runs: int) -> Iterator[str]:
    """Whose turn it is: round by round, so that what slows the machine for a while slows them all."""
    often, once = RUNS[case]
    runs: Mapping[str, int] = {name: min(often if name in (ENGINE, STOCK) else once, most_runs) for name in names}
    for turn in range(max(runs.values())):
        yield from (name for name in names if turn < runs[name])


def run(contender: Contender, sound: Recording) -> Run:
    """One run; what came out has to be an MP3 of the right size."""
    folder = FOLDER / "out"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in sound.files:
        _read(file)
    jobs = [Job(file, folder / f"{file.stem}.mp3") for file in sound.files]
    measured = contender.run(jobs)
    size_bytes = sum(job.destination.stat().st_size for job in jobs)
    expected = contender.bit_rate / 8 * sound.seconds
    if not 0.99 * expected < size_bytes < 1.1 * expected + 10_000 * len(jobs):
        raise RuntimeError(f"{contender.name} made {size_bytes} bytes, not about {expected:.0f}")
    shutil.rmtree(folder)
    return measured


def _read(file: Path) -> None:
    """Bring a file into the page cache."""
    with file.open("rb") as opened:
        while opened.read(1 << 24):
            pass


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
