"""The folder of an invocation, and what invocations before it left."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from resample.sandbox.scratch import scratch_folder


@pytest.fixture(autouse=True)
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_folder_that_is_gone_at_the_end_however_that_comes(tmp: Path) -> None:
    def fail() -> None:
        with scratch_folder() as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "file").write_bytes(b"content")
            assert folder.parent == tmp
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize("owner", ["this", "ended"])
def test_what_a_killed_process_left_is_deleted(tmp: Path, ended_process: int, owner: str) -> None:
    left = tmp / f"job-{os.getpid() if owner == 'this' else ended_process}-abc"
    left.mkdir()
    (left / "result.mp3").write_bytes(b"content")

    with scratch_folder() as folder:
        assert list(tmp.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["job-{parent}-abc", "job-abc", "job-1x-abc", "other-{ended}-abc"])
def test_what_belongs_to_others_stays(tmp: Path, ended_process: int, name: str) -> None:
    other = tmp / name.format(parent=os.getppid(), ended=ended_process)
    other.mkdir()

    with scratch_folder():
        pass

    assert list(tmp.iterdir()) == [other]


def test_what_belongs_to_a_process_of_somebody_else_stays(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp / "job-1-abc"
    other.mkdir()
    asked: list[tuple[int, int]] = []

    def forbidden(process: int, number: int) -> None:
        asked.append((process, number))
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)

    with scratch_folder():
        pass

    assert asked == [(1, 0)], "nothing is sent to it"
    assert list(tmp.iterdir()) == [other]


def test_a_left_folder_that_cannot_be_deleted_stops_nothing(tmp: Path, ended_process: int) -> None:
    """Here a link, which is not followed: what it leads to stays."""
    precious = tmp / "precious"
    precious.mkdir()
    left = tmp / f"job-{ended_process}-abc"
    left.symlink_to(precious)
    also_left = tmp / f"job-{ended_process}-def"
    also_left.mkdir()

    with scratch_folder() as folder:
        assert folder.is_dir()

    assert set(tmp.iterdir()) == {precious, left}
