"""One embedded AWS for the whole session; tests share it as the users of one account do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import artefacts, template
from local.stack import PROJECT, STATE_FOLDER, EmbeddedAws
from tests.audio.programs import layer_first_on_path
from tests.e2e import relay
from tests.e2e.service import WINDOW_SECONDS, Service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is left behind is looked at when everything else is over."""
    items.sort(key=lambda item: item.path.name == "test_nothing_stays.py")


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    with layer_first_on_path():
        yield


@pytest.fixture(scope="session")
def built() -> Path:
    """What is deployed: the functions and layers as they are now, built again only where they have changed."""
    folder = STATE_FOLDER / "tests" / "build"
    artefacts.build(template.load(PROJECT / "template.yaml"), PROJECT, folder)
    return folder


@pytest.fixture(scope="session")
def service(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The deployed service, with a rule that sends its events to a queue and a copy of every S3 event."""
    parameters = {"DownloadWindowSeconds": str(WINDOW_SECONDS)}
    folder = tmp_path_factory.mktemp("aws")  # logs, looked at when a test has failed
    with (
        EmbeddedAws(parameters, state_folder=folder, sam_build_folder=built, write_stack_file=False) as stack,
        relay.before_s3(stack, "ResampleFunction") as to_s3,
    ):
        service = Service(stack, built / "FfmpegLayer" / "bin")
        service.to_s3 = to_s3
        service.events_queue = listen_to_events(stack)
        service.notifications_queue = listen_to_uploads(stack)
        with service.http:
            yield service


def listen_to_events(stack: EmbeddedAws) -> str:
    """Send the events of conversions that ended to a queue, as anybody would who wants to be told. Returns its URL."""
    queue, arn = new_queue(stack, "events")
    events = stack.admin.client("events")
    pattern = {"source": ["audio-resampler"], "detail-type": ["Job Ready", "Job Failed"]}
    events.put_rule(Name="audio", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="audio", Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def listen_to_uploads(stack: EmbeddedAws) -> str:
    """Have S3 send its notifications to a queue too. Returns the queue's URL."""
    queue, arn = new_queue(stack, "notifications")
    s3, bucket = stack.admin.client("s3"), stack.access.upload_bucket
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    configuration.pop("ResponseMetadata")
    configuration["QueueConfigurations"] = [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=True
    )
    return queue


def new_queue(stack: EmbeddedAws, name: str) -> tuple[str, str]:
    """URL and ARN of a new queue that EventBridge and S3 may send to."""
    sqs = stack.admin.client("sqs")
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    senders = {"Service": ["events.amazonaws.com", "s3.amazonaws.com"]}
    statement = {"Effect": "Allow", "Principal": senders, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files that several tests upload."""
    return tmp_path_factory.mktemp("files")
