"""The page by itself, in any state and language, without AWS: a web site on loopback, and a bucket that takes uploads.

What the page does against the real API is in `test_page.py`; here is how it looks, and that it says the same with and
without its script.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.page import content_security_policy, job_page, question_page, refusal_page
from api.page.languages import choose_language
from api.page.views import Visit
from audiojobs.errors import AlreadyDownloaded, AudioJobError, JobNotFound, WrongPassphrase
from audiojobs.job import Job, MultipartUpload, Notice, Origin, Result, Source, Status, rfc3339
from audiojobs.objects import PresignedForm
from audiojobs.settings import ApiSettings

LONG_NAME = (
    "Interview with Ada about the early days of the laboratory, recorded on a Tuesday, part 2 of 3 (final, really).wav"
)
SOURCE = Source("wav", "pcm_s24le", 44_100, 2, 2834.6, 749_983_244)
RESULT = Result(32_000, 192_000, 2, 2834.6, 68_030_000, passthrough=False)
PARTIAL = Notice("truncated-audio", "The file declares 60.000 seconds of sound; 12.400 could be decoded.", 60.0)
TRACKS = Notice("one-of-several-tracks", "The file has 2 audio tracks; track 1 was converted.")
PDF = Notice(
    "unsupported-format", "This is a PDF document. Please send WAV, MP3, FLAC, Ogg, M4A, WebM, WMA, AMR, AIFF or AAC."
)

SETTINGS = ApiSettings(jobs_table="jobs", upload_bucket="uploads", result_bucket="results", purge_queue_url="queue")


def job(status: Status, **values: Any) -> Job:
    """An API job, an hour old."""
    now = time.time()
    begun = Job(
        id="0" * 32,
        status=status,
        origin=Origin.API,
        upload_key=f"jobs/{'0' * 32}",
        filename=LONG_NAME,
        created_at=now - 3600,
        updated_at=now - 60,
        expires_at=now + 23 * 3600,
        delete_at=int(now) + 8 * 86_400,
    )
    if status in (Status.READY, Status.CLAIMED, Status.PURGED):
        begun = replace(begun, source=SOURCE, result=RESULT, progress=1.0)
    return replace(begun, **values)


@dataclass(frozen=True)
class State:
    """What the page is made from: a job (`None` for an error), and what was asked for with it."""

    make: Callable[[], Job | AudioJobError]
    query: str = ""
    has_sent: bool = False
    asks: bool = False
    user_agent: str = ""


STATES: dict[str, State] = {
    "awaiting-upload": State(lambda: job(Status.AWAITING_UPLOAD)),
    "begun-in-parts": State(
        lambda: job(Status.AWAITING_UPLOAD, multipart=MultipartUpload("id", 749_983_244, 5_242_880))
    ),
    "processing-not-begun": State(lambda: job(Status.PROCESSING)),
    "processing": State(lambda: job(Status.PROCESSING, progress=0.437, source=SOURCE)),
    "ready": State(lambda: job(Status.READY)),
    "ready-warning": State(lambda: job(Status.READY, warnings=(TRACKS,))),
    "ready-partial": State(
        lambda: job(
            Status.READY,
            warnings=(PARTIAL, TRACKS),
            source=replace(SOURCE, duration_seconds=12.4, size_bytes=2_187_404),
            result=replace(RESULT, duration_seconds=12.4, size_bytes=298_000),
        )
    ),
    "ready-unchanged": State(
        lambda: job(
            Status.READY,
            filename="song.mp3",
            source=Source("mp3", "mp3", 32_000, 2, 181.25, 4_350_000),
            result=Result(32_000, 192_000, 2, 181.25, 4_350_000, passthrough=True),
        )
    ),
    "ready-passphrase": State(lambda: job(Status.READY, passphrase_hash="any")),
    "ready-in-app": State(lambda: job(Status.READY), user_agent="Instagram 300.0"),
    "ready-no-source": State(lambda: job(Status.READY, source=None)),
    "claimed": State(lambda: job(Status.CLAIMED, claimed_at=time.time() - 60)),
    "claimed-over": State(lambda: job(Status.CLAIMED, claimed_at=time.time() - 7200)),
    "purged": State(lambda: job(Status.PURGED, deleted_at=time.time())),
    "expired": State(lambda: job(Status.EXPIRED, result=RESULT)),
    "never-uploaded": State(lambda: job(Status.EXPIRED)),
    "failed": State(lambda: job(Status.FAILED, error=PARTIAL, origin=Origin.DIRECT)),
    "failed-second-chance": State(lambda: job(Status.FAILED, error=PDF)),
    "failed-by-us": State(
        lambda: job(Status.FAILED, error=Notice("internal-error", "Something went wrong on our side."), retryable=True)
    ),
    "not-found": State(lambda: JobNotFound()),
}

# What only people without JavaScript see.
FORMS: dict[str, State] = {
    "another": State(lambda: job(Status.FAILED, error=PDF), query="another=yes"),
    "sent": State(lambda: job(Status.AWAITING_UPLOAD), has_sent=True),
    "question": State(lambda: job(Status.READY), asks=True),
    "refused": State(lambda: AlreadyDownloaded()),
    "wrong-passphrase": State(lambda: WrongPassphrase("The passphrase is wrong. 9 tries are left.")),
}


@dataclass
class Site:
    """`address` is where it is; `uploads` says what becomes of an upload: "hang", "break", "conflict" or a status."""

    address: str
    uploads: str | int = 200
    job: dict[str, Any] = field(default_factory=dict)
    """What replaces members of every job as JSON, after the page was loaded."""

    def link(self, state: str, *, script: bool = True) -> str:
        given = {**STATES, **FORMS}[state]
        return f"{self.address}/d/{state}?{given.query}&{'' if script else 'without-script'}"


@contextmanager
def page_site() -> Iterator[Site]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.site = Site(f"http://127.0.0.1:{server.server_port}")
        server.ending = threading.Event()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.site
        finally:
            server.ending.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    site: Site
    ending: threading.Event


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on standard error."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = parse_qs(address.query, keep_blank_values=True)
        state = {**STATES, **FORMS}.get(address.path.removeprefix("/d/"))
        if state is None:
            return self._answer(200, "audio/mpeg", "MP3")
        made = state.make()
        if "text/html" not in self.headers.get("Accept", ""):
            if isinstance(made, AudioJobError):
                return self._answer(made.http_status, "application/problem+json", "{}")
            return self._answer_json({**self._document(made), **self.server.site.job})
        html = self._page(state, made)
        if "without-script" in query:
            html = html.replace("start();\n})();", "})();")
        return self._answer(made.http_status if isinstance(made, AudioJobError) else 200, "text/html", html)

    def do_POST(self) -> None:
        length = self._read()
        state, _, rest = urlsplit(self.path).path.removeprefix("/d/").partition("/")
        if rest == "upload":
            if self.server.site.uploads == "conflict":
                return self._refuse(409, "upload-conflict", "x")
            return self._answer_json({"part_size_bytes": 5 * 2**20, "part_count": 4, "parts": []})
        if rest == "upload/parts":
            to = {"method": "PUT", "url": f"{self.server.site.address}/bucket", "headers": {}}
            return self._answer_json({"parts": [{"number": number, **to} for number in range(1, 5)]})
        if length and state == "ready-passphrase":
            return self._refuse(403, "wrong-passphrase", "The passphrase is wrong. 9 tries are left.")
        claimed = {**job(Status.CLAIMED, claimed_at=time.time()).as_json()}
        download = {"url": f"{self.server.site.address}/song.32k.mp3", "expires_at": rfc3339(time.time() + 290)}
        return self._answer_json({**claimed, "download": download})

    def do_DELETE(self) -> None:
        self._answer(204, None, "")

    def do_PUT(self) -> None:
        if self.server.site.uploads == "hang":
            self.rfile.read(200_000)
            self.server.ending.wait(60)
        if isinstance(self.server.site.uploads, int):
            self._read()
            return self._answer(self.server.site.uploads, "text/plain", "")
        self.close_connection = True
        return None

    def _document(self, shown: Job) -> dict[str, Any]:
        takes = shown.awaits_upload
        upload: dict[str, Any] = {
            "method": "PUT",
            "url": f"{self.server.site.address}/bucket",
            "headers": {},
            "size_bytes": None,
        }
        begun = {"upload_in_parts": {"size_bytes": shown.multipart.size_bytes}} if shown.multipart else {}
        protected = {"passphrase_required": True} if shown.passphrase_hash else {}
        return {**shown.as_json(), **protected, **({"upload": upload} if takes else {}), **begun}

    def _page(self, state: State, made: Job | AudioJobError) -> str:
        language = choose_language(self.headers.get("Accept-Language"))
        if isinstance(made, AudioJobError):
            return refusal_page(made, SETTINGS, language)
        form = PresignedForm(f"{self.server.site.address}/bucket", {"key": made.upload_key, "policy": "e30="})
        visit = Visit(
            job=made,
            document=self._document(made),
            now=time.time(),
            settings=SETTINGS,
            language=language,
            upload_form=form if made.awaits_upload else None,
            user_agent=state.user_agent,
            has_sent=state.has_sent,
            wants_another="another" in state.query,
        )
        return question_page(visit) if state.asks else job_page(visit)

    def _read(self) -> int:
        return len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer_json(self, value: Any) -> None:
        self._answer(200, "application/json", json.dumps(value))

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._answer(status, "application/problem+json", json.dumps({"type": code, "detail": detail}))

    def _answer(self, status: int, kind: str | None, body: str) -> None:
        data = body.encode()
        origin = self.server.site.address
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
        if kind == "audio/mpeg":
            self.send_header("Content-Disposition", "attachment")
        if kind == "text/html" and "start();\n})();" in body:
            policy = content_security_policy(upload_origin=origin, download_origin=origin)
            self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # who cancels an upload does not wait for the answer
            self.wfile.write(data)
