"""`make bench`: what it promises to write, and that it measures what it says."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import rich.console

from audiojobs.settings import encoders_for
from tests.bench import costs, document, measuring, results
from tests.bench.__main__ import RESULTS, RUNS, schedule
from tests.bench.contenders import ENGINE, STOCK
from tests.bench.measuring import Run, run_programs, run_worker, tree_bytes
from tests.bench.recordings import PROJECT, clip_seconds

CONTENDERS = [ENGINE, STOCK, "layer-ffmpeg", "sox", "seed-pipeline", "naive-pydub"]
COMMITTED = json.loads(RESULTS.read_text(encoding="utf-8"))
FIGURES = {"wall_seconds": float, "cpu_seconds": float, "peak_rss_bytes": int, "runs": int}


def case_with(**runs: list[float]) -> results.CaseResult:
    """A case of ten seconds; each contender's runs by their wall seconds."""
    case = results.CaseResult(seconds=10, files=1, size_bytes=1_764_044)
    for name, walls in runs.items():
        for wall in walls:
            case.add(name.replace("_", "-"), Run(wall, 2 * wall, round(1e6 * wall)))
    return case


def written(table: Any) -> str:
    out = rich.console.Console(file=io.StringIO(), width=200)
    out.print(table)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_medians_and_ratios_to_the_stock_ffmpeg() -> None:
    case = case_with(engine=[9.0, 3.0, 2.0], stock_ffmpeg=[5.0, 6.0, 40.0])

    made = case.as_json()

    assert made[ENGINE] == {
        "wall_seconds": 3.0,
        "cpu_seconds": 6.0,
        "peak_rss_bytes": 3_000_000,
        "other_load": 0,
        "runs": 3,
    }
    assert (made["wall_ratio"], made["cpu_ratio"]) == (0.5, 0.5)


def test_there_is_no_ratio_without_both() -> None:
    assert "wall_ratio" not in case_with(engine=[1.0]).as_json()


def test_the_table_shows_every_contender_and_who_was_left_out() -> None:
    case = case_with(engine=[3.0], stock_ffmpeg=[6.0])
    case.left_out["sox"] = "no SoX here"

    shown = written(results.table(results.document({"clips": case.as_json()}, cores=2, versions={})))

    engine = next(line for line in shown.splitlines() if ENGINE in line)
    assert [cell.strip() for cell in engine.split("│")[1:-1]] == [
        *("clips", ENGINE, "1", "3.00", "0.50", "3", "6.00", "0.50", "3"),
    ]
    assert "no SoX here" in shown


@pytest.mark.parametrize("case", RUNS)
def test_contenders_take_turns(case: str) -> None:
    turns = list(schedule(case, CONTENDERS, 100))

    often, others = RUNS[case]
    assert turns[: len(CONTENDERS)] == (CONTENDERS if others else [ENGINE, STOCK] * 3)
    assert turns.count(ENGINE) == turns.count(STOCK) == often
    assert turns.count("sox") == others
    assert [turn for turn in turns if turn in (ENGINE, STOCK)] == [ENGINE, STOCK] * turns.count(ENGINE)


def test_clips_differ_in_length() -> None:
    assert len(set(clip_seconds())) == 20


# A program holds its memory until that was seen; what is never seen is held for a minute.
UNTIL_SEEN = """
import os, sys, time
until = time.monotonic() + 60
while not os.path.exists(sys.argv[1]) and time.monotonic() < until: time.sleep(0.01)
"""


def tell_when_seen(monkeypatch: pytest.MonkeyPatch, file: Path, size_bytes: int) -> None:
    """Makes a file once more memory than that was measured."""

    def look(process: int) -> int:
        found = tree_bytes(process)
        if found > size_bytes:
            file.touch()
        return found

    monkeypatch.setattr(measuring, "tree_bytes", look)


def test_a_program_is_measured_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = f"import time\nheld = bytearray(50_000_000)\nwhile time.process_time() < 0.2: pass\n{UNTIL_SEEN}"
    parent = f"""if True:
        import os, subprocess, sys
        held = bytearray(50_000_000)
        subprocess.run([sys.executable, "-c", {child!r}, sys.argv[1]])
        open(sys.argv[2], "w").write(str(sum(os.times()[:4])))
    """
    seen, used = tmp_path / "seen", tmp_path / "used"
    tell_when_seen(monkeypatch, seen, 100_000_000)

    run = run_programs([[sys.executable, "-c", parent, seen, used]])

    assert seen.exists()
    assert 100_000_000 < run.peak_rss_bytes < 160_000_000
    assert run.wall_seconds > 0.2
    assert run.cpu_seconds > 0.2
    assert run.cpu_seconds == pytest.approx(float(used.read_text()), rel=0.5), "and its end"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")
