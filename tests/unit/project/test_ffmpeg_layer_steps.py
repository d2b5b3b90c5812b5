"""The steps of the ffmpeg layer's build: side by side, one bar, and nothing left when one fails."""

from __future__ import annotations

import importlib
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LAYER = Path(__file__).resolve().parents[3] / "layers" / "ffmpeg"
ON_A_TERMINAL = """
import sys, threading
from pathlib import Path
from steps import Steps
steps, asked = Steps(Path(sys.argv[1]), 10.0), threading.Event()
with steps.bar(), steps.step("lame 3.100", 5.0, lambda: asked.set() or 0.6):
    assert asked.wait(60)
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(LAYER))
    return importlib.import_module("steps")


@pytest.fixture
def steps(module: ModuleType, tmp_path: Path) -> Any:
    return module.Steps(tmp_path)


def test_steps_run_side_by_side_with_a_log_each(steps: Any, tmp_path: Path) -> None:
    """Each waits for the other's file, so neither would end if one ran after the other."""

    def step(name: str, other: str) -> None:
        with steps.step(name):
            wait = f"touch {name}; until [ -e {other} ]; do sleep 0.02; done; echo {name} is done"
            steps.run(["sh", "-c", wait], cwd=tmp_path)

    steps.side_by_side(lambda: step("one", "two"), lambda: step("two", "one"))

    assert (tmp_path / "one.log").read_text() == "one is done\n"
    assert (tmp_path / "two.log").read_text() == "two is done\n"


def test_a_failure_ends_what_runs_beside_it(steps: Any, module: ModuleType, tmp_path: Path) -> None:
    started = tmp_path / "started"

    def long() -> None:
        with steps.step("long"):
            steps.run(["sh", "-c", f"echo $$ > {started}.new && mv {started}.new {started}; sleep 600"], cwd=tmp_path)

    def fails() -> None:
        with steps.step("short 1.0"):
            steps.run(["sh", "-c", f"until [ -e {started} ]; do sleep 0.02; done; echo no good; exit 3"], cwd=tmp_path)

    with pytest.raises(module.StepFailed, match=r"short 1\.0 failed: `sh` ended with status 3\.\n  \| no good"):
        steps.side_by_side(long, fails)

    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    with pytest.raises(module.StepFailed, match="another step failed"):
        steps.run(["true"], cwd=tmp_path)


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    ours, terminal = pty.openpty()
    command = [sys.executable, "-B", "-c", ON_A_TERMINAL, str(tmp_path)]
    with subprocess.Popen(command, cwd=LAYER, stdout=terminal, stderr=terminal):
        os.close(terminal)
        screen, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # what Linux says when nobody has the other side any more
                break
            if not part:
                break
            screen += part
    os.close(ours)

    assert re.search(r"\[=+ +\]  30%  lame", screen.decode())
    assert re.search(rb"ffmpeg layer: lame 3\.100: \d+\.\d s\r\n", screen)


def test_without_a_terminal_there_is_a_line_a_step(
    steps: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with steps.bar(), steps.step("zlib 1.3"):
        steps.run(["true"], cwd=tmp_path)

    assert re.fullmatch(r"ffmpeg layer: zlib 1\.3: \d+\.\d s\n", capsys.readouterr().err)
