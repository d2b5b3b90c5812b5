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
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from samtranslator.translator.transform import transform

from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
POLICY_FILE = PROJECT / "docs" / "deployer-policy.json"
NAMES = {"STACK": "audio-resampler", "REGION": "eu-central-1", "ACCOUNT": "111122223333"}
INLINE_POLICY_CHARACTERS = 10_240

# An ARN of each type, as CloudFormation names what it makes.
ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::audio-resampler-uploads-111122223333-eu-central-1",
    "AWS::S3::BucketPolicy": "arn:aws:s3:::audio-resampler-results-111122223333-eu-central-1",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:eu-central-1:111122223333:table/audio-resampler-JobsTable-1A2B3C",
    "AWS::SQS::Queue": "arn:aws:sqs:eu-central-1:111122223333:audio-resampler-PurgeQueue-1A2B3C",
    "AWS::Lambda::Function": "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-ApiFunction-1A2B3C",
    "AWS::Lambda::Permission": "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-ApiFunction-1A2B3C",
    "AWS::Lambda::EventInvokeConfig": "arn:aws:lambda:eu-central-1:111122223333:function:audio-resampler-Resample-1A",
    "AWS::Lambda::EventSourceMapping": "arn:aws:lambda:eu-central-1:111122223333:event-source-mapping:1a2b3c",
    "AWS::Lambda::LayerVersion": "arn:aws:lambda:eu-central-1:111122223333:layer:audio-resampler-shared:1",
    "AWS::IAM::Role": "arn:aws:iam::111122223333:role/audio-resampler-ApiFunctionRole-1A2B3C",
    "AWS::ApiGateway::RestApi": "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3",
    "AWS::ApiGateway::Deployment": "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3/deployments",
    "AWS::ApiGateway::Stage": "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3/stages/v1",
    "AWS::Logs::LogGroup": "arn:aws:logs:eu-central-1:111122223333:log-group:/audio-resampler/audio-resampler/api:*",
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:audio-resampler-PurgeFailed-1A2B3C",
    "AWS::CloudWatch::Dashboard": "arn:aws:cloudwatch::111122223333:dashboard/audio-resampler-eu-central-1",
    "AWS::SNS::Topic": "arn:aws:sns:eu-central-1:111122223333:audio-resampler-AlarmTopic-1A2B3C",
    "AWS::SNS::Subscription": "arn:aws:sns:eu-central-1:111122223333:audio-resampler-AlarmTopic-1A2B3C:0a1b2c3d",
    "AWS::Events::Rule": "arn:aws:events:eu-central-1:111122223333:rule/audio-resampler-PurgeFunctionSweep-1A2B3C",
}

# Actions that are judged on another resource than the one that is made.
ELSEWHERE = {
    "iam:PassRole": ARNS["AWS::IAM::Role"],
    "s3:GetObject": "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b3c/audio-resampler/1a2b3c",
    "lambda:GetLayerVersion": "arn:aws:lambda:eu-central-1:999988887777:layer:ffmpeg:1",
    "cloudwatch:DescribeAlarms": "*",
    "logs:DescribeLogGroups": "*",
    "logs:DescribeResourcePolicies": "*",
    "sns:Unsubscribe": "*",
    "iam:GetRole": ARNS["AWS::IAM::Role"],
}

