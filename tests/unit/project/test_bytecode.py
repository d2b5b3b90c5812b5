"""Bytecode for Lambda's Python: who compiles it, that it comes out the same, and what happens where nobody can."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
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


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


@pytest.mark.usefixtures("arguments")
class TestPyodide:
    """Where there is no Python of that version: npm brings Pyodide, and Node.js runs it."""

    @pytest.fixture(autouse=True)
    def npm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An archive that is the pinned one, and an npm that brings it."""
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "pyodide.mjs").touch()
        archive = tmp_path / f"pyodide-{bytecode.PYODIDE}.tgz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(tmp_path / "package", "package")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        programs = tmp_path / "bin"
        program(programs / "npm", f"[ $3 = pyodide@{bytecode.PYODIDE} ] && {shutil.which('cp')} {archive} .")
        for name in ("tar", "gzip"):
            (programs / name).symlink_to(shutil.which(name) or pytest.skip(f"there is no {name}"))
        monkeypatch.setattr(bytecode, "pythons", lambda: iter(()))
        monkeypatch.setattr(bytecode, "PYODIDE_SHA512", digest)
        monkeypatch.setenv("PATH", str(programs))

    def test_it_compiles_the_artefact_for_its_place(
        self, artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        program(tmp_path / "bin/node", f'[ -f "${{1%/*}}/pyodide.mjs" ] && printf "%s\\n" "$@" > {tmp_path}/called')

        assert bytecode.main() == 0

        script, folder, *lines = (tmp_path / "called").read_text().splitlines()
        assert (Path(script).name, folder) == ("compile.mjs", str(artefact))
        assert "folder, place = '/artefact', '/var/task'" in lines
        assert capsys.readouterr().err == ""

    def test_a_compilation_that_fails_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        program(tmp_path / "bin/node", "exit 1")

        assert bytecode.main() == 0

        assert "Pyodide failed" in capsys.readouterr().err

    def test_another_archive_than_the_pinned_one_is_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        program(tmp_path / "bin/node", f": > {tmp_path}/called")
        monkeypatch.setattr(bytecode, "PYODIDE_SHA512", "another")

        assert bytecode.main() == 0

        assert "not the one that is pinned" in capsys.readouterr().err
        assert not (tmp_path / "called").exists()

    def test_npm_without_node_is_not_enough(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert bytecode.main() == 0

        assert "there is no npm either" in capsys.readouterr().err


class TestPythons:
    """Which one compiles: this very one, python3.13 on PATH, one of pyenv's, one of uv's."""

    @pytest.mark.parametrize(
        ("said", "is_it"), [("cpython-313", True), ("cpython-312", False), ("pypy-313", False), ("", False)]
    )
    def test_one_is_of_the_version_of_the_functions_if_it_says_so(self, tmp_path: Path, said: str, is_it: bool) -> None:
        program(tmp_path / "python", f"echo {said}")

        assert bytecode.is_of_runtime_version(str(tmp_path / "python")) is is_it

    def test_one_that_is_not_there_is_not(self, tmp_path: Path) -> None:
        assert not bytecode.is_of_runtime_version(str(tmp_path / "python"))

    @pytest.mark.parametrize("by_variables", [True, False], ids=["told where", "at home"])
    def test_they_are_looked_for_in_this_order(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variables: bool
    ) -> None:
        pyenv, uv = tmp_path / ".pyenv", tmp_path / ".local/share/uv/python"
        installed = [
            tmp_path / "bin" / "python3.13",
            *(pyenv / "versions" / version / "bin/python3.13" for version in ("3.13.1", "3.13.2")),
            uv / "cpython-3.13.5-linux-x86_64-gnu/bin/python3.13",
        ]
        for path in (*installed, pyenv / "versions/3.12.1/bin/python3.12", uv / "pypy-3.13.1/bin/pypy"):
            program(path)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.setenv("HOME", str(tmp_path if not by_variables else tmp_path / "nowhere"))
        for name, folder in (("PYENV_ROOT", pyenv), ("UV_PYTHON_INSTALL_DIR", uv)):
            monkeypatch.setenv(name, str(folder) if by_variables else "")

        assert list(bytecode.pythons()) == [sys.executable, *map(str, installed)]

    @pytest.mark.usefixtures("arguments")
    def test_the_first_that_will_do_compiles(
        self, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        program(tmp_path / "python3.12", "echo cpython-312")
        program(tmp_path / "python3.13", f'[ $# = 3 ] && echo cpython-313 || exec {sys.executable} "$@"')
        monkeypatch.setattr(bytecode, "pythons", lambda: map(str, sorted(tmp_path.glob("python*"))))

        assert bytecode.main() == 0

        assert len(compiled(artefact)) == 2
        assert capsys.readouterr().err == ""

    def test_one_that_is_named_is_taken_as_it_is(self, artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["bytecode.py", str(artefact), "/opt", "--python", sys.executable])
        monkeypatch.setattr(bytecode, "pythons", lambda: pytest.fail("looked for another"))

        assert bytecode.main() == 0

        assert all(b"/opt/" in content for content in compiled(artefact).values())
        assert len(compiled(artefact)) == 2


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
