"""`sam deploy` and `sam delete`, as a deployer types them, for a second stack in the account of the first.

CloudFormation here is the embedded AWS's, and gets the template as AWS does: packaged by SAM, not adapted to loopback.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.stack import PROJECT, EmbeddedAws
from tests.runtime.artefacts import SAM_BUILDS

SAM = PROJECT / ".venv-sam" / "bin" / "sam"
NAME = "second"


class Deployer:
    """Somebody with SAM and all rights."""

    def __init__(self, stack: EmbeddedAws, home: Path) -> None:
        self.aws = stack.admin
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SAM_CLI_TELEMETRY": "0",
            **stack.admin.variables,
        }

    def sam(self, command: str, *options: str) -> None:
        done = subprocess.run(
            [
                SAM,
                command,
                "--config-file",
                PROJECT / "samconfig.toml",
                "--stack-name",
                NAME,
                "--region",
                self.aws.region,
                *options,
            ],
            env=self._environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]

    def outputs(self) -> dict[str, str]:
        described = self.aws.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]
        return {item["OutputKey"]: item["OutputValue"] for item in described["Outputs"]}

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]}


@pytest.fixture(scope="module")
def deployer(stack: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Deployer:
    """After `sam deploy`, for arm64."""
    deployer = Deployer(stack, tmp_path_factory.mktemp("home"))
    template = str(SAM_BUILDS["arm64"] / "template.yaml")
    options = ["--no-confirm-changeset", "--parameter-overrides", "Architecture=arm64"]
    deployer.sam("deploy", "--template-file", template, *options)
    return deployer


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
    template = str(SAM_BUILDS["arm64"] / "template.yaml")
    before = deployer.outputs()

    options = ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--parameter-overrides", "Architecture=arm64"]
    deployer.sam("deploy", "--template-file", template, *options)

    assert deployer.outputs() == before


def test_deleting_the_stack_as_the_documentation_says(deployer: Deployer) -> None:
    outputs, s3 = deployer.outputs(), deployer.aws.client("s3")
    s3.put_bucket_notification_configuration(Bucket=outputs["UploadBucket"], NotificationConfiguration={})
    s3.put_object(Bucket=outputs["UploadBucket"], Key="left", Body=b"data")
    s3.delete_object(Bucket=outputs["UploadBucket"], Key="left")

    deployer.sam("delete", "--no-prompts")

    with pytest.raises(ClientError, match="does not exist"):
        deployer.outputs()
    assert not any(name.startswith(f"{NAME}-") for name in deployer.buckets())
