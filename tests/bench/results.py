"""Medians and ratios of what was measured, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from tests.bench.contenders import ENGINE, STOCK
from tests.bench.measuring import Run

CASES = ("wav-10min", "mp3-10min", "flac-10min", "m4a-10min", "wav-60min", "mp3-60min", "clips")

_HEADINGS = ("runs", "wall s", "ratio", "x real time", "CPU s", "ratio", "peak MB")

ABOUT = {
    "wall_seconds": "median; for engine, seed-pipeline and naive-pydub from the order to the finished file in a process"
    " that has started and imported, as a warm Lambda or service has (start_seconds is apart); for programs with their"
    " start",
    "cpu_seconds": "median of user and system time of the process and its children (getrusage, wait4)",
    "peak_rss_bytes": "median of the peak of the process tree, looked at every 50 ms: resident pages, shared ones"
    " counted once (PSS), and memory files; for engine, seed-pipeline and naive-pydub with the Python process",
    "other_load": "median of what else the machine did meanwhile, in cores: the less, the better the figures",
    "wall_ratio": "engine / stock-ffmpeg, of the medians",
    "bit_rate": "192 kbit/s; seed-pipeline: 320 kbit/s",
    "order": "contenders take turns, round by round; files lie in the page cache",
}


@dataclass(slots=True)
class CaseResult:
    """The runs of one case by contender, and who was left out, why."""

    seconds: float
    files: int
    size_bytes: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, contender: str, run: Run) -> None:
        self.runs.setdefault(contender, []).append(run)

    def as_json(self) -> dict[str, Any]:
        medians = {name: summary(runs) for name, runs in self.runs.items()}
        ratios = {
            f"{kind}_ratio": round(medians[ENGINE][f"{kind}_seconds"] / medians[STOCK][f"{kind}_seconds"], 3)
            for kind in ("wall", "cpu")
            if {ENGINE, STOCK} <= medians.keys()
        }
        recording = {"audio_seconds": self.seconds, "files": self.files, "size_bytes": self.size_bytes}
        return {**recording, **medians, **ratios, "left_out": list(self.left_out.items())}


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Medians, and how many runs they are of."""
    starts = [run.start_seconds for run in runs if run.start_seconds is not None]
    return {
        "wall_seconds": round(median(run.wall_seconds for run in runs), 3),
        "cpu_seconds": round(median(run.cpu_seconds for run in runs), 3),
        "peak_rss_bytes": round(median(run.peak_rss_bytes for run in runs)),
        **({"start_seconds": round(median(starts), 3)} if starts else {}),
        "other_load": round(max(0.0, median(run.other_load for run in runs)), 2),
        "runs": len(runs),
    }


def document(cases: Mapping[str, Any], *, cores: int, versions: Mapping[str, str]) -> dict[str, Any]:
    """What `results.json` holds; ``cases`` as :meth:`CaseResult.as_json` makes them: objects in them are contenders."""
    ordered = {name: cases[name] for name in CASES if name in cases}
    return {"about": ABOUT, "cores": cores, "versions": dict(versions), "cases": ordered}


def write(path: Path, results: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def table(results: Mapping[str, Any]) -> Table:
    """The same for people; ratios are to the stock ffmpeg."""
    made = Table(title=f"to 32 kHz MP3 on {results['cores']} cores: medians, ratios to {STOCK}")
    made.add_column("case")
    made.add_column("contender")
    for heading in _HEADINGS:
        made.add_column(heading, justify="right")
    for name, case in results["cases"].items():
        made.add_section()
        stock = case.get(STOCK)
        for contender, figures in measured(case).items():
            made.add_row(name, contender, *_cells(figures, stock, case["audio_seconds"]))
        for contender, reason in case["left_out"]:
            made.add_row(name, contender, "-", reason)
    return made


def markdown(results: Mapping[str, Any]) -> str:
    """The table of docs/costs.md."""
    lines = [
        f"| {' | '.join(('case', 'contender', *_HEADINGS))} |",
        f"|---|---|{'---:|' * len(_HEADINGS)}",
    ]
    for name, case in results["cases"].items():
        stock = case.get(STOCK)
        for contender, figures in measured(case).items():
            lines.append(f"| {' | '.join((name, contender, *_cells(figures, stock, case['audio_seconds'])))} |")
        lines += [f"| {name} | {contender} | {reason} |" for contender, reason in case["left_out"]]
    return "\n".join(lines) + "\n"


def measured(case: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The contenders of a case and their figures."""
    return {key: value for key, value in case.items() if isinstance(value, dict)}


def _cells(figures: Mapping[str, Any], stock: Mapping[str, Any] | None, seconds: float) -> list[str]:
    wall, cpu = figures["wall_seconds"], figures["cpu_seconds"]
    return [
        str(figures["runs"]),
        f"{wall:.2f}",
        f"{wall / stock['wall_seconds']:.2f}" if stock else "",
        f"{seconds / wall:.0f}",
        f"{cpu:.2f}",
        f"{cpu / stock['cpu_seconds']:.2f}" if stock else "",
        f"{figures['peak_rss_bytes'] / 1e6:.0f}",
    ]
