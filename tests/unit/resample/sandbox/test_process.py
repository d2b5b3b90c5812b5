"""Running a program: what it gets, what is kept of what it says, and its end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from audiojobs.errors import CorruptAudio, InternalError, TimeLimit
from resample.sandbox.process import executable, run


def ignore(data: bytes) -> None:
    pass


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def far_away() -> float:
    """A deadline that nothing here takes to reach."""
    return time.monotonic() + 300


def test_output_and_exit_status(tmp_path: Path) -> None:
    output = bytearray()
    script = "import sys, os; print(os.getcwd(), end=''); print('one\\ntwo', file=sys.stderr, end=''); sys.exit(3)"

    finished = run(python(script), folder=tmp_path, deadline=far_away(), on_output=output.extend)

    assert output.decode() == str(tmp_path)
    assert finished.exit_status == 3
    assert finished.last_lines == ("one", "two")


def test_a_signal(tmp_path: Path) -> None:
    script = "import ctypes; ctypes.string_at(0)"

    assert run(python(script), folder=tmp_path, deadline=far_away(), on_output=ignore).exit_status == -11


def test_lines_that_are_not_worth_keeping(tmp_path: Path) -> None:
    script = "import sys\nfor n in range(100): print(n, file=sys.stderr)"

    finished = run(
        python(script),
        folder=tmp_path,
        deadline=far_away(),
        on_output=ignore,
        on_line=lambda line: line.endswith("7"),
    )

    assert finished.last_lines == ("7", "17", "27", "37", "47", "57", "67", "77", "87", "97")


@pytest.mark.parametrize("end", ["", "\\n"])
def test_of_a_line_the_beginning_is_kept(tmp_path: Path, end: str) -> None:
    script = f"import sys; print('x' * 1000 + 'y' * 5000, file=sys.stderr, end='{end}')"

    finished = run(python(script), folder=tmp_path, deadline=far_away(), on_output=ignore)

    assert finished.last_lines == ("x" * 1000,)


@pytest.mark.parametrize("end", ["", "\n"], ids=["without an end", "whole"])
def test_the_last_twenty_lines_are_kept(tmp_path: Path, end: str) -> None:
    script = f"import sys; sys.stderr.write('\\n'.join(map(str, range(50))) + {end!r})"

    finished = run(python(script), folder=tmp_path, deadline=far_away(), on_output=ignore)

    assert finished.last_lines == tuple(map(str, range(30, 50)))


def test_a_line_that_comes_in_pieces_is_one(tmp_path: Path) -> None:
    script = "import os, time\nfor piece in (b'on', b'e\\nt', b'wo'): os.write(2, piece); time.sleep(0.1)"

    finished = run(python(script), folder=tmp_path, deadline=far_away(), on_output=ignore)

    assert finished.last_lines == ("one", "two")


def test_what_is_no_text_is_replaced(tmp_path: Path) -> None:
    script = r"import os; os.write(2, b'a \xff b\n')"

    assert run(python(script), folder=tmp_path, deadline=far_away(), on_output=ignore).last_lines == ("a \ufffd b",)


@pytest.mark.parametrize("close", ["pass", "import os; os.close(1); os.close(2)"], ids=["talking", "silent"])
def test_the_deadline(tmp_path: Path, close: str) -> None:
    asleep = python(f"{close}; import time; time.sleep(3600)")

    with pytest.raises(TimeLimit):
        run(asleep, folder=tmp_path, deadline=time.monotonic() + 0.5, on_output=ignore)


@pytest.mark.parametrize("content", ["b'\\n' * 4096", "b'words ' * 4096", "b'x'"], ids=["lines", "words", "bytes"])
@pytest.mark.parametrize("pipe", [1, 2], ids=["stdout", "stderr"])
def test_a_program_that_talks_without_end(tmp_path: Path, pipe: int, content: str) -> None:
    heard = bytearray()
    endless = python(f"import os\nwhile True: os.write({pipe}, {content})")

    with pytest.raises(CorruptAudio, match="too much text in its tags"):
        run(endless, folder=tmp_path, deadline=far_away(), on_output=heard.extend, max_output_bytes=100_000)

    assert len(heard) <= 100_000


def test_a_program_may_say_as_much_as_it_is_allowed_to(tmp_path: Path) -> None:
    heard = bytearray()
    script = "import os, sys; os.write(1, bytes(1000)); os.write(2, b'\\n' * 1000)"

    finished = run(python(script), folder=tmp_path, deadline=far_away(), on_output=heard.extend, max_output_bytes=1000)

    assert (finished.exit_status, len(heard)) == (0, 1000)


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(InternalError):
        run([str(tmp_path / "missing")], folder=tmp_path, deadline=far_away(), on_output=ignore)


def test_a_program_that_is_not_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InternalError, match="ffmpeg"):
        executable("ffmpeg")
