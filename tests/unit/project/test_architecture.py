"""Who may import what (docs/architecture.md), and how little a cold start loads."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiojobs import clients

PROJECT = Path(__file__).resolve().parents[3]
FUNCTIONS = PROJECT / "functions"
SHARED = PROJECT / "layers" / "shared"

PURE = {"errors", "conversion", "filenames", "references", "passphrases", "job", "links", "settings"}
TALKS_TO_AWS = {"aws_errors", "clients", "multipart", "store", "objects", "purges", "announcements"}
AWS_SDK = {"boto3", "botocore", "s3transfer", "urllib3"}

# What must never be loaded by a function: slow, big, or not in the artefact.
UNWANTED = {"pydantic", "pydantic_core", "jsonschema", "fastjsonschema", "aws_xray_sdk", "yaml", "requests", "redis"}

# Modules in all, of which 23 are the interpreter's own. Most of the rest is boto3; what adds a library shows here.
MODULE_BUDGETS = {"api.app": 600, "purge.app": 570, "resample.app": 520}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """The full names of what a file imports, inside functions and ``TYPE_CHECKING`` too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(file)}


def runtime_packages(file: Path) -> set[str]:
    """Without the type stubs, which only type checkers see."""
    return {name for name in packages(file) if not name.startswith("mypy_boto3")}


def named(file: Path) -> str:
    return str(file.relative_to(PROJECT))


every_function_module = pytest.mark.parametrize("file", modules(FUNCTIONS), ids=named)
every_shared_module = pytest.mark.parametrize("file", modules(SHARED), ids=named)


@every_function_module
def test_no_function_imports_another(file: Path) -> None:
    function = file.relative_to(FUNCTIONS).parts[0]
    all_functions = {folder.name for folder in FUNCTIONS.iterdir() if folder.is_dir()}

    assert packages(file) & all_functions <= {function}


@every_function_module
def test_functions_leave_aws_to_the_shared_layer(file: Path) -> None:
    assert not packages(file) & AWS_SDK
    assert packages(file) <= sys.stdlib_module_names | {
        "audiojobs",
        "aws_lambda_powertools",
        file.relative_to(FUNCTIONS).parts[0],
    }


# Each room of the resample function, and the rooms that it may know: the floors of docs/architecture.md.
ROOMS = {
    "resample.engine.ffmpeg": {"resample.formats", "resample.sandbox"},
    "resample.engine.parallel": {"resample.formats", "resample.sandbox"},
    "resample.engine": {"resample.engine.ffmpeg", "resample.engine.parallel", "resample.formats", "resample.sandbox"},
    "resample.formats": set(),
    "resample.sandbox": set(),
}
SHARED_BY_ROOMS = {"audiojobs.conversion", "audiojobs.errors", "audiojobs.job", "audiojobs.filenames"}


def room(module: str) -> str | None:
    """The innermost room that a module, or a name in it, belongs to."""
    return next((name for name in ROOMS if module == name or module.startswith(f"{name}.")), None)


def in_rooms() -> list[Path]:
    return [file for file in modules(FUNCTIONS) if room(module_name(file))]


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(FUNCTIONS).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("file", in_rooms(), ids=named)
def test_rooms_know_only_the_floors_below(file: Path) -> None:
    own = room(module_name(file))
    assert own is not None

    for name in imports(file):
        if name.startswith("resample"):
            assert room(name) in {own, *ROOMS[own]}, f"{named(file)} imports {name}"
        if name.startswith("audiojobs"):
            assert ".".join(name.split(".")[:2]) in SHARED_BY_ROOMS, f"{named(file)} imports {name}"


def test_no_module_of_the_functions_imports_itself_in_a_circle() -> None:
    """Also not for type checkers only: what needs a circle has its content in the wrong place."""
    known = {module_name(file): file for file in modules(FUNCTIONS)}
    needs = {
        name: {
            found
            for imported in imports(file)
            for found in (imported, imported.rpartition(".")[0])
            if found in known and found != name and not name.startswith(f"{found}.")
        }
        for name, file in known.items()
    }

    graphlib.TopologicalSorter(needs).prepare()


@every_shared_module
def test_the_shared_layer_knows_no_function(file: Path) -> None:
    assert runtime_packages(file) <= sys.stdlib_module_names | AWS_SDK | {"audiojobs", "aws_lambda_powertools"}


@every_shared_module
def test_only_some_modules_talk_to_aws(file: Path) -> None:
    if file.stem not in TALKS_TO_AWS:
        assert not packages(file) & AWS_SDK


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_core_is_pure(name: str) -> None:
    file = SHARED / "audiojobs" / f"{name}.py"
    ours = {part.split(".")[1] for part in imports(file) if part.startswith("audiojobs.")}

    assert packages(file) <= sys.stdlib_module_names | {"audiojobs"}
    assert not packages(file) & {"subprocess", "socket", "tempfile", "urllib", "http"}
    assert ours <= PURE


@pytest.mark.parametrize("file", modules(PROJECT / "operate"), ids=named)
def test_what_operates_a_stack_knows_aws_only(file: Path) -> None:
    assert not packages(file) & {"audiojobs", "local", "tests", *(folder.name for folder in FUNCTIONS.iterdir())}


@pytest.mark.parametrize("file", modules(PROJECT / "local"), ids=named)
def test_the_embedded_aws_knows_the_template_and_aws_only(file: Path) -> None:
    assert not packages(file) & {"audiojobs", "operate", "tests", *(folder.name for folder in FUNCTIONS.iterdir())}


@pytest.mark.parametrize("handler", MODULE_BUDGETS)
def test_a_cold_start_loads_little_and_reads_no_environment(handler: str) -> None:
    program = f"import os, sys; os.environ.clear();import {handler}; print('\\n'.join(sys.modules))"
    path = os.pathsep.join([str(FUNCTIONS), str(SHARED)])

    done = subprocess.run(
        [sys.executable, "-B", "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )

    loaded = done.stdout.split()
    assert {name.partition(".")[0] for name in loaded} & UNWANTED == set()
    assert len(loaded) < MODULE_BUDGETS[handler], len(loaded)


@pytest.mark.parametrize("handler", MODULE_BUDGETS)
def test_every_client_is_made_while_lambda_starts_a_function(handler: str) -> None:
    """With a whole vCPU: at 512 MB, the first call would wait 0.3 s for them."""
    code = (FUNCTIONS / f"{handler.replace('.', '/')}.py").read_text(encoding="utf-8")
    used = set(re.findall(r"clients\.(\w+)\(\)", code))
    program = (
        f"import {handler}; from audiojobs import clients;"
        "cached = {name: made for name, made in vars(clients).items() if hasattr(made, 'cache_info')};"
        "print(*(name for name, made in cached.items() if made.cache_info().currsize))"
    )
    environment = {
        "PYTHONPATH": os.pathsep.join([str(FUNCTIONS), str(SHARED)]),
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }

    done = subprocess.run(
        [sys.executable, "-B", "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert used
    assert set(done.stdout.split()) == used


def test_no_client_is_made_anywhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)

    clients.prepare(lambda: pytest.fail("made"))
