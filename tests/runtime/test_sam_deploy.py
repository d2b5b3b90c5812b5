"""README's three commands to deploy, typed at a terminal, and `sam delete`: a second stack in the account of the first.

CloudFormation here is the embedded AWS's, and gets the template as AWS does: packaged by SAM, not adapted to loopback.
The commands differ from README's in the stack's name and the region alone; the environment says where this AWS is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.emulator import REGION
from local.stack import PROJECT, EmbeddedAws
from tests.terminal import typed

NAME = "second"
NEEDED = (
    "LICENSE",
    "README.md",
    "Makefile",
    "template.yaml",
    "samconfig.toml",
    "requirements-sam.lock",
    "functions",
    "layers",
    "local",
    "operate",
)
SECONDS_ALLOWED = 300.0

_DEPLOY = (PROJECT / "README.md").read_text(encoding="utf-8").partition("\n## Deploy to AWS\n")[2]
CONFIGURE, MAKE_DEPLOY, OUTPUTS = (
    line.partition("  #")[0]
    .replace("--stack-name audio-resampler", f"--stack-name {NAME}")
    .replace("--region eu-central-1", f"--region {REGION}")
    for line in _DEPLOY.partition("```sh\n")[2].partition("```")[0].splitlines()
)


class Deployer:
    """Somebody with a copy of the project, a terminal, and all rights."""

    def __init__(self, stack: EmbeddedAws, folder: Path) -> None:
        self.aws = stack.admin
        self.project = folder / "project"
        self.project.mkdir()
        for name in NEEDED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, self.project)
        (self.project / ".venv-sam").symlink_to(PROJECT / ".venv-sam")
        programs = (Path(sys.executable).parent, PROJECT / ".venv-sam" / "bin")
        self.environment = {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(folder),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "LANG": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ENDPOINT_URL": self.aws.variables["AWS_ENDPOINT_URL"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def types(self, command: str, *answers: tuple[str, str]) -> str:
        """Run a command at a terminal, and give each answer when what it answers has been asked. Returns the screen."""
        return typed(command, *answers, environment=self.environment, cwd=self.project, seconds_allowed=SECONDS_ALLOWED)

    def outputs(self) -> dict[str, str]:
        described = self.aws.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]
        return {item["OutputKey"]: item["OutputValue"] for item in described["Outputs"]}

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]}


@pytest.fixture(scope="module")
def deployer(stack: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    """After `aws configure` and `make deploy`, for arm64."""
    deployer = Deployer(stack, tmp_path_factory.mktemp("deployer"))
    keys = deployer.aws.variables
    deployer.types(
        CONFIGURE,
        ("Access Key ID", keys["AWS_ACCESS_KEY_ID"]),
        ("Secret Access Key", keys["AWS_SECRET_ACCESS_KEY"]),
        ("region name", deployer.aws.region),
        ("output format", ""),
    )
    deployer.types(
        MAKE_DEPLOY,
        ("Name of the stack [audio-resampler]", NAME),
        ("Region [us-east-1]", deployer.aws.region),
        ("Processor", "arm64"),
        ("Hours that a result waits", ""),
        ("Address that alarms are mailed to", ""),
        ("Deploy this changeset?", "y"),
    )
    return deployer


def test_the_outputs_are_shown(deployer: Deployer) -> None:
    shown = deployer.types(OUTPUTS)

    rows = [[cell.strip() for cell in line.strip("|\r").split("|")] for line in shown.splitlines() if " | " in line]
    assert {row[-2]: row[-1] for row in rows}.items() >= deployer.outputs().items()


def test_two_stacks_stand_side_by_side(stack: EmbeddedAws, deployer: Deployer) -> None:
    outputs = deployer.outputs()

    assert outputs["UploadBucket"] == f"{NAME}-uploads-000000000000-{stack.access.region}"
    assert {outputs["UploadBucket"], stack.access.upload_bucket} <= deployer.buckets()
    assert outputs["JobsTable"] != stack.access.jobs_table


def test_functions_and_layers_are_for_the_processor_that_was_asked_for(deployer: Deployer) -> None:
    service = deployer.aws.client("lambda")
    functions = [item for item in service.list_functions()["Functions"] if item["FunctionName"].startswith(NAME)]

    assert len(functions) == 3
    for function in functions:
        assert function["Architectures"] == ["arm64"]
        for layer in function["Layers"]:
            assert f":layer:{NAME}-" in layer["Arn"]


def test_a_second_deployment_of_the_same_changes_nothing(deployer: Deployer) -> None:
    before = deployer.outputs()

    printed = deployer.types("sam deploy")

    assert "No changes to deploy" in printed
    assert deployer.outputs() == before


def test_deleting_the_stack_as_the_documentation_says(deployer: Deployer) -> None:
    outputs, s3 = deployer.outputs(), deployer.aws.client("s3")
    s3.put_bucket_notification_configuration(Bucket=outputs["UploadBucket"], NotificationConfiguration={})
    s3.put_object(Bucket=outputs["UploadBucket"], Key="left", Body=b"data")
    s3.delete_object(Bucket=outputs["UploadBucket"], Key="left")

    deployer.types(f"sam delete --no-prompts --stack-name {NAME} --region {deployer.aws.region}")

    with pytest.raises(ClientError, match="does not exist"):
        deployer.outputs()
    assert not any(name.startswith(f"{NAME}-") for name in deployer.buckets())
