"""Talks to the deployed service as its users do: signed calls to the API, and links with a plain HTTP client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.errors import ServiceError
from local.stack import StackAccess

CHUNK_BYTES = 1 << 20
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response with its JSON body, if it has one."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]

    @property
    def problem(self) -> str:
        """The body's problem (RFC 9457) as a sentence."""
        text = self.document.get("detail") or self.document.get("title") or self.document.get("message") or "no reason"
        return f"{self.status} {self.document.get('type', '')}: {text}".replace(" :", ":")


class ServiceClient:
    """One user of the service."""

    def __init__(self, access: StackAccess) -> None:
        self._access = access
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=120))

    def create_job(self, filename: str, size_bytes: int | None = None) -> dict[str, Any]:
        """A new job with its `upload` and `link`; with a size, it takes a file of that size alone."""
        return self._expect(201, self._signed("POST", "/jobs", body={"filename": filename, "size_bytes": size_bytes}))

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        return self._expect(200, self._signed("GET", f"/jobs/{quote(job_id)}"))

    def jobs_of(self, upload_key: str) -> list[dict[str, Any]]:
        """The jobs of a direct upload, newest first."""
        jobs: list[dict[str, Any]] = self._expect(200, self._signed("GET", "/jobs", query={"upload_key": upload_key}))[
            "jobs"
        ]
        return jobs

    def new_link(self, job_id: str) -> str:
        """A fresh one-time link; the one before it is dead."""
        link: str = self._expect(201, self._signed("POST", f"/jobs/{quote(job_id)}/link"))["link"]
        return link

    def look(self, link: str) -> Answer:
        """What the link shows to whoever has it."""
        return self._request("GET", link, {"Accept": "application/json"})

    def claim(self, link: str) -> Answer:
        """Spend the link; 303 with a Location for the first, 410 for every other."""
        return self._request("POST", link, {"Accept": "application/json"}, b"")

    def put_file(self, upload: Mapping[str, Any], path: Path, advance: Advance) -> None:
        """Send a file to a presigned URL. Raises ServiceError unless it is taken."""
        with path.open("rb") as file:
            response = self._pool.request(
                upload["method"],
                upload["url"],
                body=chunks(file, advance),
                headers={**upload["headers"], "Content-Length": str(path.stat().st_size)},
            )
        if response.status != 200:
            raise ServiceError(f"The upload was refused with {response.status}: {response.data.decode()[:500]}")

    def download(self, url: str, path: Path, advance: Advance) -> int:
        """Save what a presigned URL gives; the file appears when it is complete. Returns its size in bytes."""
        response = self._pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                raise ServiceError(f"The download was refused with {response.status}: {response.read(500).decode()}")
            partial = path.with_name(f".{path.name}.part")
            try:
                with partial.open("wb") as file:
                    for chunk in response.stream(CHUNK_BYTES):
                        file.write(chunk)
                        advance(len(chunk))
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        finally:
            response.release_conn()
        return path.stat().st_size

    def _signed(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Answer:
        url = self._access.api_url + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        data = json.dumps(body).encode() if body is not None else b""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        request = AWSRequest(method, url, data=data, headers=headers)
        credentials = Credentials(self._access.access_key_id, self._access.secret_access_key)
        SigV4Auth(credentials, "execute-api", self._access.region).add_auth(request)
        return self._request(method, url, dict(request.headers.items()), data)

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        try:
            response = self._pool.request(method, url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceError(f"The embedded AWS does not answer: {error}") from error
        try:
            document = json.loads(response.data)
        except ValueError:
            document = {}
        return Answer(response.status, response.headers, document if isinstance(document, dict) else {})

    def _expect(self, status: int, answer: Answer) -> dict[str, Any]:
        if answer.status != status:
            raise ServiceError(f"The API refused: {answer.problem}")
        return answer.document


def chunks(file: BinaryIO, advance: Advance) -> Iterator[bytes]:
    """The content of a file, piece by piece; `advance` hears how many bytes each has."""
    while chunk := file.read(CHUNK_BYTES):
        advance(len(chunk))
        yield chunk
