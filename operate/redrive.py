"""`python -m operate.redrive [STACK] --region REGION`: send again what failed by our fault, events and purges alike.

On AWS it runs with the caller's own credentials, on the embedded AWS after `source .local/env`. A message is sent
again first and deleted afterwards: an interruption sends one twice at worst, and the functions do not mind.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from operate import STACK_NAME

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HIDDEN_SECONDS = 300  # in which nobody else gets a message that is being looked at
WAIT_SECONDS = 1  # enough for SQS to ask all of its servers before it says that there is nothing

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many messages were sent again, and how many stay because nobody understands them."""

    sent: int = 0
    left: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.sent + other.sent, self.left + other.left)


@dataclass(slots=True)
class Redrive:
    """One run. Raises ClientError or BotoCoreError when AWS refuses; what was not sent by then stays in its queue."""

    stack_name: str
    dry_run: bool
    say: Say
    formation: CloudFormationClient
    functions: LambdaClient
    sqs: SQSClient
    began: float = field(default_factory=time.time)

    def run(self) -> Outcome:
        """Both queues, one after the other."""
        function, purges = self._physical_id("ResampleFunction"), self._physical_id("PurgeQueue")

        def send_event(payload: str) -> None:
            self.functions.invoke(FunctionName=function, InvocationType="Event", Payload=payload)

        def send_purge(body: str) -> None:
            self.sqs.send_message(QueueUrl=purges, MessageBody=body)

        events = self._redrive("event", "FailedEventsQueue", failed_event, send_event)
        return events + self._redrive("purge", "PurgeDeadLetterQueue", failed_purge, send_purge)

    def _redrive(
        self, kind: str, logical_id: str, read: Callable[[str], tuple[str, str]], send: Callable[[str], None]
    ) -> Outcome:
        queue = self._physical_id(logical_id)
        outcome = Outcome()
        held: list[MessageTypeDef] = []
        try:
            for message in self._waiting(queue, held):
                try:
                    name, content = read(message["Body"])
                except (ValueError, KeyError, TypeError):
                    self.say(f"{kind}  left, because it is not understood: message {message['MessageId']}")
                    outcome += Outcome(left=1)
                    continue
                if not self.dry_run:
                    send(content)
                    self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                    held.remove(message)
                self.say(f"{kind}  {name}")
                outcome += Outcome(sent=1)
        finally:
            for message in held:
                self.sqs.change_message_visibility(
                    QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                )
        return outcome

    def _waiting(self, queue: str, held: list[MessageTypeDef]) -> Iterator[MessageTypeDef]:
        """Each message that was there when this began, once; what is sent again may fail again and come back."""
        seen: set[str] = set()
        while messages := self.sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            AttributeNames=["SentTimestamp"],
        ).get("Messages", []):
            held.extend(messages)
            unseen = [message for message in messages if message["MessageId"] not in seen]
            if not unseen:
                return
            seen.update(message["MessageId"] for message in unseen)
            yield from filter(self._is_old, unseen)

    def _is_old(self, message: MessageTypeDef) -> bool:
        return int(message["Attributes"]["SentTimestamp"]) / 1000 <= self.began

    def _physical_id(self, logical_id: str) -> str:
        described = self.formation.describe_stack_resource(StackName=self.stack_name, LogicalResourceId=logical_id)
        return described["StackResourceDetail"]["PhysicalResourceId"]


def failed_event(body: str) -> tuple[str, str]:
    """The keys in an event that Lambda gave up, and the event as S3 sent it, with the id of the request that failed.

    By that the function takes over from the last attempt, which may have been killed with the job in its hands.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    record = json.loads(body)
    event, context = record["requestPayload"], record["requestContext"]
    if "requestId" in context:
        event.setdefault("retry_of", context["requestId"])
    return ", ".join(record["s3"]["object"]["key"] for record in event["Records"]), json.dumps(event)


def failed_purge(body: str) -> tuple[str, str]:
    """The job id in the message of a purge, and the message."""
    return json.loads(body)["job_id"], body


def _config() -> Config:
    return Config(retries={"mode": "standard", "total_max_attempts": 5})


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns 0; 1 when AWS refused or something stays that nobody understands."""
    parser = argparse.ArgumentParser(prog="python -m operate.redrive", description=__doc__)
    parser.add_argument("stack", nargs="?", default=STACK_NAME, help="name of the stack (default: %(default)s)")
    parser.add_argument("--region", help="the stack's region (default: the session's)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent again")
    options = parser.parse_args(arguments)
    session, config = boto3.Session(region_name=options.region), _config()
    try:
        redrive = Redrive(
            options.stack,
            options.dry_run,
            say,
            formation=session.client("cloudformation", config=config),
            functions=session.client("lambda", config=config),
            sqs=session.client("sqs", config=config),
        )
        outcome = redrive.run()
    except (BotoCoreError, ClientError) as error:
        print(f"AWS refused, and what is not named above stays where it is: {error}", file=sys.stderr)
        return 1
    verb = "would be sent" if options.dry_run else "sent"
    say(f"{outcome.sent} {verb} again, {outcome.left} left")
    return 1 if outcome.left else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
