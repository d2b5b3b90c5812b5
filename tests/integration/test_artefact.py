"""The artefacts that `sam build` makes: complete in an empty Python, small, and the same for every processor."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bytecode
from local import template as templates

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATE = templates.load(PROJECT / "template.yaml")
HANDLERS = {
    name: resource["Properties"]["Handler"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}

# Unzipped. Lambda's limit is 250 MB a function with its layers; what is small starts fast.
FUNCTIONS_BUDGET_BYTES = 1_200_000
LAYER_BUDGET_BYTES = 40_000_000

HASH_UNCHECKED = 0b01  # PEP 552: valid by a hash of the source, which is not compared

# What Lambda gives to a function, as far as nothing has to be reached for it.
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
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

# Runs in the empty Python: paths, handler and event come on stdin, the answer goes to the last line of stdout.
INVOKE = """
import importlib, json, sys, warnings
warnings.simplefilter("error", SyntaxWarning)
order = json.load(sys.stdin)
sys.path[:0] = order["path"]
class Context:
    aws_request_id = function_name = invoked_function_arn = log_group_name = log_stream_name = "x"
    function_version, memory_limit_in_mb = "1", 512
    def get_remaining_time_in_millis(self): return 10000
module, _, name = order["handler"].rpartition(".")
handler = getattr(importlib.import_module(module), name)
answer = handler(order["event"], Context()) if "event" in order else None
modules = [getattr(m, "__file__", None) or "" for m in sys.modules.values()]
print(json.dumps({"answer": answer, "files": modules}))
"""

GET_CONTRACT = {
    "resource": "/openapi.json",
    "path": "/openapi.json",
    "httpMethod": "GET",
    "headers": {"Accept": "*/*"},
    "requestContext": {"path": "/v1/openapi.json", "stage": "v1", "domainName": "api.example.com"},
    "body": None,
    "isBase64Encoded": False,
}
WRONG_LINK = {
    **GET_CONTRACT,
    "resource": "/d/{token}",
    "path": "/d/x",
    "headers": {"accept": "text/html"},
    "requestContext": {"path": "/v1/d/x", "stage": "v1", "domainName": "api.example.com"},
}
STRANGE_MESSAGE = {"Records": [{"messageId": "1", "body": "{}", "eventSource": "aws:sqs"}]}
S3_TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}


def lambdas_python() -> str | None:
    """A Python of Lambda's version on this machine."""
    version = str(TEMPLATE["Globals"]["Function"]["Runtime"])
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    number = version.removeprefix("python")
    candidates = [shutil.which(version), *map(str, sorted(root.glob(f"versions/{number}.*/bin/{version}")))]
    for candidate in candidates:
        # A name on PATH may be no more than a signpost to a version manager.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Folders, as Lambda unpacks them to /var/task and /opt."""

    functions: Path
    layer: Path

    def run(self, interpreter: str, handler: str, **event: Any) -> Any:
        """Invoke a handler in a Python that has its standard library and the artefacts, and nothing else."""
        path = [str(self.functions), str(self.layer / "python")]
        done = subprocess.run(
            [interpreter, "-E", "-s", "-S", "-B", "-c", INVOKE],
            input=json.dumps({"path": path, "handler": handler, **event}),
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.functions,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert not [file for file in result["files"] if "site-packages" in file or "dist-packages" in file]
        return result["answer"]


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    folder = tmp_path_factory.mktemp("artefacts")
    made = Artefacts(folder / "functions", folder / "layer")
    for where, target, destination in (
        ("functions", "build-ApiFunction", made.functions),
        ("layers/shared", "build-SharedLayer", made.layer),
    ):
        subprocess.run(
            ["make", "-C", str(PROJECT / where), target, f"ARTIFACTS_DIR={destination}", f"PYTHON={sys.executable}"],
            check=True,
            capture_output=True,
        )
    return made


@pytest.fixture(params=["this Python", "Lambda's Python"])
def interpreter(request: pytest.FixtureRequest) -> str:
    if request.param == "this Python":
        return sys.executable
    return lambdas_python() or pytest.skip("this machine has no Python of Lambda's version")


@pytest.mark.parametrize("name", HANDLERS)
def test_every_handler_has_all_that_it_imports(artefacts: Artefacts, interpreter: str, name: str) -> None:
    artefacts.run(interpreter, HANDLERS[name])


def test_the_api_serves_its_contract(artefacts: Artefacts, interpreter: str) -> None:
    answer = artefacts.run(interpreter, HANDLERS["ApiFunction"], event=GET_CONTRACT)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["openapi"].startswith("3.1")


def test_the_api_has_its_page(artefacts: Artefacts, interpreter: str) -> None:
    answer = artefacts.run(interpreter, HANDLERS["ApiFunction"], event=WRONG_LINK)

    assert answer["statusCode"] == 404
    assert answer["multiValueHeaders"]["Content-Type"] == ["text/html; charset=utf-8"]


def test_the_purge_function_reports_a_message_that_it_cannot_read(artefacts: Artefacts, interpreter: str) -> None:
    answer = artefacts.run(interpreter, HANDLERS["PurgeFunction"], event=STRANGE_MESSAGE)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_the_resampling_function_takes_s3s_test_event(artefacts: Artefacts, interpreter: str) -> None:
    assert artefacts.run(interpreter, HANDLERS["ResampleFunction"], event=S3_TEST) == []


def test_every_function_is_built_alike(artefacts: Artefacts, tmp_path: Path) -> None:
    for name in HANDLERS:
        folder = tmp_path / name
        subprocess.run(
            ["make", "-C", str(PROJECT / "functions"), f"build-{name}", f"ARTIFACTS_DIR={folder}"],
            check=True,
            capture_output=True,
        )
        assert contents(folder) == contents(artefacts.functions)


def test_functions_hold_their_code_and_page_only(artefacts: Artefacts) -> None:
    assert {path.suffix for path in artefacts.functions.rglob("*") if path.is_file()} <= {
        *(".py", ".pyc"),
        *(".html", ".css", ".js", ".json"),
    }
    assert not list(artefacts.functions.glob("*.*"))


def test_the_layer_is_pure_python(artefacts: Artefacts) -> None:
    wheels = list(artefacts.layer.glob("python/*.dist-info/WHEEL"))

    assert wheels
    assert [wheel.parent.name for wheel in wheels if "Root-Is-Purelib: true" not in wheel.read_text()] == []
    assert not [path for path in artefacts.layer.rglob("*") if path.suffix in {".so", ".pyd", ".dylib"}]


def test_the_layer_holds_nothing_that_was_installed_as_a_program(artefacts: Artefacts) -> None:
    assert not (artefacts.layer / "python" / "bin").exists()


def test_every_module_comes_with_bytecode_for_lambda_that_is_never_checked(artefacts: Artefacts) -> None:
    if not lambdas_python() and not shutil.which("npm"):
        pytest.skip("this machine can't compile for Lambda's Python")
    tag = "cpython-" + TEMPLATE["Globals"]["Function"]["Runtime"].removeprefix("python").replace(".", "")

    for folder in (artefacts.functions, artefacts.layer):
        sources = {path.relative_to(folder) for path in folder.rglob("*.py")}
        compiled = list(folder.rglob("*.pyc"))
        assert {path.relative_to(folder) for path in compiled} == {
            path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in sources
        }
        flags = {struct.unpack_from("<I", path.read_bytes(), 4)[0] for path in compiled}
        assert flags == {HASH_UNCHECKED}


def test_pyodide_compiles_where_there_is_no_python_of_that_version(artefacts: Artefacts, tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("this machine has no npm")
    bare = shutil.ignore_patterns("__pycache__")
    folder = shutil.copytree(artefacts.functions / "purge", tmp_path / "purge", ignore=bare)

    bytecode.compile_with_pyodide(folder.resolve(), "/var/task/purge")

    compiled = {path.name for path in folder.rglob("*.pyc")}
    assert compiled == {path.name for path in (artefacts.functions / "purge").rglob("*.pyc")}
    if python := lambdas_python():
        for path in folder.glob("*.py"):
            path.write_text("this is no Python, and nobody looks\n")
        copy = Artefacts(tmp_path, artefacts.layer)
        copy.run(python, HANDLERS["PurgeFunction"])


def test_they_are_small(artefacts: Artefacts) -> None:
    assert sum(files(artefacts.functions).values()) < FUNCTIONS_BUDGET_BYTES
    assert sum(files(artefacts.layer).values()) < LAYER_BUDGET_BYTES


def files(folder: Path) -> dict[Path, int]:
    """The files below a folder and their sizes."""
    return {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[Path, bytes]:
    """The files below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
