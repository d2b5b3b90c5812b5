"""`make redrive` with many messages, with some that come back, and with an AWS that refuses in the middle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from operate.redrive import Outcome, Redrive, main
from tests.unit.cloud import REGION

EVENTS, DEAD_PURGES, PURGES = "FailedEventsQueue", "PurgeDeadLetterQueue", "PurgeQueue"


@dataclass
class Stack:
    """CloudFormation and Lambda, as far as the command asks them."""

    queues: dict[str, str]
    sent: list[str] = field(default_factory=list)
    """Keys of the events that the function was invoked with."""
    retried: list[str | None] = field(default_factory=list)
    """And of which request each is a retry."""
    on_invoke: Callable[[], None] = lambda: None

    def describe_stack_resource(self, *, StackName: str, LogicalResourceId: str) -> Any:  # noqa: ARG002, N803
        physical_id = self.queues.get(LogicalResourceId, LogicalResourceId)
        return {"StackResourceDetail": {"PhysicalResourceId": f"{physical_id}"}}

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> None:  # noqa: N803
        assert (FunctionName, InvocationType) == ("ResampleFunction", "Event")
        self.on_invoke()
        event = json.loads(Payload)
        self.sent.append(event["Records"][0]["s3"]["object"]["key"])
        self.retried.append(event.get("retry_of"))


@pytest.fixture
def sqs(aws: None) -> Any:
    return boto3.client("sqs", region_name=REGION)


@pytest.fixture
def stack(sqs: Any) -> Iterator[Stack]:
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in (EVENTS, DEAD_PURGES, PURGES)}
    yield Stack(queues)
    for queue in queues.values():
        sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def run(stack: Stack, sqs: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    monkeypatch.setattr("operate.redrive.WAIT_SECONDS", 0)

    def run(*, dry_run: bool = False) -> Outcome:
        lines: list[str] = []
        clients: Any = stack
        redrive = Redrive("stack", dry_run, lines.append, formation=clients, functions=clients, sqs=sqs)
        outcome = redrive.run()
        assert len(lines) == outcome.sent + outcome.left
        return outcome

    return run


def test_the_region_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    regions: list[str] = []

    class Nowhere:
        def __init__(self, *, region_name: str) -> None:
            regions.append(region_name)

        def client(self, *_: object, **__: object) -> Nowhere:
            return self

        def describe_stack_resource(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such stack"}}, "Call")

    monkeypatch.setattr(boto3, "Session", Nowhere)

    assert main(["stack", "--region", "eu-west-3"]) == 1
    assert regions == ["eu-west-3"]


def fail(sqs: Any, stack: Stack, key: str, *, request_id: str = "request", **of_event: str) -> None:
    """Put an event where Lambda puts one that it gives up."""
    event = {"Records": [{"s3": {"object": {"key": key}}}], **of_event}
    context = {"requestId": request_id, "condition": "RetriesExhausted"}
    record = {"requestContext": context, "requestPayload": event}
    sqs.send_message(QueueUrl=stack.queues[EVENTS], MessageBody=json.dumps(record))


def visible(sqs: Any, stack: Stack, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=stack.queues[queue], AttributeNames=[name])["Attributes"][name])


def test_more_messages_than_sqs_gives_at_a_time(stack: Stack, sqs: Any, run: Callable[..., Outcome]) -> None:
    keys = [f"{number}.wav" for number in range(25)]
    for key in keys:
        fail(sqs, stack, key)
        sqs.send_message(QueueUrl=stack.queues[DEAD_PURGES], MessageBody=json.dumps({"job_id": key}))

    assert run() == Outcome(sent=50)

    assert sorted(stack.sent) == sorted(keys)
    assert [visible(sqs, stack, queue) for queue in (EVENTS, DEAD_PURGES, PURGES)] == [0, 0, 25]


def test_a_dry_run_shows_everything_and_changes_nothing(stack: Stack, sqs: Any, run: Callable[..., Outcome]) -> None:
    for number in range(25):
        fail(sqs, stack, f"{number}.wav")

    assert run(dry_run=True) == Outcome(sent=25)

    assert stack.sent == []
    assert visible(sqs, stack, EVENTS) == 25


def test_what_fails_again_at_once_is_not_sent_for_ever(stack: Stack, sqs: Any, run: Callable[..., Outcome]) -> None:
    fail(sqs, stack, "first.wav")
    stack.on_invoke = lambda: fail(sqs, stack, "again.wav")

    assert run() == Outcome(sent=1)

    assert stack.sent == ["first.wav"]
    assert visible(sqs, stack, EVENTS) == 1


def test_an_event_bears_the_request_that_first_failed(stack: Stack, sqs: Any, run: Callable[..., Outcome]) -> None:
    """The last attempt of that, or of this one, may have been killed with the job in its hands."""
    fail(sqs, stack, "first.wav", request_id="first")
    fail(sqs, stack, "again.wav", request_id="second", retry_of="first")

    run()

    assert stack.retried == ["first", "first"]


def test_what_could_not_be_sent_stays(stack: Stack, sqs: Any, run: Callable[..., Outcome]) -> None:
    for number in range(5):
        fail(sqs, stack, f"{number}.wav")

    def refuse_the_third() -> None:
        if len(stack.sent) == 2:
            raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

    stack.on_invoke = refuse_the_third

    with pytest.raises(ClientError):
        run()

    assert visible(sqs, stack, EVENTS) == 3


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        '{"requestContext": {}, "requestPayload": {}}',
        '{"requestContext": {}, "requestPayload": {"Records": [{"s3": 1}]}}',
        '{"requestContext": null, "requestPayload": {"Records": []}}',
    ],
    ids=["empty", "list", "null", "no records", "no object", "no context"],
)
def test_what_is_no_failed_event_stays(stack: Stack, sqs: Any, run: Callable[..., Outcome], body: str) -> None:
    sqs.send_message(QueueUrl=stack.queues[EVENTS], MessageBody=body or " ")

    assert run() == Outcome(left=1)

    assert visible(sqs, stack, EVENTS) == 1