def test_a_child_whose_program_has_not_begun_is_in_the_memory_of_its_parent(tmp_path: Path) -> None:
    source, program, seen = tmp_path / "vfork.c", tmp_path / "vfork", tmp_path / "seen"
    source.write_text("""
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            memset(malloc(50000000), argc, 50000000);
            if (vfork() == 0) { while (access(argv[1], F_OK)) usleep(10000); _exit(0); }
        }
    """)
    subprocess.run(["gcc", "-O0", source, "-o", program], check=True)

    with subprocess.Popen([program, seen]) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            time.sleep(0.01)
        found = tree_bytes(process.pid)
        seen.touch()

    assert 50_000_000 < found < 60_000_000


def test_memory_files_count_and_a_workers_start_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = f"""
import json, os, sys, time
time.sleep(0.3)
print("ready", flush=True)
sys.stdin.readline()
file = os.memfd_create("pcm")
os.write(file, bytes(40_000_000))
time.sleep(0.15)
{UNTIL_SEEN}
print(json.dumps({{"cpu_seconds": 1.5}}), flush=True)
"""
    tell_when_seen(monkeypatch, tmp_path / "seen", 40_000_000)

    started = time.perf_counter()
    run = run_worker([sys.executable, "-c", worker, tmp_path / "seen"], {}, [])
    elapsed = time.perf_counter() - started

    assert run.start_seconds is not None
    assert run.start_seconds > 0.3
    assert 0.15 < run.wall_seconds < elapsed - run.start_seconds
    assert run.cpu_seconds == 1.5
    assert run.peak_rss_bytes > 40_000_000


def test_what_else_the_machine_does_is_seen(tmp_path: Path) -> None:
    """Half a second of another's CPU time, while a program waits for its end."""
    burn = """if True:
        import sys, time
        with open(sys.argv[1], "w"):
            end = time.process_time() + 0.5
            while time.process_time() < end: pass
    """
    os.mkfifo(tmp_path / "end")
    with subprocess.Popen([sys.executable, "-c", burn, tmp_path / "end"]):
        run = run_programs([["cat", tmp_path / "end"]])

    assert run.cpu_seconds < 0.25
    assert run.other_load * run.wall_seconds > 0.25


def test_a_program_that_fails_is_no_result() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        run_programs([[sys.executable, "-c", "raise SystemExit(3)"]])


# ---------------------------------------------------------------- tests/bench/results.json


@pytest.mark.parametrize("case", results.CASES)
def test_the_committed_results_are_whole(case: str) -> None:
    found = COMMITTED["cases"][case]

    measured = results.measured(found)
    assert list(measured) == (CONTENDERS if RUNS[case][1] else [ENGINE, STOCK])
    for name, figures in measured.items():
        assert {key: type(figures[key]) for key in FIGURES} == FIGURES, name
        assert min(figures[key] for key in FIGURES) > 0, name
    for kind in ("wall", "cpu"):
        ratio = measured[ENGINE][f"{kind}_seconds"] / measured[STOCK][f"{kind}_seconds"]
        assert found[f"{kind}_ratio"] == pytest.approx(ratio, abs=0.001)
    assert measured[ENGINE]["runs"] == measured[STOCK]["runs"] == RUNS[case][0]


def test_the_committed_results_name_no_machine() -> None:
    text = RESULTS.read_text(encoding="utf-8")

    assert list(COMMITTED["cases"]) == list(results.CASES)
    assert COMMITTED["cores"] >= 2
    assert str(PROJECT) not in text
    assert "/" not in "".join(COMMITTED["versions"].values())


# ---------------------------------------------------------------- tests/bench/costs.json

COSTS = json.loads(costs.RESULTS.read_text(encoding="utf-8"))


def test_the_curve_is_whole() -> None:
    assert list(COSTS) == list(costs.RUNS)
    for points in COSTS.values():
        assert tuple(point["memory_megabytes"] for point in points) == costs.MEMORY_SIZES
        assert [point["encoders"] for point in points] == [encoders_for(size) for size in costs.MEMORY_SIZES]


def test_what_waits_is_not_divided_by_more_cores() -> None:
    run = Run(wall_seconds=6.0, cpu_seconds=10.0, peak_rss_bytes=1)

    assert costs.estimated_wall_seconds(run, cores=2, vcpus=4.0) == 1.0 + 2.5


def test_what_others_did_is_no_waiting() -> None:
    run = Run(wall_seconds=6.0, cpu_seconds=10.0, peak_rss_bytes=1, other_load=0.25)

    assert costs.estimated_wall_seconds(run, cores=2, vcpus=4.0) == 0.25 + 2.5


def test_a_point_costs_its_memory_times_its_time() -> None:
    point = costs.Point(2048, 1, wall_seconds=30.0, cpu_seconds=30.0, peak_bytes=1, is_estimate=False)

    assert point.gigabyte_seconds == 60.0


@pytest.mark.parametrize(
    ("name", "text"),
    [("bench", results.markdown(COMMITTED)), ("cost-curve", costs.markdown(COSTS))],
    ids=["bench", "cost-curve"],
)
def test_the_document_shows_what_was_measured(name: str, text: str) -> None:
    assert document.between_marks(name) == text
