"""docs/deployer-policy.json lets a deployer make every resource that the template has, and no other stack's."""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint.data.AdditionalSpecs
import pytest
from samtranslator.translator.transform import transform

from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
POLICY_FILE = PROJECT / "docs" / "deployer-policy.json"
NAMES = {"STACK": "audio-resampler", "REGION": "eu-central-1", "ACCOUNT": "111122223333"}
INLINE_POLICY_CHARACTERS = 10_240

# What CloudFormation calls to make, change and delete a resource of each type, and an ARN that it calls it on.
NEEDED = {
    "AWS::S3::Bucket": (
        """
        s3:CreateBucket s3:DeleteBucket s3:PutBucketPublicAccessBlock s3:PutBucketOwnershipControls
        s3:PutBucketTagging s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration s3:PutBucketCORS
        s3:PutBucketNotification
        """,
        "arn:aws:s3:::audio-resampler-uploads-111122223333-eu-central-1",
    ),
    "AWS::S3::BucketPolicy": (
        "s3:GetBucketPolicy s3:PutBucketPolicy s3:DeleteBucketPolicy",
        "arn:aws:s3:::audio-resampler-results-111122223333-eu-central-1",
    ),
    "AWS::DynamoDB::Table": (
        """
        dynamodb:CreateTable dynamodb:DescribeTable dynamodb:UpdateTable dynamodb:UpdateTimeToLive
        dynamodb:DeleteTable
        """,
        "arn:aws:dynamodb:eu-central-1:111122223333:table/audio-resampler-JobsTable-1A2B3C",
    ),
    "AWS::SQS::Queue": (
        "sqs:CreateQueue sqs:GetQueueAttributes sqs:SetQueueAttributes sqs:DeleteQueue",
        "arn:aws:sqs:eu-central-1:111122223333:audio-resampler-PurgeQueue-1A2B3C",
    ),
    "AWS::Lambda::Function": (
        """
        lambda:CreateFunction lambda:GetFunction lambda:UpdateFunctionCode
        lambda:UpdateFunctionConfiguration lambda:PutFunctionConcurrency lambda:DeleteFunctionConcurrency
        lambda:DeleteFunction
        """,
        "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-ApiFunction-1A2B3C",
    ),
    "AWS::Lambda::Permission": (
        "lambda:AddPermission lambda:RemovePermission",
        "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-ApiFunction-1A2B3C",
    ),
    "AWS::Lambda::EventInvokeConfig": (
        "lambda:PutFunctionEventInvokeConfig lambda:DeleteFunctionEventInvokeConfig",
        "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-ResampleFunction-1A2B3C",
    ),
    "AWS::Lambda::EventSourceMapping": (
        """
        lambda:CreateEventSourceMapping lambda:GetEventSourceMapping lambda:UpdateEventSourceMapping
        lambda:DeleteEventSourceMapping
        """,
        "arn:aws:lambda:eu-central-1:111122223333:event-source-mapping:1a2b3c",
    ),
    "AWS::Lambda::LayerVersion": (
        "lambda:PublishLayerVersion lambda:GetLayerVersion lambda:DeleteLayerVersion",
        "arn:aws:lambda:eu-central-1:111122223333:layer:audio-resampler-shared:1",
    ),
    "AWS::IAM::Role": (
        """
        iam:CreateRole iam:GetRole iam:PutRolePolicy iam:DeleteRolePolicy iam:AttachRolePolicy
        iam:DetachRolePolicy iam:PassRole iam:TagRole iam:DeleteRole
        """,
        "arn:aws:iam::111122223333:role/audio-resampler-ApiFunctionRole-1A2B3C",
    ),
    "AWS::ApiGateway::RestApi": (
        "apigateway:POST apigateway:GET apigateway:PUT apigateway:PATCH apigateway:DELETE",
        "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3",
    ),
    "AWS::ApiGateway::Deployment": (
        "apigateway:POST apigateway:GET apigateway:DELETE",
        "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3/deployments",
    ),
    "AWS::ApiGateway::Stage": (
        "apigateway:POST apigateway:GET apigateway:PATCH apigateway:DELETE",
        "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3/stages/v1",
    ),
    "AWS::Logs::LogGroup": (
        "logs:CreateLogGroup logs:PutRetentionPolicy logs:DeleteLogGroup",
        "arn:aws:logs:eu-central-1:111122223333:log-group:/audio-resampler/audio-resampler/api:*",
    ),
    "AWS::CloudWatch::Alarm": (
        "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms",
        "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:audio-resampler-PurgeFailedAlarm-1A2B3C",
    ),
    "AWS::CloudWatch::Dashboard": (
        "cloudwatch:PutDashboard cloudwatch:GetDashboard cloudwatch:DeleteDashboards",
        "arn:aws:cloudwatch::111122223333:dashboard/audio-resampler-eu-central-1",
    ),
    "AWS::SNS::Topic": (
        "sns:CreateTopic sns:GetTopicAttributes sns:Subscribe sns:DeleteTopic",
        "arn:aws:sns:eu-central-1:111122223333:audio-resampler-AlarmTopic-1A2B3C",
    ),
}


