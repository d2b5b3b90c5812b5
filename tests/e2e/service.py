"""One user of the deployed service, and a witness: everything goes through boto3, the aws CLI, curl or plain HTTP."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, quote_plus, urlencode, urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.stack import EmbeddedAws
from tests.e2e.relay import Relay
from tests.stacks import let_window_end

POLL_SECONDS = 0.1
WAIT_SECONDS = 300.0  # what takes a second or two; how fast a machine is, is not judged here
WINDOW_SECONDS = 900  # no test takes as long between a claim and its download: it ends when a test ends it
REQUEST_SECONDS = 300.0

EXAMPLE_EVENT = Path(__file__).parent.parent / "events" / "s3-put.json"

JSON = {"Accept": "application/json"}
# The emulator's own words where IAM says no; AWS has the gateway's there.
IAM_REFUSAL = "application/x-amz-json-1.0"

ENDED = {"ready", "failed", "claimed", "purged", "expired"}

T = TypeVar("T")
Job = dict[str, Any]


def until(ask: Callable[[], T | None], what: str) -> T:
    """Ask again and again until there is an answer that is not empty. Fails the test after `WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"after {WAIT_SECONDS:.0f} s still not: {what}")
        time.sleep(POLL_SECONDS)


@dataclass(slots=True)
class Service:
    """The doors of one deployed stack, and what was seen of it that nobody may log."""

    stack: EmbeddedAws
    programs: Path
    """The folder with ffmpeg and ffprobe of the layer."""
    secrets: set[str] = field(default_factory=set, repr=False)
    """Secrets of links and signatures of presigned URLs that this session was given."""
    events_queue: str = ""
    """A queue behind an EventBridge rule of the service's events."""
    notifications_queue: str = ""
    """A queue that gets a copy of every S3 event that the function gets."""
    to_s3: Relay = field(init=False, repr=False)
    """What stands between the resampling function and S3."""
    http: requests.Session = field(default_factory=requests.Session)
    _events: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _notifications: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.http.trust_env = False

    # ---------------------------------------------------------------- what there is

    @property
    def uploads(self) -> str:
        return self.stack.access.upload_bucket

    @property
    def results(self) -> str:
        return self.stack.access.result_bucket

    @property
    def s3(self) -> Any:
        return self.stack.aws.client("s3")

    def objects(self, bucket: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        """The objects of a bucket by key, as the owner of the account sees them."""
        pages = self.stack.admin.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {item["Key"]: item for page in pages for item in page.get("Contents", [])}

    def record(self, job_id: str) -> dict[str, Any]:
        """The job's item in the table."""
        table = self.stack.access.jobs_table
        item: dict[str, Any] = self.stack.aws.client("dynamodb").get_item(
            TableName=table, Key={"id": {"S": job_id}}, ConsistentRead=True
        )["Item"]
        return item

    def records(self) -> list[dict[str, Any]]:
        """All items of the table."""
        pages = self.stack.aws.client("dynamodb").get_paginator("scan").paginate(TableName=self.stack.access.jobs_table)
        return [item for page in pages for item in page["Items"]]

    def attempts(self, job_id: str) -> int:
        """How often work on the job has begun."""
        return int(self.record(job_id)["attempts"]["N"])

    def log_messages(self) -> list[str]:
        """Every line of every log group."""
        logs = self.stack.admin.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        paginator = logs.get_paginator("filter_log_events")
        pages = (page for group in groups for page in paginator.paginate(logGroupName=group))
        return [event["message"] for page in pages for event in page["events"]]

    def log_lines(self, job_id: str, text: str) -> list[str]:
        """The lines about a job with a text in them."""
        return [line for line in self.log_messages() if job_id in line and text in line]

    # ---------------------------------------------------------------- the API

    def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        keys: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """A call signed with SigV4; `keys` are another user's."""
        access = self.stack.access
        url = access.api_url + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json", **(headers or {})})
        credentials = Credentials(*(keys or (access.access_key_id, access.secret_access_key)))
        SigV4Auth(credentials, "execute-api", access.region).add_auth(request)
        return self.request(method, url, headers=dict(request.headers.items()), data=data)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """A plain request that follows no redirect."""
        answer = self.http.request(method, url, allow_redirects=False, timeout=REQUEST_SECONDS, **options)
        self.remember(answer.headers.get("Location", ""))
        return answer

    def create_job(self, filename: str, **fields: Any) -> Job:
        """`POST /jobs`: the new job with its `upload` and `link`."""
        answer = self.api("POST", "/jobs", {"filename": filename, **fields})
        assert answer.status_code == 201, answer.text
        job: Job = answer.json()
        self.remember(job["link"], job["upload"]["url"])
        return job

    def send(self, job: Job, path: Path) -> None:
        """Put a file to the presigned URL of a new job."""
        upload = job["upload"]
        with path.open("rb") as file:
            data = file if path.stat().st_size else b""  # an empty file would be sent in chunks, which S3 refuses
            answer = self.request(upload["method"], upload["url"], data=data, headers=upload["headers"])
        assert answer.status_code == 200, answer.text

    def job(self, job_id: str) -> Job:
        """`GET /jobs/{id}`."""
        answer = self.api("GET", f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: Job = answer.json()
        return job

    def jobs_of(self, upload_key: str, **query: Any) -> list[Job]:
        """`GET /jobs?upload_key=`: newest first."""
        answer = self.api("GET", "/jobs", query={"upload_key": upload_key, **query})
        assert answer.status_code == 200, answer.text
        jobs: list[Job] = answer.json()["jobs"]
        return jobs

    def new_link(self, job_id: str) -> str:
        """`POST /jobs/{id}/link`."""
        answer = self.api("POST", f"/jobs/{job_id}/link")
        assert answer.status_code == 201, answer.text
        link: str = answer.json()["link"]
        self.remember(link)
        return link

    def delete(self, job_id: str) -> None:
        """`DELETE /jobs/{id}`."""
        answer = self.api("DELETE", f"/jobs/{job_id}")
        assert answer.status_code == 204, answer.text

    def claim(self, link: str) -> str:
        """Spend a link; returns the presigned URL."""
        answer = self.request("POST", link, headers=JSON)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def fetch(self, link: str, path: Path) -> Path:
        """Claim a link and save the result."""
        answer = self.request("GET", self.claim(link))
        assert answer.status_code == 200, answer.text
        path.write_bytes(answer.content)
        return path

    # ---------------------------------------------------------------- waiting

    def ended(self, job_id: str) -> Job:
        """The job once it has ended, well or not."""
        return until(
            lambda: job if (job := self.job(job_id))["status"] in ENDED else None,
            f"job {job_id} has ended",
        )

    def ready(self, job_id: str) -> Job:
        """The job once it is ready."""
        job = self.ended(job_id)
        assert job["status"] == "ready", job
        return job

    def finished(self, job_id: str) -> None:
        """Return once the function has done the last thing that it does for a job: `ready` comes before that."""
        until(lambda: self.record(job_id).get("announced", {}).get("BOOL"), f"job {job_id} is announced")

    def appeared(self, upload_key: str, *, count: int = 1) -> list[Job]:
        """The jobs of a direct upload, newest first, once there are `count` and all have ended."""
        return until(
            lambda: (
                jobs
                if len(jobs := self.jobs_of(upload_key)) >= count and all(job["status"] in ENDED for job in jobs)
                else None
            ),
            f"{count} jobs of {upload_key} have ended",
        )

    def purged(self, job_id: str) -> None:
        """Return once the job is purged and its result is gone."""
        until(lambda: self.job(job_id)["status"] == "purged", f"job {job_id} is purged")
        assert not [key for key in self.objects(self.results) if job_id in key]

    def end_window(self, job_id: str) -> None:
        """Have the download window of a claimed job end, and its message come."""
        let_window_end(self.stack, job_id)
        self.stack.admin.client("sqs").send_message(
            QueueUrl=self.stack.access.queues["PurgeQueue"], MessageBody=json.dumps({"job_id": job_id})
        )

    def after_window(self, job_id: str) -> None:
        """End the download window of a claimed job; return once the job is purged."""
        self.end_window(job_id)
        self.purged(job_id)

    def expire(self, job_id: str) -> None:
        """Have the time of a job be over, as the record says."""
        self.stack.admin.client("dynamodb").update_item(
            TableName=self.stack.access.jobs_table,
            Key={"id": {"S": job_id}},
            UpdateExpression="SET expires_at = :now, sweep_at = :now",
            ExpressionAttributeValues={":now": {"N": str(time.time() - 1)}},
        )

    def sweep(self) -> None:
        """Have the sweep come now."""
        answer = self.stack.aws.client("lambda").invoke(
            FunctionName=self.stack.access.functions["PurgeFunction"], Payload=b'{"source": "aws.events"}'
        )
        payload = json.load(answer["Payload"])
        assert "FunctionError" not in answer, payload

    def logged(self, job_id: str, text: str) -> None:
        """Return once a line about a job, with a text in it, is in the logs.

        The emulator waits 50 ms for what a function has logged. What is later comes with the next invocation's lines.
        """

        def look() -> list[str]:
            found = self.log_lines(job_id, text)
            if not found:
                for function in ("ResampleFunction", "PurgeFunction"):
                    self.stack.aws.client("lambda").invoke(
                        FunctionName=self.stack.access.functions[function], Payload=b'{"Records": []}'
                    )
            return found

        until(look, f"{text!r} of job {job_id} is logged")

    # ---------------------------------------------------------------- uploads and events

    def put(self, key: str, path: Path, **metadata: str) -> Job:
        """A direct upload and its job once that has ended. The key must be a new one."""
        self.s3.upload_file(str(path), self.uploads, key, ExtraArgs={"Metadata": metadata})
        [job] = self.appeared(key)
        return job

    def event_of(self, job_id: str) -> dict[str, Any]:
        """The EventBridge event of a job."""

        def look() -> dict[str, Any] | None:
            for event in self._received(self.events_queue):
                self.remember(event["detail"]["link"] or "")
                told = event["detail"]["job"]["id"]
                before = self._events.get(told, {}).get("detail-type")
                assert event["detail-type"] != before, "announced twice"
                self._events[told] = event
            return self._events.get(job_id)

        return until(look, f"the event of job {job_id}")

    def events(self) -> list[dict[str, Any]]:
        """The EventBridge events that have come so far."""
        return list(self._events.values())

    def notifications(self, key: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The S3 events of a key, just as the function gets them, once there are `count`."""

        def look() -> list[dict[str, Any]] | None:
            for event in self._received(self.notifications_queue):
                for record in event.get("Records", []):
                    self._notifications.setdefault(record["s3"]["object"]["key"], []).append(event)
            found = self._notifications.get(key, [])
            return found if len(found) >= count else None

        return until(look, f"{count} events of {key}")

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Invoke the resampling function and wait for what it returns."""
        answer = self.stack.aws.client("lambda").invoke(
            FunctionName=self.stack.access.functions["ResampleFunction"], Payload=json.dumps(event).encode()
        )
        payload = json.load(answer["Payload"])
        assert "FunctionError" not in answer, payload
        if isinstance(payload, dict):
            self.remember(payload.get("link") or "")
        return payload

    @contextmanager
    def without_notifications(self) -> Iterator[None]:
        """Nobody but the test tells the function of uploads in here."""
        s3, bucket = self.stack.admin.client("s3"), self.uploads
        configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
        configuration.pop("ResponseMetadata")
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        try:
            yield
        finally:
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=True
            )

    def _received(self, queue: str) -> list[dict[str, Any]]:
        """Take what is in a queue."""
        sqs = self.stack.admin.client("sqs")
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    # ---------------------------------------------------------------- a user's shell

    def aws(self, *arguments: str | Path) -> str:
        """Run the aws CLI; returns what it prints."""
        access = self.stack.access
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.stack.stack_file.parent),
            "AWS_ACCESS_KEY_ID": access.access_key_id,
            "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
            "AWS_REGION": access.region,
            "AWS_DEFAULT_REGION": access.region,
            "AWS_ENDPOINT_URL": access.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        command = [str(Path(sys.executable).with_name("aws")), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def curl(self, *arguments: str | Path, folder: Path | None = None) -> str:
        """Run curl; returns what it prints."""
        program = shutil.which("curl")
        if program is None:
            pytest.skip("curl is not installed")
        command = [program, "-sS", "--noproxy", "*", "--max-time", str(int(REQUEST_SECONDS)), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remember(self, *addresses: str) -> None:
        """Note the secrets in links and presigned URLs, so that the logs can be searched for them."""
        for address in addresses:
            url = urlsplit(address)
            token = re.search(r"/d/[0-9a-f]{32}\.(.+)", url.path)
            self.secrets.update([token[1]] if token else [])
            for name in ("X-Amz-Signature", "X-Amz-Security-Token"):
                self.secrets.update(parse_qs(url.query).get(name, []))


def s3_event(key: str, *, sequencer: str = "0055AED6DCD90281E5") -> dict[str, Any]:
    """The example event of `sam local invoke`, for another key."""
    event: dict[str, Any] = json.loads(EXAMPLE_EVENT.read_text())
    event["Records"][0]["s3"]["object"] |= {"key": quote_plus(key, safe="/"), "sequencer": sequencer}
    return event
