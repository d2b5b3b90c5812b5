"""docs/deployer-policy.json by a simulator that reads policies as IAM does: enough for a deployment, and no more."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.emulator import REGION
from operate.deployer_rights import POLICY, missing_actions
from tests.e2e.service import Service

STACK = "audio-resampler"
BY_CONDITION = {"iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:PassRole"}
"""Actions that the policy allows on conditions, of which the emulator's simulator knows nothing. AWS's does."""
ACCOUNT = "000000000000"


def missing(service: Service, statements: list[dict[str, Any]]) -> list[str]:
    """What a new user with these statements lacks."""
    iam, name = service.stack.admin.client("iam"), f"deployer-{uuid.uuid4()}"
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    for placeholder, value in {"STACK": STACK, "REGION": REGION, "ACCOUNT": ACCOUNT}.items():
        document = document.replace(placeholder, value)
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName="deploy", PolicyDocument=document)
    return sorted(set(missing_actions(iam, arn, stack_name=STACK, region=REGION)) - BY_CONDITION)


@pytest.fixture
def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(POLICY.read_text())["Statement"]
    return found


def test_the_documented_policy_lacks_nothing(service: Service, statements: list[dict[str, Any]]) -> None:
    assert missing(service, statements) == []


@pytest.mark.parametrize("sid", ["MakeQueues", "MakeTheTable", "MakeTheApi"])
def test_what_is_taken_out_is_found(service: Service, statements: list[dict[str, Any]], sid: str) -> None:
    [taken] = [statement for statement in statements if statement["Sid"] == sid]

    lacks = missing(service, [statement for statement in statements if statement is not taken])

    assert lacks == sorted(taken["Action"])


def test_another_stack_is_out_of_reach(service: Service, statements: list[dict[str, Any]]) -> None:
    others = json.loads(json.dumps(statements).replace("STACK", "another"))

    lacks = missing(service, others)

    assert {"s3:CreateBucket", "sqs:CreateQueue", "lambda:CreateFunction", "iam:CreateRole"} <= set(lacks)
