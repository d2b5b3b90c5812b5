"""The functions as `sam build` made them, under Lambda's own Python client, against the embedded AWS."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import template as templates
from local.adapter import template_changes
from local.stack import PROJECT, EmbeddedAws
from tests.runtime.artefacts import SAM_BUILDS
from tests.runtime.functions import Functions
from tests.runtime.runtime_api import LambdaEnvironment
from tests.stacks import silent_stack

SAM_BUILD = SAM_BUILDS["arm64" if platform.machine() == "aarch64" else "x86_64"]
LAMBDA_PYTHON = PROJECT / ".venv-lambda" / "bin" / "python"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """The embedded AWS without anything that would call its own functions: here the tests deliver the events."""
    with silent_stack(SAM_BUILD, tmp_path_factory.mktemp("aws")) as stack:
        yield stack


@pytest.fixture(scope="session")
def functions(
    stack: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory, figure: Callable[[str], None]
) -> Iterator[Functions]:
    """One environment of each function, with the role and the variables that the template gives it."""
    assert LAMBDA_PYTHON.exists(), f"type: make {LAMBDA_PYTHON.parent.parent.name}/installed"
    built = templates.load(SAM_BUILD / "template.yaml")
    version = subprocess.run([LAMBDA_PYTHON, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with ExitStack() as started:
        environments = {}
        for logical_id, physical_id in stack.access.functions.items():
            folder = tmp_path_factory.mktemp(logical_id)
            opt = folder / "opt"
            for layer in template_changes.layers_of(built["Resources"][logical_id], built):
                shutil.copytree(SAM_BUILD / layer, opt, dirs_exist_ok=True)
            shutil.copytree(SAM_BUILD / logical_id, folder / "task")
            properties = stack.stack.deployment.resolve(stack.stack.template["Resources"][logical_id]["Properties"])
            environments[logical_id] = started.enter_context(
                LambdaEnvironment(
                    LAMBDA_PYTHON,
                    properties["Handler"],
                    task=folder / "task",
                    opt=opt,
                    folder=folder,
                    variables=_template_variables(properties) | _role(stack, properties["Role"]),
                    timeout_seconds=float(properties["Timeout"]),
                    arn=stack.stack.deployment.attributes[logical_id, "Arn"],
                )
            )
            assert physical_id in stack.stack.deployment.attributes[logical_id, "Arn"]
        yield Functions(stack, environments)
    for logical_id, environment in environments.items():
        figure(f"{version}, {logical_id}: " + in_words(environment.invocation_seconds))


def in_words(seconds: list[float]) -> str:
    """How long the invocations of one environment took, the first of them with the start of the process."""
    if not seconds:
        return "never invoked"
    cold, *warm = (f"{1000 * second:.0f}" for second in seconds)
    return f"cold {cold} ms, warm {' '.join(warm) or 'never'} ms"


def _template_variables(properties: dict[str, object]) -> dict[str, str]:
    """The function's variables without those that the embedded AWS adds in order to stand in for Lambda."""
    environment = properties["Environment"]
    assert isinstance(environment, dict)
    stand_ins = {"PATH", "PYTHONPATH", "TMPDIR"}
    return {name: str(value) for name, value in environment["Variables"].items() if name not in stand_ins}


def _role(stack: EmbeddedAws, role_arn: object) -> dict[str, str]:
    """The variables by which a function gets its role's credentials, and finds the services."""
    credentials = stack.admin.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=f"test-{int(time.time())}")
    keys = credentials["Credentials"]
    return {
        "AWS_REGION": stack.access.region,
        "AWS_DEFAULT_REGION": stack.access.region,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
        "AWS_ENDPOINT_URL": stack.access.endpoint_url,
    }


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Three seconds of a tone."""
    from tests.audio.synth import sine, wav_bytes

    path = tmp_path / "three seconds.wav"
    path.write_bytes(wav_bytes(sine(3, channels=2), channels=2))
    return path
