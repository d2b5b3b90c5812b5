"""SIGINT for make alone left `make serve` running: make waited for it, and it never heard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
RECIPE = """
import signal, threading, time
from local.following_make import follow_make
interrupted = threading.Event()
def interrupt(*_):
    interrupted.set()
    raise KeyboardInterrupt
signal.signal(signal.SIGINT, interrupt)
follow_make(interrupted)
try:
    print("up", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(3)  # as long as a second interrupt could take
print("in order", flush=True)
"""


def as_in_a_terminal() -> None:
    """What a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def to_make_alone(make: int) -> None:
    os.kill(make, signal.SIGINT)


def to_all_of_the_terminal(make: int) -> None:
    os.killpg(make, signal.SIGINT)


def end_make(make: int) -> None:
    os.kill(make, signal.SIGKILL)


@pytest.mark.parametrize("end", [to_make_alone, to_all_of_the_terminal, end_make])
def test_what_ends_make_ends_the_recipe_once_and_in_order(tmp_path: Path, end: Callable[[int], None]) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    (tmp_path / "Makefile").write_text(f"SHELL := /bin/bash\nserve:\n\t@{sys.executable} recipe.py\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}

    with subprocess.Popen(
        ["make", "serve"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    ) as make:
        assert make.stdout
        assert make.stdout.readline() == "up\n"
        time.sleep(0.1)
        end(make.pid)
        rest = make.stdout.read()

    assert rest == "interrupted\nin order\n"
