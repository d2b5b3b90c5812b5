"""The service's buckets, table, queues and event bus on moto, new for every test, and ways to make AWS fail.

moto is no judge of races: nothing here runs at the same time as anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from botocore.exceptions import EndpointConnectionError
from moto.sqs.models import sqs_backends
from mypy_boto3_s3 import S3Client

from audiojobs import clients
from audiojobs.announcements import Announcer
from audiojobs.job import Job
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ResampleSettings
from audiojobs.store import JobStore

REGION = "eu-central-1"

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Cloud:
    """What a deployed stack has. ``events_queue_url`` gets what goes to the event bus."""

    upload_bucket: str
    result_bucket: str
    jobs_table: str
    purge_queue_url: str
    events_queue_url: str

    @classmethod
    def deploy(cls) -> Cloud:
        number = next(_numbers)
        location: Any = {"LocationConstraint": REGION}
        uploads, results, table = f"uploads-{number}", f"results-{number}", f"jobs-{number}"
        clients.s3().create_bucket(Bucket=uploads, CreateBucketConfiguration=location)
        clients.s3().create_bucket(Bucket=results, CreateBucketConfiguration=location)
        clients.dynamodb().create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "upload_key", "AttributeType": "S"},
                {"AttributeName": "reference", "AttributeType": "S"},
                {"AttributeName": "status", "AttributeType": "S"},
                {"AttributeName": "created_at", "AttributeType": "N"},
                {"AttributeName": "sweep", "AttributeType": "S"},
                {"AttributeName": "sweep_at", "AttributeType": "N"},
            ],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-upload-key",
                    "KeySchema": [
                        {"AttributeName": "upload_key", "KeyType": "HASH"},
                        {"AttributeName": "created_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                },
                _keys_by("reference"),
                _keys_by("status"),
                {
                    "IndexName": "by-sweep-time",
                    "KeySchema": [
                        {"AttributeName": "sweep", "KeyType": "HASH"},
                        {"AttributeName": "sweep_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                },
            ],
        )
        sqs = clients.sqs()
        purges = sqs.create_queue(QueueName=f"purges-{number}")["QueueUrl"]
        events = sqs.create_queue(QueueName=f"events-{number}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=events, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["audio-resampler"], "detail": {"upload_bucket": [uploads]}}
        clients.events().put_rule(Name=f"rule-{number}", EventPattern=json.dumps(pattern))
        clients.events().put_targets(Rule=f"rule-{number}", Targets=[{"Id": "queue", "Arn": arn}])
        return cls(uploads, results, table, purges, events)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that the template gives to functions."""
        return {
            "JOBS_TABLE": self.jobs_table,
            "UPLOAD_BUCKET": self.upload_bucket,
            "RESULT_BUCKET": self.result_bucket,
            "PURGE_QUEUE_URL": self.purge_queue_url,
            "PUBLIC_URL": "",
            "DOWNLOAD_WINDOW_SECONDS": "300",
        }

    @property
    def resample_settings(self) -> ResampleSettings:
        return ResampleSettings(
            jobs_table=self.jobs_table,
            upload_bucket=self.upload_bucket,
            result_bucket=self.result_bucket,
            public_url="https://audio.example.com/v1",
        )

    @property
    def s3(self) -> S3Client:
        return clients.s3()

    @property
    def store(self) -> JobStore:
        return JobStore(clients.dynamodb(), self.jobs_table)

    @property
    def uploads(self) -> UploadObjects:
        return UploadObjects(clients.s3(), self.upload_bucket)

    @property
    def results(self) -> ResultObjects:
        return ResultObjects(clients.s3(), self.result_bucket)

    @property
    def schedule(self) -> PurgeSchedule:
        return PurgeSchedule(clients.sqs(), self.purge_queue_url)

    @property
    def announcer(self) -> Announcer:
        return Announcer(clients.events(), self.upload_bucket)

    def job(self, job_id: str) -> Job:
        """The job as it stands in the table."""
        job = self.store.get(job_id)
        assert job is not None
        return job

    def item(self, job_id: str) -> dict[str, Any]:
        """The raw item of a job."""
        return dict(clients.dynamodb().get_item(TableName=self.jobs_table, Key={"id": {"S": job_id}})["Item"])

    def upload(self, key: str, data: bytes = b"RIFF...", **metadata: str) -> str:
        """Put an upload; returns its ETag without quotes, as S3 events spell it."""
        names = {name.replace("_", "-"): value for name, value in metadata.items()}
        answer = self.s3.put_object(Bucket=self.upload_bucket, Key=key, Body=data, Metadata=names)
        return answer["ETag"].strip('"')

    def put_result(self, job: Job, data: bytes = b"MP3") -> None:
        self.s3.put_object(Bucket=self.result_bucket, Key=job.result_key, Body=data)

    def upload_keys(self) -> list[str]:
        return self._keys(self.upload_bucket)

    def result_keys(self) -> list[str]:
        return self._keys(self.result_bucket)

    def result(self, job: Job) -> bytes:
        return self.s3.get_object(Bucket=self.result_bucket, Key=job.result_key)["Body"].read()

    def purge_messages(self) -> list[dict[str, Any]]:
        """The bodies of the purge messages that wait, the delayed ones too."""
        return [json.loads(message.body) for message in self._backend_messages(self.purge_queue_url)]

    def purge_delays(self) -> list[int]:
        """The delays of the purge messages that wait, in seconds."""
        return [
            int(max(0, message.delayed_until - message.sent_timestamp) // 1000)
            for message in self._backend_messages(self.purge_queue_url)
        ]

    def announcements(self) -> list[dict[str, Any]]:
        """The events that went to the bus, in the order in which they went."""
        return [json.loads(message.body) for message in self._backend_messages(self.events_queue_url)]

    def delete_table(self) -> None:
        clients.dynamodb().delete_table(TableName=self.jobs_table)

    def delete_result_bucket(self) -> None:
        for key in self.result_keys():
            self.s3.delete_object(Bucket=self.result_bucket, Key=key)
        self.s3.delete_bucket(Bucket=self.result_bucket)

    def delete_purge_queue(self) -> None:
        clients.sqs().delete_queue(QueueUrl=self.purge_queue_url)

    def _keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def _backend_messages(self, queue_url: str) -> list[Any]:
        """SQS shows neither delayed messages nor delays; moto's own record does."""
        account, name = queue_url.split("/")[-2:]
        return list(sqs_backends[account][REGION].queues[name]._messages)


def _keys_by(name: str) -> Any:
    return {
        "IndexName": f"by-{name}",
        "KeySchema": [
            {"AttributeName": name, "KeyType": "HASH"},
            {"AttributeName": "created_at", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }


@contextmanager
def failing(
    client: Any,
    operation: str,
    *,
    after: int = 0,
    times: int | None = None,
    error: Exception = EndpointConnectionError(endpoint_url="https://nowhere.invalid"),  # noqa: B008
) -> Iterator[list[None]]:
    """Every call of ``operation`` fails before it reaches AWS; but the first ``after`` succeed, and ``times`` limits.

    Gives a list with an element for each failure.
    """
    failures: list[None] = []
    calls = count()

    def fail(**_: Any) -> None:
        if next(calls) >= after and (times is None or len(failures) < times):
            failures.append(None)
            raise error

    name = f"before-call.{client.meta.service_model.service_name}.{operation}"
    client.meta.events.register(name, fail)
    try:
        yield failures
    finally:
        client.meta.events.unregister(name, fail)


@contextmanager
def answer_lost_once(client: Any, operation: str) -> Iterator[list[None]]:
    """AWS does what ``operation`` asks, but its first answer is lost, so that boto3 sends the request again."""
    losses: list[None] = []

    def send_again(**_: Any) -> float | None:
        if losses:
            return None
        losses.append(None)
        return 0

    name = f"needs-retry.{client.meta.service_model.service_name}.{operation}"
    client.meta.events.register_first(name, send_again)
    try:
        yield losses
    finally:
        client.meta.events.unregister(name, send_again)
