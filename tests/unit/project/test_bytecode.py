"""Bytecode for Lambda's Python: who compiles it, that it comes out the same, and what happens where nobody can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bytecode
from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
SOURCE = 'FORMATS = {"wav", "mp3", "flac"}\n\n\ndef longest():\n    return max(FORMATS, key=len), __file__\n'


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    folder = tmp_path / "artefact"
    (folder / "deep").mkdir(parents=True)
    for path in (folder / "one.py", folder / "deep" / "two.py"):
        path.write_text(SOURCE)
    return folder


@pytest.fixture
def arguments(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bytecode.py", str(artefact), "/var/task"])


def compiled(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.pyc")}


def test_the_version_is_that_of_the_functions() -> None:
    template = templates.load(PROJECT / "template.yaml")

    assert template["Globals"]["Function"]["Runtime"] == f"python{bytecode.RUNTIME}"


def test_functions_and_layer_share_one_compiler() -> None:
    assert (PROJECT / "functions/bytecode.py").samefile(PROJECT / "layers/shared/bytecode.py")


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever_they_lie(artefact: Path) -> None:
    copy = artefact.with_name("a copy that is older")
    shutil.copytree(artefact, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))

    for folder in (artefact, copy):
        bytecode.compile_with_python(sys.executable, folder, "/var/task")

    assert compiled(artefact) == compiled(copy)
    assert len(compiled(artefact)) == 2
    assert all(b"/var/task/" in content for content in compiled(artefact).values())


def test_a_source_that_is_no_python_fails_the_build(artefact: Path) -> None:
    (artefact / "broken.py").write_text("def (:\n")

    with pytest.raises(subprocess.CalledProcessError):
        bytecode.compile_with_python(sys.executable, artefact, "/var/task")


@pytest.mark.usefixtures("arguments")
def test_without_any_compiler_the_build_goes_on_and_says_what_it_costs(
    artefact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bytecode, "pythons", lambda: iter(["/nowhere/python"]))
    monkeypatch.setenv("PATH", "/nowhere")

    assert bytecode.main() == 0

    assert compiled(artefact) == {}
    said = capsys.readouterr().err
    assert f"no Python {bytecode.RUNTIME} here" in said
    assert "without bytecode" in said


@pytest.mark.usefixtures("arguments")
def test_an_npm_that_fails_is_no_reason_to_fail(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("npm", "node"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(bytecode, "pythons", lambda: iter(()))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert bytecode.main() == 0

    assert compiled(artefact) == {}
    assert "Pyodide failed" in capsys.readouterr().err
