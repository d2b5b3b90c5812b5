"""The three functions, and the events of `tests/events` with the ids of this run in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.stack import EmbeddedAws
from tests.runtime.runtime_api import LambdaEnvironment

EVENTS = Path(__file__).parent.parent / "events"
EXAMPLE_JOB_ID = "3f79ca687e77ef2837e8b53f34307c2f"
EXAMPLE_TOKEN = f"{EXAMPLE_JOB_ID}.hQhUQS1C-O2jYHboJuS2HrvlBe1maItiDLe_-AI1thQ"
EXAMPLE_KEY = "recordings/my+first+song+%28take+1%29.wav"


def example(name: str, *, job_id: str = EXAMPLE_JOB_ID, token: str = EXAMPLE_TOKEN, key: str = EXAMPLE_KEY) -> Any:
    """The event ``tests/events/NAME.json``, about another job, link or (URL-encoded) upload key."""
    text = (EVENTS / f"{name}.json").read_text()
    for old, new in ((EXAMPLE_TOKEN, token), (EXAMPLE_JOB_ID, job_id), (EXAMPLE_KEY, key)):
        text = text.replace(old, new)
    return json.loads(text)


class Functions:
    """What a test asks of the functions."""

    def __init__(self, stack: EmbeddedAws, environments: Mapping[str, LambdaEnvironment]) -> None:
        self.stack = stack
        self.environments = environments

    def resample(self, event: Any) -> Any:
        return self.environments["ResampleFunction"].invoke(event)

    def purge(self, event: Any) -> Any:
        return self.environments["PurgeFunction"].invoke(event)

    def api(self, name: str, **ids: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of the answer to the request ``tests/events/api-NAME.json``."""
        answer = self.environments["ApiFunction"].invoke(example(f"api-{name}", **ids))
        headers = {key.lower(): values[-1] for key, values in (answer.get("multiValueHeaders") or {}).items()}
        return answer["statusCode"], headers, answer["body"]

    def job(self, name: str, *, status: int = 200, **ids: str) -> dict[str, Any]:
        """The JSON that such a request is answered with, and with this status."""
        found, _, body = self.api(name, **ids)
        assert found == status, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def upload(self, path: Path, key: str) -> None:
        """Put a file into the upload bucket; nothing happens until the test delivers an event."""
        self.stack.aws.client("s3").put_object(Bucket=self.stack.access.upload_bucket, Key=key, Body=path.read_bytes())

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket."""
        listing = self.stack.admin.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for item in listing.get("Contents", [])]
