"""A user without root, on a machine without the compilers: the ffmpeg on PATH is used."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

LAYER = Path(__file__).resolve().parents[3] / "layers" / "ffmpeg"
FIT, WITHOUT_SOXR = "--enable-libmp3lame --enable-libsoxr", "--enable-libmp3lame"


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """As on a machine with apt, no compiler, and a user who is not root."""
    monkeypatch.syspath_prepend(str(LAYER))
    path = tmp_path / "bin"
    path.mkdir()
    write_program(path / "apt-get", "exit 100")
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DEBIAN_MIRROR", "http://mirror.example/debian")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return importlib.import_module("layer")


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_ffmpeg_on_path_is_used(layer: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_program(tmp_path / "bin/ffmpeg", f"echo configuration: {FIT}")
    write_program(tmp_path / "bin/ffprobe", "exit 0")

    assert layer.usable_bin_dir() == tmp_path / "bin"

    assert "type: sudo apt-get install gcc make nasm" in capsys.readouterr().err


@pytest.mark.parametrize("configuration", [WITHOUT_SOXR, None])
def test_one_that_lacks_the_resampler_is_not(layer: ModuleType, tmp_path: Path, configuration: str | None) -> None:
    if configuration:
        write_program(tmp_path / "bin/ffmpeg", f"echo configuration: {configuration}")
        write_program(tmp_path / "bin/ffprobe", "exit 0")

    with pytest.raises(importlib.import_module("steps").CannotBuild, match="install the package `ffmpeg`"):
        layer.usable_bin_dir()
