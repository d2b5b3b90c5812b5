"""`make verify` finds a sound stack sound, and each fault that is put in by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.stack import EmbeddedAws
from operate import verify
from operate.verification.checks import Outcome, Verdict
from operate.verification.stack import DeployedStack

# Plain http, no AlarmEmail, a window too long to be waited for; and what a template without schedules has not.
NOT_JUDGED_HERE = {
    "UploadBucket: TLS only",
    "ResultBucket: TLS only",
    "alarms are mailed",
    "result goes when its download window ends",
    "schedules are enabled, and have a target",
}
PATIENCE_SECONDS = 240.0  # of a busy machine


@pytest.fixture(scope="module")
def stack(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """A stack of its own, to put faults in."""
    with EmbeddedAws(
        state_folder=tmp_path_factory.mktemp("verified"),
        sam_build_folder=built,
        write_stack_file=False,
    ) as stack:
        yield stack


@pytest.fixture
def deployed(stack: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Callable[[], DeployedStack]:
    """The stack as its operator finds it; looked up anew each time."""
    for name, value in stack.admin.variables.items():
        monkeypatch.setenv(name, value)
    access = stack.access
    return lambda: DeployedStack(access.stack_name, access.region, access.api_url, session=boto3.Session())


def failed(outcomes: list[Outcome]) -> set[str]:
    return {outcome.name for outcome in outcomes if outcome.verdict is Verdict.FAILED}


def left(stack: EmbeddedAws) -> list[Any]:
    """All objects and records that there are."""
    s3, dynamodb = stack.admin.client("s3"), stack.admin.client("dynamodb")
    buckets = (stack.access.upload_bucket, stack.access.result_bucket)
    objects: list[Any] = [
        item["Key"] for bucket in buckets for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    ]
    return [*objects, *dynamodb.scan(TableName=stack.access.jobs_table)["Items"]]


def test_a_sound_stack_passes_and_nothing_is_left(
    stack: EmbeddedAws, deployed: Callable[[], DeployedStack], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = verify.verify(deployed(), patience_seconds=PATIENCE_SECONDS)

    not_passed = {outcome.name: outcome.detail for outcome in outcomes if outcome.verdict is not Verdict.PASSED}
    assert not_passed.keys() <= NOT_JUDGED_HERE, not_passed
    assert left(stack) == []
    assert len(capsys.readouterr().out.splitlines()) == len(outcomes)


# Each puts one fault in and takes it out again; the name is that of the check that has to find it.


@contextmanager
def purge_queue_disconnected(stack: EmbeddedAws) -> Iterator[str]:
    functions = stack.admin.client("lambda")
    mapping = functions.list_event_source_mappings()["EventSourceMappings"][0]["UUID"]
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    yield "purge queue calls the purge function"
    functions.update_event_source_mapping(UUID=mapping, Enabled=True)


@contextmanager
def lifecycle_removed(stack: EmbeddedAws) -> Iterator[str]:
    s3, bucket = stack.admin.client("s3"), stack.access.result_bucket
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    yield "ResultBucket: old objects and half uploads expire"
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


@contextmanager
def public_access_allowed(stack: EmbeddedAws) -> Iterator[str]:
    s3, bucket = stack.admin.client("s3"), stack.access.result_bucket
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**block, "RestrictPublicBuckets": False})
    yield "ResultBucket: public access is blocked"
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)


@contextmanager
def versions_kept(stack: EmbeddedAws) -> Iterator[str]:
    s3, bucket = stack.admin.client("s3"), stack.access.upload_bucket
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield "UploadBucket: encrypted, owner owns all, no versions"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


@contextmanager
def page_shut_out(stack: EmbeddedAws) -> Iterator[str]:
    s3, bucket = stack.admin.client("s3"), stack.access.upload_bucket
    rules = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    others = [{**rule, "AllowedOrigins": ["https://elsewhere.example"]} for rule in rules]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": others})
    yield "browsers may upload from the page (CORS)"
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


@contextmanager
def uploads_not_told(stack: EmbeddedAws) -> Iterator[str]:
    s3, bucket = stack.admin.client("s3"), stack.access.upload_bucket
    told = s3.get_bucket_notification_configuration(Bucket=bucket)
    told.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield "uploads notify the resampling function"
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=told, SkipDestinationValidation=True
    )


@contextmanager
def failed_events_lost(stack: EmbeddedAws) -> Iterator[str]:
    functions, name = stack.admin.client("lambda"), stack.access.functions["ResampleFunction"]
    config = functions.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"][0]
    qualifier = config["FunctionArn"].rpartition(":")[2]
    functions.put_function_event_invoke_config(FunctionName=name, Qualifier=qualifier, DestinationConfig={})
    yield "failed events go to their queue"
    functions.put_function_event_invoke_config(
        FunctionName=name,
        Qualifier=qualifier,
        MaximumRetryAttempts=config["MaximumRetryAttempts"],
        DestinationConfig=config["DestinationConfig"],
    )


@contextmanager
def records_kept(stack: EmbeddedAws) -> Iterator[str]:
    dynamodb, table = stack.admin.client("dynamodb"), stack.access.jobs_table
    attribute = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["AttributeName"]

    def expire(enabled: bool) -> None:
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute}
        )

    expire(False)
    yield "records expire"
    expire(True)


@contextmanager
def logs_kept(stack: EmbeddedAws) -> Iterator[str]:
    logs, group = stack.admin.client("logs"), stack.stack.physical_id("ApiLogGroup")
    logs.delete_retention_policy(logGroupName=group)
    yield "logs expire"
    logs.put_retention_policy(logGroupName=group, retentionInDays=14)


@contextmanager
def alarm_raised(stack: EmbeddedAws) -> Iterator[str]:
    cloudwatch, alarm = stack.admin.client("cloudwatch"), stack.stack.physical_id("PurgeFailedAlarm")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="by hand")
    yield "alarms exist, and none is raised"
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="by hand")


@contextmanager
def purge_failed(stack: EmbeddedAws) -> Iterator[str]:
    sqs, queue = stack.admin.client("sqs"), stack.access.queues["PurgeDeadLetterQueue"]
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    yield "no failed events or purges wait"
    sqs.purge_queue(QueueUrl=queue)


SETTINGS = [
    purge_queue_disconnected,
    lifecycle_removed,
    public_access_allowed,
    versions_kept,
    page_shut_out,
    uploads_not_told,
    failed_events_lost,
    records_kept,
    logs_kept,
    alarm_raised,
    purge_failed,
]


@pytest.mark.parametrize("fault", SETTINGS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_settings_is_found(
    fault: Callable[[EmbeddedAws], Any], stack: EmbeddedAws, deployed: Callable[[], DeployedStack]
) -> None:
    with fault(stack) as name:
        found = failed(verify.verify(deployed(), only_settings=True))

    assert found == {name}
    assert failed(verify.verify(deployed(), only_settings=True)) == set()


def test_a_missing_right_is_found_by_using_the_stack_and_nothing_is_left(
    stack: EmbeddedAws, deployed: Callable[[], DeployedStack]
) -> None:
    iam, role = stack.admin.client("iam"), stack.stack.physical_id("ResampleFunctionRole")
    documents = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }
    policy = next(name for name, item in documents.items() if "WriteResults" in json.dumps(item))
    document = documents[policy]
    allowed = [statement for statement in document["Statement"] if statement["Sid"] != "WriteResults"]

    def put(statements: list[Any]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=text)

    put(allowed)
    found = failed(verify.verify(deployed(), patience_seconds=PATIENCE_SECONDS))
    put(document["Statement"])

    assert "direct upload (WAV) becomes a 32 kHz MP3" in found
    assert "API upload (FLAC)" in found
    assert left(stack) == []
