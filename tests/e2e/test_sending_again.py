"""`make redrive` sends again what failed by our fault, with the rights that docs/operations.md lists and no others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.stack import PROJECT, EmbeddedAws
from tests.audio.synth import sine, wav_bytes
from tests.e2e.service import Service, until
from tests.stacks import let_window_end

OPERATOR = "operator"


@pytest.fixture(scope="module")
def service(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A stack of its own, in which things may go wrong."""
    folder = tmp_path_factory.mktemp("redrive")
    with EmbeddedAws(state_folder=folder, sam_build_folder=built, write_stack_file=False) as stack:
        service = Service(stack, built / "FfmpegLayer" / "bin")
        with service.http:
            yield service


@pytest.fixture(scope="module")
def operator(service: Service) -> dict[str, str]:
    """The environment of somebody who has the documented rights and no others."""
    access, admin = service.stack.access, service.stack.admin
    text = (PROJECT / "docs" / "operations.md").read_text()
    [policy] = re.findall(r'^```json\n(\{\n  "Version".*?)^```', text, re.DOTALL | re.MULTILINE)
    for name, value in {
        "STACK": access.stack_name,
        "REGION": access.region,
        "ACCOUNT": service.stack.stack.deployment.references["AWS::AccountId"],
    }.items():
        policy = policy.replace(name, value)
    iam = admin.client("iam")
    iam.create_user(UserName=OPERATOR)
    iam.put_user_policy(UserName=OPERATOR, PolicyName="redrive", PolicyDocument=policy)
    key = iam.create_access_key(UserName=OPERATOR)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    return {**admin.variables, **keys, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}


def redrive(environment: dict[str, str], *options: str, status: int = 0) -> list[str]:
    """Run the command; returns the lines that it prints."""
    command = [sys.executable, "-m", "operate.redrive", *options]
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == status, done.stdout
    return done.stdout.splitlines()


@contextmanager
def nothing_can_be_written(service: Service) -> Iterator[None]:
    """The results are out of reach of the function: our fault, not the file's."""
    iam, role = service.stack.admin.client("iam"), service.stack.stack.physical_id("ResampleFunctionRole")
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="fault", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="fault")


def waiting(service: Service, queue: str) -> int:
    """How many messages a queue holds, those that somebody is looking at included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer: dict[str, Any] = service.stack.admin.client("sqs").get_queue_attributes(
        QueueUrl=service.stack.access.queues[queue], AttributeNames=names
    )
    return sum(int(answer["Attributes"][name]) for name in names)


def test_a_failed_event_is_sent_again_when_its_cause_is_mended(
    service: Service, operator: dict[str, str], tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(wav_bytes(sine(1)))
    with nothing_can_be_written(service):
        failed = service.put("a song.wav", song)
        until(lambda: waiting(service, "FailedEventsQueue") == 1, "the event is kept")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "internal-error")

    assert redrive(operator, "--dry-run") == ["event  a+song.wav", "1 would be sent again, 0 left"]
    assert waiting(service, "FailedEventsQueue") == 1
    assert redrive(operator) == ["event  a+song.wav", "1 sent again, 0 left"]

    until(lambda: service.job(failed["id"])["status"] == "ready", "the job is ready after all")
    assert waiting(service, "FailedEventsQueue") == 0
    service.fetch(service.new_link(failed["id"]), tmp_path / "song.mp3")


def test_a_failed_purge_is_sent_again_and_what_nobody_understands_stays(service: Service, tmp_path: Path) -> None:
    after_sourcing_the_profile = {**service.stack.aws.variables, "PATH": os.environ["PATH"]}
    song = tmp_path / "song.wav"
    song.write_bytes(wav_bytes(sine(1)))
    sqs, queues = service.stack.admin.client("sqs"), service.stack.access.queues
    job = service.put("downloaded.wav", song)
    service.claim(service.new_link(job["id"]))
    sqs.purge_queue(QueueUrl=queues["PurgeQueue"])
    let_window_end(service.stack, job["id"])
    sqs.send_message(QueueUrl=queues["PurgeDeadLetterQueue"], MessageBody=json.dumps({"job_id": job["id"]}))
    strange = sqs.send_message(QueueUrl=queues["FailedEventsQueue"], MessageBody='{"requestPayload": null}')

    assert redrive(after_sourcing_the_profile, status=1) == [
        f"event  left, because it is not understood: message {strange['MessageId']}",
        f"purge  {job['id']}",
        "1 sent again, 1 left",
    ]

    service.purged(job["id"])
    assert waiting(service, "PurgeDeadLetterQueue") == 0
    assert waiting(service, "FailedEventsQueue") == 1


def test_a_stack_that_is_not_there(operator: dict[str, str]) -> None:
    [line] = redrive(operator, "no-such-stack", status=1)

    assert line.startswith("AWS refused")
