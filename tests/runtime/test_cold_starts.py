"""Cold starts: functions and layers are read-only on Lambda, so bytecode that is not shipped is never kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from local import template as templates
from local.adapter import template_changes
from tests.runtime.conftest import LAMBDA_PYTHON, SAM_BUILD
from tests.runtime.functions import example
from tests.runtime.runtime_api import LambdaEnvironment

TEMPLATE = templates.load(SAM_BUILD / "template.yaml")
ROUNDS = 11
WITHOUT_AWS = {
    "ResampleFunction": example("s3-test"),
    "ApiFunction": example("api-open-api"),
    "PurgeFunction": {"Records": [{"messageId": "1", "body": "{}", "eventSource": "aws:sqs"}]},
}
VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "JOBS_TABLE": "jobs",
    "UPLOAD_BUCKET": "uploads",
    "RESULT_BUCKET": "results",
    "PURGE_QUEUE_URL": "https://sqs.invalid/purges",
    "PUBLIC_URL": "https://audio.example.com",
    "POWERTOOLS_SERVICE_NAME": "audio-resampler",
    "POWERTOOLS_METRICS_NAMESPACE": "AudioResampler",
}

# What Python compiles from source it announces to audit hooks; loading bytecode it does not.
NAME_COMPILED = """
import importlib, json, sys
compiled = []
sys.addaudithook(lambda event, args: compiled.append(str(args[1])) if event == "compile" else None)
importlib.import_module(sys.argv[1])
print(json.dumps([name for name in compiled if any(name.startswith(folder) for folder in sys.argv[2:])]))
"""

every_function = pytest.mark.parametrize("name", WITHOUT_AWS)


@dataclass(frozen=True, slots=True)
class Mounted:
    """A function and its layers, as Lambda mounts them."""

    handler: str
    task: Path
    opt: Path

    def without_bytecode(self, folder: Path) -> Mounted:
        """A copy of the same without bytecode."""
        bare = shutil.ignore_patterns("__pycache__")
        task = shutil.copytree(self.task, folder / "task", ignore=bare)
        opt = shutil.copytree(self.opt, folder / "opt", ignore=bare)
        return Mounted(self.handler, task, opt)


@pytest.fixture
def mounted(name: str, tmp_path: Path) -> Mounted:
    opt = tmp_path / "opt"
    for layer in template_changes.layers_of(TEMPLATE["Resources"][name], TEMPLATE):
        shutil.copytree(SAM_BUILD / layer, opt, dirs_exist_ok=True)
    task = shutil.copytree(SAM_BUILD / name, tmp_path / "task")
    return Mounted(TEMPLATE["Resources"][name]["Properties"]["Handler"], task, opt)


@pytest.fixture
def runtime_python() -> Path:
    """Lambda's Python with Lambda's client; another version would not take the bytecode."""
    ask = "import sys; print('python%d.%d' % sys.version_info[:2])"
    version = subprocess.run([LAMBDA_PYTHON, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    if version != TEMPLATE["Globals"]["Function"]["Runtime"]:
        pytest.skip(f"this machine has no Python of Lambda's version, only {version}")
    return LAMBDA_PYTHON


@every_function
def test_nothing_is_compiled_at_a_cold_start(mounted: Mounted, runtime_python: Path) -> None:
    module = mounted.handler.rpartition(".")[0]

    done = subprocess.run(
        [runtime_python, "-B", "-c", NAME_COMPILED, module, str(mounted.task), str(mounted.opt)],
        cwd=mounted.task,
        env={**VARIABLES, "PYTHONPATH": f"{mounted.task}:{mounted.opt / 'python'}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == []


@every_function
def test_bytecode_holds_the_paths_that_lambda_has(mounted: Mounted, runtime_python: Path) -> None:
    for folder, place in ((mounted.task, "/var/task"), (mounted.opt, "/opt")):
        for path in folder.rglob("*.pyc"):
            assert str(SAM_BUILD).encode() not in path.read_bytes()
        some = next(folder.rglob("__init__.*.pyc"))
        assert place.encode() in some.read_bytes()


@pytest.mark.long
@every_function
def test_cold_start_with_and_without_bytecode(
    name: str, mounted: Mounted, runtime_python: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Under Lambda's own client: processor time from the start of the process to its first answer."""
    bare = mounted.without_bytecode(tmp_path / "bare")
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(ROUNDS):  # in turns, so that a busy machine is busy for both
        for kind, which in (("with", mounted), ("without", bare)):
            seconds[kind].append(_cold_start(which, runtime_python, tmp_path / f"{kind}{number}", WITHOUT_AWS[name]))

    with_bytecode, without = median(seconds["with"]), median(seconds["without"])
    figure(
        f"{name}, processor time of a cold start, medians of {ROUNDS}: {without:.2f} s without bytecode, "
        f"{with_bytecode:.2f} s with it ({with_bytecode / without:.2f})"
    )


def _cold_start(mounted: Mounted, python: Path, folder: Path, event: Any) -> float:
    arn = "arn:aws:lambda:eu-central-1:000000000000:function:cold"
    with LambdaEnvironment(
        python,
        mounted.handler,
        task=mounted.task,
        opt=mounted.opt,
        folder=folder,
        variables=VARIABLES,
        timeout_seconds=60,
        arn=arn,
    ) as environment:
        environment.invoke(event)
        return environment.processor_seconds()
