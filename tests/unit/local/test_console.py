"""Colours and bars are for terminals alone, and NO_COLOR (https://no-color.org) is obeyed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
TYPICAL = """
from local.console import Console
console = Console()
console.done("Saved", "song.32k.mp3")
with console.bar("Uploading", 100) as advance:
    advance(50)
console.error("It failed.")
"""


def screen(**environment: str) -> str:
    """What the console sends to a terminal."""
    ours, terminal = pty.openpty()
    command = [sys.executable, "-B", "-c", TYPICAL]
    given = {"PATH": os.defpath, "TERM": "xterm-256color", **environment}
    with subprocess.Popen(command, cwd=PROJECT, env=given, stdin=terminal, stdout=terminal, stderr=terminal):
        os.close(terminal)
        printed = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # what Linux says when nobody has the other side any more
                break
            if not part:
                break
            printed += part
    os.close(ours)
    return printed.decode()


def test_a_terminal_gets_colours_and_a_bar() -> None:
    printed = screen()

    assert "\x1b[32m" in printed
    assert "50%" in printed


@pytest.mark.parametrize("given", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_colours_where_they_are_not_wanted(given: dict[str, str]) -> None:
    printed = screen(**given)

    assert "song.32k.mp3" in printed
    assert "\x1b[3" not in printed


def test_a_file_gets_text_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", TYPICAL], cwd=PROJECT, env={"PATH": os.defpath}, capture_output=True, check=True
    )

    assert done.stdout.split() == [b"Saved", b"song.32k.mp3"]
    assert done.stderr == b"It failed.\n"