@cache
def policy() -> dict[str, Any]:
    text = re.sub("|".join(NAMES), lambda found: NAMES[found[0]], POLICY_FILE.read_text())
    document: dict[str, Any] = json.loads(text)
    return document


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def allowed() -> Iterator[tuple[str, str]]:
    """Every action with every resource that it is allowed on, conditions aside."""
    for statement in policy()["Statement"]:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, resource


def may(action: str, arn: str) -> bool:
    return any(action == known and fnmatch.fnmatchcase(arn, pattern) for known, pattern in allowed())


@cache
def resources() -> dict[str, dict[str, Any]]:
    """The template's resources after SAM's transform."""
    source = copy.deepcopy(templates.load(PROJECT / "template.yaml"))
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = "s3://bucket/key"
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"

    class ManagedPolicies:
        def load(self) -> dict[str, str]:
            return {}

    found: dict[str, dict[str, Any]] = transform(source, {}, ManagedPolicies())["Resources"]
    return found


@pytest.fixture(autouse=True)
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


def test_every_resource_of_the_template_can_be_made_changed_and_deleted() -> None:
    types = {resource["Type"] for resource in resources().values()}

    assert types <= set(NEEDED), "say what a deployer needs for the new type, here and in docs/deployer-policy.json"
    for resource_type in types:
        actions, arn = NEEDED[resource_type]
        missing = [action for action in actions.split() if not may(action, arn)]
        assert not missing, f"{resource_type}: {', '.join(missing)} on {arn}"


def test_policies_that_sam_adds_to_roles_can_be_attached() -> None:
    wanted = {
        arn
        for resource in resources().values()
        if resource["Type"] == "AWS::IAM::Role"
        for arn in resource["Properties"].get("ManagedPolicyArns", [])
    }
    attachable = {
        arn
        for statement in policy()["Statement"]
        if "iam:AttachRolePolicy" in listed(statement["Action"])
        for arn in statement["Condition"]["ArnEquals"]["iam:PolicyARN"]
    }

    assert wanted == attachable


def test_every_action_exists_and_none_has_a_wildcard() -> None:
    services = json.loads(Path(cfnlint.data.AdditionalSpecs.__path__[0], "Policies.json").read_text())

    for action, _ in allowed():
        service, name = action.split(":")
        assert "*" not in name
        assert name.lower() in {known.lower() for known in services[service]["Actions"]}, f"there is no {action}"


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3:::somebody-elses-bucket",
        "arn:aws:iam::111122223333:role/Admin",
        "arn:aws:lambda:eu-central-1:111122223333:function:other",
        "arn:aws:dynamodb:eu-central-1:111122223333:table/other",
        "arn:aws:sqs:eu-central-1:111122223333:other",
    ],
)
def test_nothing_of_others_can_be_touched(arn: str) -> None:
    reading_or_bound = {
        "cloudformation:ValidateTemplate",
        "cloudformation:GetTemplateSummary",
        "logs:DescribeLogGroups",
    }
    bound = {"lambda:" + name for name in ("ListTags", "TagResource", "UntagResource")} | {"sns:Unsubscribe"}
    bound |= {f"lambda:{verb}EventSourceMapping" for verb in ("Create", "Get", "Update", "Delete")}

    assert {action for action, _ in allowed() if may(action, arn)} <= reading_or_bound | bound


def test_it_fits_a_role() -> None:
    assert len(json.dumps(policy(), separators=(",", ":"))) < INLINE_POLICY_CHARACTERS


def test_reasons_are_unique_names() -> None:
    names = [statement["Sid"] for statement in policy()["Statement"]]

    assert len(names) == len(set(names))
    assert all(name.isalnum() for name in names)
