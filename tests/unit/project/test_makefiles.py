"""The makefiles run where users are: GNU make 3.81, bash 3.2 and no GNU tools; what can't work says so at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
MAKEFILES = [PROJECT / "Makefile", *sorted((PROJECT / "layers").rglob("Makefile")), PROJECT / "functions/Makefile"]
NEWER_THAN_MAKE_3_81 = r"\.SHELLFLAGS|\.ONESHELL|\.RECIPEPREFIX|!=|&:|::=|\$\(file |^undefine |^private |^define .*="
NEWER_THAN_BASH_3_2 = r"\bmapfile\b|\breadarray\b|declare -A|\$\{\w+(,,|\^\^)|&>>|\|&|\bcoproc\b"
OF_GNU_ALONE = r"\bnproc\b|readlink -f|sed -i|grep -P|xargs -r|date -d|stat -c|\b(du|cp|rm|ls|mkdir) (-\S+ )*--\w"

every_makefile = pytest.mark.parametrize("makefile", MAKEFILES, ids=lambda path: str(path.relative_to(PROJECT)))


def environment(**changes: str) -> dict[str, str]:
    """Without what an outer make tells an inner one."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))} | changes


@every_makefile
@pytest.mark.parametrize("pattern", [NEWER_THAN_MAKE_3_81, NEWER_THAN_BASH_3_2, OF_GNU_ALONE])
def test_nothing_is_asked_that_macos_lacks(makefile: Path, pattern: str) -> None:
    assert re.findall(pattern, makefile.read_text(), re.MULTILINE) == []


TARGETS = re.findall(r"(?m)^([a-z][a-z0-9-]*):", (PROJECT / "Makefile").read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_would_run_is_whole(target: str) -> None:
    """A comma in an argument of make's `$(call ...)` ends that argument, and leaves half of a command."""
    # Lines with $(MAKE) are run even so: by a shell that does nothing.
    told = ["make", "--dry-run", "--always-make", "SHELL=true", "AUDIO=song.wav", "STACK=audio", target]
    commands = subprocess.run(told, cwd=PROJECT, env=environment(), capture_output=True, text=True, check=True).stdout

    parsed = subprocess.run(["bash", "-n"], input=commands, capture_output=True, text=True, check=False)

    assert commands
    assert parsed.stderr == ""


def test_help_groups_its_targets() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=PROJECT, env=environment(), capture_output=True, text=True, check=True
    ).stdout

    groups = {title.split()[0]: re.findall(r"^  make (\S+)", block, re.MULTILINE) for title, block in _blocks(shown)}
    assert groups["Use"] == ["run", "serve", "aws"]
    assert {"deploy", "build", "layer-zips", "redrive"} <= set(groups["Operate,"])
    assert {"check", "test", "bench", "layer", "lock", "clean"} <= set(groups["Develop"])
    documented = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert {target for targets in groups.values() for target in targets} | {"help"} == documented


def _blocks(shown: str) -> list[tuple[str, str]]:
    parts = [part.partition("\n") for part in shown.split("\n\n")[1:]]
    return [(title, block) for title, _, block in parts]


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which `uname` says that this is a Mac."""
    uname = tmp_path / "bin" / "uname"
    uname.parent.mkdir()
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    return environment(PATH=f"{uname.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("target", ["run", "serve"])
def test_what_needs_linux_says_so_at_once(target: str, elsewhere: dict[str, str]) -> None:
    done = subprocess.run(
        ["make", target], cwd=PROJECT, env=elsewhere, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"make {target} needs Linux")
    assert "make deploy" in done.stderr


def test_a_python_that_is_missing_or_too_old_is_named_with_what_brings_one(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements-run.lock"):
        shutil.copy(PROJECT / name, tmp_path)
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" || exit 1\n')
    old.chmod(0o755)

    for python in (str(old), str(tmp_path / "no-python")):
        done = subprocess.run(
            ["make", f"PYTHON={python}", ".venv-run/installed"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode != 0
        assert "Python 3.11 or newer is needed" in done.stderr
        assert "PYTHON=python3.13" in done.stderr
        assert not (tmp_path / ".venv-run").exists()


def test_what_runs_the_service_is_small() -> None:
    """`make run` and `make serve` install neither the tests' packages nor the aws CLI."""
    lock = (PROJECT / "requirements-run.lock").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))

    assert {"boto3", "ministack", "aws-sam-translator", "rich"} <= names
    assert not names & {"awscli", "pytest", "moto", "playwright", "imageio-ffmpeg", "cfn-lint", "mypy", "ruff"}


def test_the_service_runs_on_the_versions_that_the_tests_have() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==\S+)", (PROJECT / name).read_text(), re.MULTILINE))

    assert pins("requirements-run.lock") <= pins("requirements.lock")


@pytest.mark.parametrize(("environment_folder", "is_compiled"), [(".venv-run", False), (".venv", True)])
def test_what_is_hardly_imported_is_not_compiled(environment_folder: str, is_compiled: bool) -> None:
    """By an option: pip reads the variable PIP_NO_COMPILE=1 the other way round."""
    told = ["make", "--dry-run", "--always-make", "PYTHON=python3", f"{environment_folder}/installed"]

    commands = subprocess.run(told, cwd=PROJECT, env=environment(), capture_output=True, text=True, check=True).stdout

    assert f"{environment_folder}/bin/python -m pip install" in commands
    assert ("--no-compile" not in commands) is is_compiled
    assert "PIP_NO_COMPILE" not in (PROJECT / "Makefile").read_text()


def test_the_shared_layer_is_built_while_packages_are_installed() -> None:
    """It needs an environment with pip, and not the packages in it."""
    text = (PROJECT / "Makefile").read_text()

    [needs] = re.findall(r"(?m)^shared-layer: (.*)$", text)
    assert needs == "$(RUN_VENV)/bin/pip"
    assert "-j3 ready" in text
