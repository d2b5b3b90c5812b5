"""The supervisor: whatever a command starts ends with its owner, and so does the work folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.processes import SupervisedProcess

PROJECT = Path(__file__).resolve().parents[3]

# A command with a child in a session of its own, as a function has ffmpeg.
COMMAND = """
setsid sleep 600 &
echo $$ $! > "$1/pids"
while :; do sleep 1; done
"""

STUBBORN = f"trap '' TERM\n{COMMAND}"

OWNER = """
import sys, time
from pathlib import Path
from local.processes import SupervisedProcess
SupervisedProcess(["sh", "-c", sys.argv[2], "sh", sys.argv[1]], work_folder=Path(sys.argv[1]))
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def pids_in(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture
def work_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_stopping_ends_stubborn_and_detached_descendants(work_folder: Path) -> None:
    process = SupervisedProcess(["sh", "-c", STUBBORN, "sh", str(work_folder)], work_folder=work_folder)
    assert wait_for(lambda: len(pids_in(work_folder)) == 2)
    pids = pids_in(work_folder)

    process.stop()
    process.stop()

    assert process.ended
    assert not [pid for pid in pids if is_running(pid)]
    assert not work_folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_the_death_of_the_owner_ends_all_of_it(work_folder: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen([sys.executable, "-c", OWNER, str(work_folder), COMMAND], env=environment) as owner:
        assert wait_for(lambda: len(pids_in(work_folder)) == 2)
        pids = pids_in(work_folder)

        owner.send_signal(number)

    assert wait_for(lambda: not work_folder.exists())
    assert not [pid for pid in pids if is_running(pid)]


def test_a_command_that_ends_gives_its_output_and_status() -> None:
    process = SupervisedProcess(["sh", "-c", "echo hello; exit 3"], stdout=subprocess.PIPE)

    assert process.wait() == (b"hello\n", 3)
