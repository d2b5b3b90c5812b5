"""What users do: every way in, the one-time link, the purge. Makes jobs, and leaves none of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import soundfile
from botocore.exceptions import BotoCoreError, ClientError

from operate.verification import sounds
from operate.verification.checks import Check, Failed, NotJudged, expect
from operate.verification.stack import DeployedStack

SHORT_SECONDS = 5.0
LONG_SECONDS = 45.0
"""From 40 s on, a file has several encoders."""
SAMPLE_RATE = 32_000
LENGTH_TOLERANCE_SECONDS = 0.05
POLL_SECONDS = 0.5
WINDOW_WORTH_WAITING_FOR = 60
CLAIMS_AT_ONCE = 5

T = TypeVar("T")
Job = dict[str, Any]


class Use:
    """One run. `checks` are meant to be made in their order; `leave_nothing` afterwards, whatever has happened."""

    def __init__(self, stack: DeployedStack, *, patience_seconds: float = 90.0) -> None:
        """`patience_seconds` is what a conversion may take from its upload on, a cold start included."""
        self.stack = stack
        self.patience_seconds = patience_seconds
        self.prefix = f"verify-{uuid.uuid4()}"
        self.jobs: dict[str, Job] = {}
        """The jobs that were made, by what they are for."""
        self.api_seconds: list[float] = []
        """How long each call of the API took, the first one first."""
        self.converted: dict[str, float] = {}
        """Seconds from an upload's end to `ready`, by job."""
        self._sent_at: dict[str, float] = {}
        self._short = sounds.tone(SHORT_SECONDS, "WAV")
        self._first_result = b""

    def checks(self) -> Iterator[Check]:
        yield "API answers signed callers, and no others", self._who_may_call
        yield "uploads are taken: S3 and presigned", self._send_all
        yield "direct upload (WAV) becomes a 32 kHz MP3", self._direct_upload
        yield f"{CLAIMS_AT_ONCE} claims at once: one wins, later ones get 410", self._claims
        yield "API upload (WAV of 45 s, several encoders)", self._long_wav
        yield "page of the link, looked at and fetched", self._page
        yield "API upload (FLAC)", self._flac
        yield "32 kHz MP3 passes through unchanged", self._pass_through
        yield "broken file fails by its own fault", self._broken
        yield "purge queue and function delete a result", self._purge
        yield "result goes when its download window ends", self._window
        yield "nothing is left", self._nothing_left

    # ---------------------------------------------------------------- the ways in

    def _who_may_call(self) -> str:
        for _ in range(5):
            began = time.monotonic()
            answer = self.stack.api("GET", "/jobs", query={"upload_key": self.prefix})
            self.api_seconds.append(time.monotonic() - began)
            expect(answer.status_code == 200, f"GET /jobs: {answer.status_code} {answer.text[:200]}")
        refused = self.stack.request("POST", f"{self.stack.api_url}/jobs", json={"filename": "x.wav"})
        expect(refused.status_code == 403, f"an unsigned POST /jobs got {refused.status_code} in place of 403")
        return f"first call {self.api_seconds[0]:.2f} s, fastest {min(self.api_seconds):.2f} s"

    def _send_all(self) -> str:
        flac = sounds.tone(SHORT_SECONDS, "FLAC")
        self._upload("long", "song.wav", sounds.tone(LONG_SECONDS, "WAV"))
        self.stack.client("s3").put_object(Bucket=self.stack.uploads, Key=self._direct_key, Body=self._short)
        self._sent_at["direct"] = time.monotonic()
        self._upload("flac", "song.flac", flac)
        self._upload("broken", "broken.flac", sounds.broken(flac))
        return "1 to S3, 3 by presigned URL"

    @property
    def _direct_key(self) -> str:
        return f"{self.prefix}/song.wav"

    def _upload(self, purpose: str, filename: str, content: bytes) -> None:
        answer = self.stack.api("POST", "/jobs", {"filename": filename})
        expect(answer.status_code == 201, f"POST /jobs: {answer.status_code} {answer.text[:200]}")
        job = self.jobs[purpose] = answer.json()
        upload = job["upload"]
        put = self.stack.request(upload["method"], upload["url"], data=content, headers=upload["headers"])
        expect(put.status_code == 200, f"{filename} was not taken: {put.status_code} {put.text[:200]}")
        self._sent_at[purpose] = time.monotonic()

    def _direct_upload(self) -> str:
        if "direct" not in self._sent_at:
            raise Failed("it was not uploaded")

        def look() -> Job | None:
            answer = self.stack.api("GET", "/jobs", query={"upload_key": self._direct_key})
            expect(answer.status_code == 200, f"GET /jobs: {answer.status_code} {answer.text[:200]}")
            jobs: list[Job] = answer.json()["jobs"]
            return jobs[0] if jobs else None

        self.jobs["direct"] = self._until(look, "no job: does the upload bucket notify the function?", "direct")
        job = self._ready("direct")
        renewed = self.stack.api("POST", f"/jobs/{job['id']}/link")
        expect(renewed.status_code == 201, f"POST /jobs/ID/link: {renewed.status_code} {renewed.text[:200]}")
        self.jobs["direct"] = {**job, "link": renewed.json()["link"]}
        return f"ready after {self.converted['direct']:.1f} s"

    def _claims(self) -> str:
        link = self._link("direct")
        with ThreadPoolExecutor(CLAIMS_AT_ONCE) as pool:
            answers = list(pool.map(lambda _: self._claim(link), range(CLAIMS_AT_ONCE)))
        statuses = sorted(answer.status_code for answer in answers)
        expect(statuses == [303] + [410] * (CLAIMS_AT_ONCE - 1), f"the claims got {statuses}")
        later = self._claim(link).status_code
        expect(later == 410, f"a later claim got {later} in place of 410")
        location = next(answer.headers["Location"] for answer in answers if answer.status_code == 303)
        expect(urlsplit(location).netloc != urlsplit(link).netloc or "s3" in location, f"no address in S3: {location}")
        self._first_result = self._download(location)
        return self._judged(self._first_result, SHORT_SECONDS)

    def _long_wav(self) -> str:
        job = self._ready("long")
        return f"ready after {self.converted['long']:.1f} s, {job['result']['size_bytes']:,} bytes"

    def _page(self) -> str:
        link = self._link("long")
        page = self.stack.request("GET", link, headers={"Accept": "text/html"})
        expect(page.status_code == 200, f"the page: {page.status_code}")
        expect(
            '<form method="post"><button' in page.text and "song" in page.text, "the page has no button for the file"
        )
        self.stack.request("HEAD", link)
        state = self._job("long")["status"]
        expect(state == "ready", f"looking at the link made the job {state}")
        answer = self._claim(link)
        expect(answer.status_code == 303, f"the claim got {answer.status_code} {answer.text[:200]}")
        location = answer.headers["Location"]
        whole = self._download(location)
        rest = self.stack.request("GET", location, headers={"Range": "bytes=1000-"})
        expect((rest.status_code, rest.content) == (206, whole[1000:]), "a broken download can't be resumed")
        return self._judged(whole, LONG_SECONDS)

    def _flac(self) -> str:
        self._ready("flac")
        answer = self._claim(self._link("flac"))
        expect(answer.status_code == 303, f"the claim got {answer.status_code}")
        return self._judged(self._download(answer.headers["Location"]), SHORT_SECONDS)

    def _pass_through(self) -> str:
        expect(bool(self._first_result), "there is no result to send")
        self._upload("mp3", "song.mp3", self._first_result)
        job = self._ready("mp3")
        expect(job["result"]["passthrough"], "it was encoded again")
        answer = self._claim(self._link("mp3"))
        expect(answer.status_code == 303, f"the claim got {answer.status_code}")
        expect(self._download(answer.headers["Location"]) == self._first_result, "other bytes came back")
        return f"ready after {self.converted['mp3']:.1f} s"

    def _broken(self) -> str:
        job = self._ended("broken")
        expect(job["status"] == "failed", f"it is {job['status']}")
        code = str(job["error"]["code"])
        expect(code != "internal-error", "it failed as if by our fault (internal-error)")
        return code

    # ---------------------------------------------------------------- what goes

    def _purge(self) -> str:
        """A result of a deleted job is put back, and a purge message sent: queue, function and rights take it away."""
        job_id = self.jobs.get("flac", {}).get("id")
        expect(bool(job_id), "there is no job to purge")
        deleted = self.stack.api("DELETE", f"/jobs/{job_id}")
        expect(deleted.status_code == 204, f"DELETE /jobs/ID: {deleted.status_code} {deleted.text[:200]}")
        s3, results = self.stack.client("s3"), self.stack.results
        key = f"jobs/{job_id}/{job_id}.mp3"
        expect(not self._exists(results, key), "DELETE left the result")
        s3.put_object(Bucket=results, Key=key, Body=b"left over")
        self.stack.client("sqs").send_message(
            QueueUrl=self.stack.physical_id("PurgeQueue"), MessageBody=json.dumps({"job_id": job_id})
        )
        began = time.monotonic()
        self._until(lambda: not self._exists(results, key), "the result is still there: is the queue connected?")
        return f"after {time.monotonic() - began:.1f} s"

    def _window(self) -> str:
        window = self.stack.window_seconds
        if window > WINDOW_WORTH_WAITING_FOR:
            raise NotJudged(f"the window is {window} s; with at most {WINDOW_WORTH_WAITING_FOR} s it is waited for")
        expect(bool(self._first_result), "nothing was claimed")
        self._until(lambda: self._job("direct")["status"] == "purged", "the claimed job is not purged", extra=window)
        return f"after the {window} s of DownloadWindowSeconds"

    def _nothing_left(self) -> str:
        for job in self.jobs.values():
            self.stack.api("DELETE", f"/jobs/{job['id']}")
        left = self._left()
        expect(not left, f"{len(left)} objects: {', '.join(f'{bucket}/{key}' for bucket, key in left[:3])}")
        return f"of {len(self.jobs)} jobs"

    def _left(self) -> list[tuple[str, str]]:
        """Objects of this run, as bucket and key."""
        s3 = self.stack.client("s3")
        prefixes = [self.prefix, *(f"jobs/{job['id']}" for job in self.jobs.values())]
        return [
            (bucket, item["Key"])
            for bucket in (self.stack.uploads, self.stack.results)
            for prefix in prefixes
            for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        ]

    def leave_nothing(self) -> list[str]:
        """Delete whatever this run has made, records included. Returns what could not be deleted."""
        kept = []
        s3, table = self.stack.client("s3"), self.stack.client("dynamodb")
        with suppress(Failed, ValueError):  # the direct upload's job, if it came too late to be judged
            late = self.stack.api("GET", "/jobs", query={"upload_key": self._direct_key}).json()
            self.jobs |= {job["id"]: job for job in late.get("jobs", [])}
        for job in self.jobs.values():
            with suppress(Failed):
                self.stack.api("DELETE", f"/jobs/{job['id']}")
        for bucket, key in self._left():
            try:
                s3.delete_object(Bucket=bucket, Key=key)
            except (ClientError, BotoCoreError) as error:
                kept.append(f"{bucket}/{key}: {error}")
        for job in self.jobs.values():
            try:
                table.delete_item(TableName=self.stack.physical_id("JobsTable"), Key={"id": {"S": job["id"]}})
            except (ClientError, BotoCoreError) as error:
                kept.append(f"record {job['id']}: {error}")
        return kept

    # ---------------------------------------------------------------- steps

    def _job(self, purpose: str) -> Job:
        if purpose not in self.jobs:
            raise Failed("it was not uploaded")
        answer = self.stack.api("GET", f"/jobs/{self.jobs[purpose]['id']}")
        expect(answer.status_code == 200, f"GET /jobs/ID: {answer.status_code} {answer.text[:200]}")
        job: Job = answer.json()
        return job

    def _ended(self, purpose: str) -> Job:
        """The job once it has ended, well or not."""

        def look() -> Job | None:
            job = self._job(purpose)
            return None if job["status"] in {"awaiting-upload", "processing"} else job

        job = self._until(look, "the job does not end: is the upload noticed?", purpose)
        self.converted[purpose] = time.monotonic() - self._sent_at[purpose]
        return job

    def _ready(self, purpose: str) -> Job:
        job = self._ended(purpose)
        expect(job["status"] == "ready", f"{job['status']}: {job.get('error')}")
        rate = job["result"]["sample_rate"]
        expect(rate == SAMPLE_RATE, f"the job says {rate} Hz")
        return job

    def _until(self, look: Callable[[], T | None], complaint: str, purpose: str = "", extra: float = 0) -> T:
        deadline = self._sent_at.get(purpose, time.monotonic()) + self.patience_seconds + extra
        while not (found := look()):
            if time.monotonic() > deadline:
                raise Failed(f"{complaint} (after {self.patience_seconds + extra:.0f} s)")
            time.sleep(POLL_SECONDS)
        return found

    def _link(self, purpose: str) -> str:
        link = self.jobs.get(purpose, {}).get("link")
        if not link:
            raise Failed("there is no link")
        return str(link)

    def _claim(self, link: str) -> Any:
        return self.stack.request("POST", link, headers={"Accept": "application/json"})

    def _download(self, url: str) -> bytes:
        answer = self.stack.request("GET", url)
        expect(answer.status_code == 200, f"the download: {answer.status_code} {answer.text[:200]}")
        return answer.content

    def _exists(self, bucket: str, key: str) -> bool:
        return bool(self.stack.client("s3").list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"))

    def _judged(self, content: bytes, seconds: float) -> str:
        """What was heard. Raises `Failed` unless it is the MP3 that was ordered."""
        try:
            container, rate, _, heard_seconds = sounds.heard(content)
        except soundfile.LibsndfileError as error:
            raise Failed(f"what came is no audio: {error}") from error
        expect((container, rate) == ("MP3", SAMPLE_RATE), f"what came is {container} of {rate} Hz")
        expect(abs(heard_seconds - seconds) < LENGTH_TOLERANCE_SECONDS, f"it lasts {heard_seconds:.3f} s")
        return f"MP3, {rate} Hz, {heard_seconds:.2f} s"
