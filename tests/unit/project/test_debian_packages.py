"""make installs what is missing from Debian, and nothing else: a machine may have the rest from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]

CLIENTS = ["chromium", "firefox-esr", "curl", "wget", "aria2c", "npm", "rclone", "s3cmd", "mpg123", "mp3val", "lame"]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with all clients, an apt-get that notes what it is asked for, and a user who may install."""
    for name in CLIENTS:
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n')
    for name in ("id", "apt-get"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(target: str, machine: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    assert program
    command = [program, "--no-print-directory", "-C", str(PROJECT), target]
    return subprocess.run(command, env={"PATH": str(machine)}, check=True, capture_output=True, text=True)


def installed(machine: Path) -> list[str]:
    """The packages, as apt-get was told them."""
    calls = (machine / "calls").read_text().splitlines() if (machine / "calls").exists() else []
    return [word for call in calls if call.startswith("install") for word in call.split()[1:] if word[0] != "-"]


def test_where_nothing_is_missing_nothing_is_installed(machine: Path) -> None:
    assert make("clients", machine).stdout == ""
    assert installed(machine) == []


def test_only_what_is_missing_is_installed(machine: Path) -> None:
    (machine / "aria2c").unlink()
    (machine / "lame").unlink()

    assert make("clients", machine).stdout == "Installing aria2 lame ...\n"
    assert installed(machine) == ["aria2", "lame"], "npm of elsewhere and Debian's exclude each other"


def test_packages_of_other_names(machine: Path) -> None:
    make("encoders", machine)

    assert installed(machine) == ["musepack-tools", "speex"]


def test_who_may_not_install_is_told_what_to_type(machine: Path) -> None:
    (machine / "id").write_text("#!/bin/sh\necho 1000\n")
    (machine / "rclone").unlink()

    assert "please type: sudo apt-get install rclone" in make("clients", machine).stderr
    assert installed(machine) == []
