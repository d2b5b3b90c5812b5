"""boto3 waited 60 s, five times: longer than the API and the purge function may run at all.

A server that takes calls and never answers shows how long a call really takes, in units of its time limit.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import BotoCoreError

from audiojobs import clients

TEMPLATE = Path(__file__).parents[3] / "template.yaml"
LONGEST_WORK = 2  # calls in a row that get no answer: the one that fails, and the look at what became of it
BACKOFF_SECONDS = 1  # before the second attempt, at most


class Loader(yaml.SafeLoader):
    """CloudFormation's tags mean nothing here."""


Loader.add_multi_constructor("!", lambda *_: None)


def function(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)["Resources"][name]["Properties"]  # noqa: S506
    return properties


@pytest.fixture
def silent_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Takes every connection, and says nothing."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", taken
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("name", ["ApiFunction", "PurgeFunction"])
def test_calls_without_an_answer_end_before_the_function(name: str) -> None:
    properties = function(name)
    variables = properties["Environment"]["Variables"]

    seconds_a_call = (float(variables["CALL_TIMEOUT_SECONDS"]) + BACKOFF_SECONDS) * int(variables["CALL_ATTEMPTS"])

    assert LONGEST_WORK * seconds_a_call <= properties["Timeout"]


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (clients.dynamodb, lambda client: client.list_tables()),
        (clients.s3, lambda client: client.list_buckets()),
        (clients.sqs, lambda client: client.list_queues()),
        (clients.events, lambda client: client.list_rules()),
    ],
    ids=["dynamodb", "s3", "sqs", "events"],
)
def test_a_server_that_never_answers(
    make: Any, call: Any, silent_server: tuple[str, list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, taken = silent_server
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "CALL_TIMEOUT_SECONDS": "0.2",
        "CALL_ATTEMPTS": "2",
    }.items():
        monkeypatch.setenv(name, value)
    client = make.__wrapped__()

    with pytest.raises(BotoCoreError):
        call(client)

    assert len(taken) == 2
    assert client.meta.config.read_timeout == 0.2


def test_a_function_that_sets_no_limit_waits_for_a_copy_on_the_server_but_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    makers: dict[str, Any] = {
        "s3": clients.s3,
        "dynamodb": clients.dynamodb,
        "sqs": clients.sqs,
        "events": clients.events,
    }

    limits = {name: make.__wrapped__().meta.config.read_timeout for name, make in makers.items()}

    assert limits == {"s3": 60, "dynamodb": 10, "sqs": 10, "events": 10}
