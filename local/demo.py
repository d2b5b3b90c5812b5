"""`make run`: one file all the way through the service, each step shown."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from local.console import Console
from local.errors import LocalError, ServiceError
from local.service_client import ServiceClient
from local.stack import EmbeddedAws

APPEAR_SECONDS = 300.0
WORK_SECONDS = 3600.0
PURGE_SECONDS = 300.0
POLL_SECONDS = 0.2
FINAL = {"ready", "failed", "expired", "purged", "claimed"}


@dataclass(frozen=True, slots=True)
class Journey:
    """A file on its way through a running stack. `window_seconds` is the download window that was deployed."""

    stack: EmbeddedAws
    console: Console
    window_seconds: int

    def run(self, audio: Path, output: Path, *, through_api: bool) -> str:
        """Upload, resample, claim, download, and see that nothing is left. Raises ServiceError where it fails.

        Returns how it went, in figures.
        """
        client = ServiceClient(self.stack.access)
        started = time.monotonic()
        if through_api:
            job_id, link = self._upload_through_api(client, audio)
            job = self._wait_until_done(lambda: client.job(job_id))
        else:
            upload_key = self._upload_to_bucket(audio)
            job = self._wait_until_done(lambda: next(iter(client.jobs_of(upload_key)), None))
            link = ""
        if job["status"] != "ready":
            raise ServiceError(failure(job))
        seconds = time.monotonic() - started
        self.console.done("Resampled", conversion(job))

        link = link or client.new_link(job["id"])
        self.console.done("One-time link", link)
        self._download(client, link, output)
        self._claim_again(client, link)
        self._wait_until_nothing_is_left(client, job["id"])
        return speed(job, seconds)

    def _upload_to_bucket(self, audio: Path) -> str:
        access, size_bytes = self.stack.access, audio.stat().st_size
        started = time.monotonic()
        with self.console.bar("Uploading", size_bytes, of_bytes=True) as advance:
            self.stack.aws.client("s3").upload_file(
                str(audio), access.upload_bucket, audio.name, Callback=advance, Config=TransferConfig(max_concurrency=2)
            )
        self.console.done(
            "Uploaded",
            f"{readable_size(size_bytes)} to s3://{access.upload_bucket}/{audio.name} "
            f"in {time.monotonic() - started:.1f} s; its S3 event starts the function",
        )
        return audio.name

    def _upload_through_api(self, client: ServiceClient, audio: Path) -> tuple[str, str]:
        size_bytes = audio.stat().st_size
        created = client.create_job(audio.name, size_bytes)
        self.console.done("Created", f"job {created['id']} with POST /jobs, which gave a presigned URL and the link")
        started = time.monotonic()
        with self.console.bar("Uploading", size_bytes, of_bytes=True) as advance:
            client.put_file(created["upload"], audio, advance)
        self.console.done(
            "Uploaded", f"{readable_size(size_bytes)} to the presigned URL in {time.monotonic() - started:.1f} s"
        )
        return created["id"], created["link"]

    def _wait_until_done(self, ask: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """Poll the job until it is final. Raises ServiceError when it never appears or never ends."""
        started = time.monotonic()
        with self.console.bar("Resampling", 1.0) as advance:
            shown = 0.0
            while True:
                self.stack.check_alive()
                job = ask()
                waited = time.monotonic() - started
                if job and job["status"] in FINAL:
                    advance(1.0 - shown)
                    return job
                progress = float((job or {}).get("progress") or 0.0)
                advance(max(0.0, progress - shown))
                shown = max(shown, progress)
                self._raise_failed_event()
                if not job and waited > APPEAR_SECONDS:
                    raise ServiceError(
                        f"The upload was not picked up within {APPEAR_SECONDS:.0f} s; see the logs in "
                        f"{self.stack.access.log_folder}."
                    )
                if waited > WORK_SECONDS:
                    raise ServiceError(f"The job did not end within {WORK_SECONDS:.0f} s.")
                time.sleep(POLL_SECONDS)

    def _raise_failed_event(self) -> None:
        """Raise ServiceError when the function failed on its event for the last time."""
        queue = self.stack.access.queues["FailedEventsQueue"]
        for message in self.stack.aws.client("sqs").receive_message(QueueUrl=queue).get("Messages", []):
            reason = json.loads(message["Body"]).get("responsePayload", {}).get("errorMessage", "no reason is known")
            raise ServiceError(f"The function failed on every attempt: {reason}")

    def _download(self, client: ServiceClient, link: str, output: Path) -> None:
        claim = client.claim(link)
        if claim.status != 303:
            raise ServiceError(f"The link was not granted: {claim.problem}")
        self.console.done("Claimed", f"303 to a presigned URL that lives {self.window_seconds} s")
        with self.console.bar("Downloading", None, of_bytes=True) as advance:
            size_bytes = client.download(claim.headers["Location"], output, advance)
        self.console.done("Saved", f"{output} ({readable_size(size_bytes)})")

    def _claim_again(self, client: ServiceClient, link: str) -> None:
        again = client.claim(link)
        if again.status != 410:
            raise ServiceError(f"A second claim should be refused with 410, but was answered with {again.status}.")
        self.console.done("Second claim", f"refused: {again.problem}")

    def _wait_until_nothing_is_left(self, client: ServiceClient, job_id: str) -> None:
        access, s3 = self.stack.access, self.stack.aws.client("s3")
        started = time.monotonic()
        with self.console.wait(f"Waiting for the end of the download window ({self.window_seconds} s)"):
            while True:
                self.stack.check_alive()
                left = sum(
                    s3.list_objects_v2(Bucket=bucket)["KeyCount"]
                    for bucket in (access.upload_bucket, access.result_bucket)
                )
                status = client.job(job_id)["status"]
                if not left and status == "purged":
                    break
                if time.monotonic() - started > self.window_seconds + PURGE_SECONDS:
                    raise ServiceError(
                        f"{left} objects are left and the job reads `{status}`: the purge did not happen."
                    )
                time.sleep(POLL_SECONDS)
        self.console.done(
            "Purged",
            f"after {time.monotonic() - started:.0f} s: 0 objects in the upload bucket, 0 in the result bucket",
        )


def failure(job: dict[str, Any]) -> str:
    """Why a job gave no result: its error code and sentence."""
    error = job.get("error") or {}
    text = error.get("detail") or error.get("title") or error.get("message") or f"the job reads `{job['status']}`"
    return f"{error.get('code', 'no-result')}: {text}"


def conversion(job: dict[str, Any]) -> str:
    """What became of the file."""
    source, result = job.get("source") or {}, job.get("result") or {}
    size = readable_size(result.get("size_bytes") or 0)
    text = f"{described(source)} -> {described({'codec': 'mp3', **result})}, {size}"
    return f"{text}, passed through byte for byte" if result.get("passthrough") else text


def speed(job: dict[str, Any], seconds: float) -> str:
    """How it went, in figures. `seconds` is the time from the start of the upload until the result was ready."""
    source, result = job.get("source") or {}, job.get("result") or {}
    duration = float(result.get("duration_seconds") or source.get("duration_seconds") or 0.0)
    text = f"{readable_size(result.get('size_bytes') or 0)}, {seconds:.1f} s from the upload to the result"
    if duration and seconds:
        text += f", {minutes(duration)} of audio at {duration / seconds:.0f} times real time"
    return text


def described(stream: dict[str, Any]) -> str:
    """`flac 44100 Hz stereo`, with what is known."""
    channels = {1: "mono", 2: "stereo"}
    count = stream.get("channels")
    parts = [
        str(stream["codec"]) if stream.get("codec") else "",
        f"{stream['sample_rate']} Hz" if stream.get("sample_rate") else "",
        f"{stream['bit_rate'] // 1000} kb/s" if stream.get("bit_rate") else "",
        channels.get(count, f"{count} channels") if count else "",
    ]
    return " ".join(part for part in parts if part)


def readable_size(size_bytes: int) -> str:
    """A size for people: `3.2 MB`."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"


def minutes(seconds: float) -> str:
    """A duration for people: `3:05`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def output_path(audio: Path) -> Path:
    """Where the result of a file is saved: beside it, as `song.32k.mp3`."""
    return audio.with_name(f"{audio.stem}.32k.mp3")


def require_file(audio: Path) -> None:
    """Raise LocalError unless the file can be read."""
    if not audio.is_file():
        raise LocalError(f"There is no file {audio}.")


def require_place(output: Path) -> None:
    """Raise LocalError unless the result can be saved: a link is spent only once."""
    if not os.access(output.parent, os.W_OK):
        raise LocalError(
            f"{output} can't be written; name another place: .venv-run/bin/python -m local run --output PLACE"
        )