# What CloudFormation's handlers may ask for when a template has what ours has not.
UNUSED = {
    r"kms:|logs:(Dis)?[aA]ssociateKmsKey": "no key of a customer",
    r"ec2:|elasticfilesystem:|s3files:": "no VPC, no file system",
    r"s3tables:|s3:.*(MetadataTable|MetadataAnnotation|MetadataInventory|MetadataJournal)": "no metadata tables",
    r"s3:(Put|Delete).*(Acl|Analytics|Metrics|Inventory|Tiering|Website|Replication|Accelerate|Logging)": "none",
    r"s3:Put.*(ObjectLock|Abac)": "none",
    r"s3:(DeleteBucketCors|DeleteBucketEncryption|DeleteBucketLifecycle)": "no such actions: S3 has the ones for Put",
    r"s3:(GetObjectVersion|GetObjectMetadata|REST\.PUT\.OBJECT)": "artefacts have no version named",
    r"s3:(ListTagsForResource|TagResource|UntagResource)": "tags of access points, not of buckets",
    r"dynamodb:.*(Replica|Import|Kinesis|ResourcePolicy|Item|Query|Scan)": "no replicas, imports, streams, policies",
    r"dynamodb:Update(ContinuousBackups|ContributorInsights)": "neither is set",
    r"S3::Bucket s3:DeleteObject": "objects are deleted by hand, see EmptyBuckets",
    r"DynamoDB::Table (s3|logs):": "no table is imported",
    r"kinesis:|firehose:|iam:CreateServiceLinkedRole": "no streams, no replicas",
    r"iam:.*(PermissionsBoundary|UpdateRoleDescription)": "neither is set",
    r"lambda:.*(CodeSigning|Scaling|PassCapacityProvider|RuntimeAlias|PublishVersion)": "none",
    r"lambda:Put(FunctionRecursionConfig|RuntimeManagementConfig)": "neither is set",
    r"logs:.*(LogDelivery|LogStream|PutLogEvents|ResourcePolic|IndexPolic|BearerToken|DeletionProtection)": "none",
    r"logs:(Put|Delete)DataProtectionPolicy|sns:PutDataProtectionPolicy": "none",
    r"apigateway:UpdateRestApiPolicy": "the API has no resource policy",
}


def asked_for(resource_type: str) -> set[str]:
    """What CloudFormation's own schema says that it calls to make, read, change and delete a resource.

    What it calls to read is asked for whatever the template has in it.
    """
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema["handlers"]
    reading = {action for action in handlers["read"]["permissions"] if not action.startswith("kms:")}
    writing = {
        action
        for name in ("create", "update", "delete")
        for action in handlers.get(name, {}).get("permissions", [])
        if not any(re.search(pattern, f"{resource_type} {action}") for pattern in UNUSED)
    }
    return {action for action in reading | writing if is_action(action)}


def is_action(action: str) -> bool:
    """Whether IAM knows it: some schemas name operations, not actions."""
    service, name = action.lower().split(":")
    return name in known_actions().get(service, set())


@cache
def known_actions() -> dict[str, set[str]]:
    """Every service's actions, in lower case."""
    services = json.loads(Path(cfnlint.data.AdditionalSpecs.__path__[0], "Policies.json").read_text())
    return {name: {action.lower() for action in service["Actions"]} for name, service in services.items()}


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
    return any(action.lower() == known.lower() and fnmatch.fnmatchcase(arn, pattern) for known, pattern in allowed())


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

    assert types <= set(ARNS), "name an ARN of the new type, and what a deployer needs in docs/deployer-policy.json"
    missing = [
        f"{resource_type}: {action} on {arn}"
        for resource_type in sorted(types)
        for action in sorted(asked_for(resource_type))
        if not may(action, arn := ELSEWHERE.get(action, ARNS[resource_type]))
    ]
    assert missing == []


def test_artefacts_can_be_deleted_with_the_stack() -> None:
    assert may("s3:DeleteObject", ELSEWHERE["s3:GetObject"]), "sam delete"


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
    for action, _ in allowed():
        assert "*" not in action
        assert is_action(action), f"there is no {action}"


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
        "logs:DescribeResourcePolicies",
        "cloudwatch:DescribeAlarms",
        "lambda:GetLayerVersion",
    }
    bound = {"lambda:" + name for name in ("ListTags", "TagResource", "UntagResource")}
    bound |= {"sns:Unsubscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"}
    bound |= {f"lambda:{verb}EventSourceMapping" for verb in ("Create", "Get", "Update", "Delete")}

    assert {action for action, _ in allowed() if may(action, arn)} <= reading_or_bound | bound


def test_it_fits_a_role() -> None:
    assert len(json.dumps(policy(), separators=(",", ":"))) < INLINE_POLICY_CHARACTERS


def test_reasons_are_unique_names() -> None:
    names = [statement["Sid"] for statement in policy()["Statement"]]

    assert len(names) == len(set(names))
    assert all(name.isalnum() for name in names)
