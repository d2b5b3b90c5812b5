"""The page behind a one-time link: what the job is, and a button that claims.

One self-contained document without scripts; everything that came from outside is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from audiojobs.errors import RequestError
from audiojobs.job import Job, Status, rfc3339

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 34rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dd { margin: 0; }
button { font: inherit; font-weight: 600; padding: .7rem 1.4rem; border: 0; border-radius: .5rem;
  background: #1f5fbf; color: #fff; cursor: pointer; }
button:focus-visible { outline: 3px solid #f5a623; outline-offset: 2px; }
progress { width: 100%; }
"""

_REFRESH_SECONDS = 3

_SENTENCES = {
    Status.AWAITING_UPLOAD: "The file has not been uploaded yet.",
    Status.PROCESSING: "The file is being resampled. This page looks again by itself.",
    Status.CLAIMED: "The file was already claimed. The link works once, and it is spent.",
    Status.PURGED: "The file was downloaded or deleted. Nothing of it is kept.",
    Status.EXPIRED: "The link has expired, and the file is deleted. Please ask for the file to be sent again.",
}


def content_security_policy(download_origin: str) -> str:
    """Our own style, our own form, and where a claim redirects to: browsers hold a form to its redirects too."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self' {download_origin};"
        " base-uri 'none'; frame-ancestors 'none'"
    )


def job_page(job: Job, *, download_window_seconds: int) -> str:
    """The page of a job, as it is now."""
    match job.status:
        case Status.READY:
            content = _ready(job, download_window_seconds)
        case Status.FAILED:
            reason = job.error.detail if job.error else "No reason is known."
            content = f"<p>The file could not be resampled.</p><p><strong>{escape(reason)}</strong></p>"
        case Status.PROCESSING:
            content = (
                f"<p>{_SENTENCES[job.status]}</p>"
                f'<progress max="1" value="{job.progress}" aria-label="Progress">{job.progress:.0%}</progress>'
            )
        case _:
            content = f"<p>{_SENTENCES[job.status]}</p>"
    waits = job.status in (Status.AWAITING_UPLOAD, Status.PROCESSING)
    return _document(job.filename, content, refresh=waits)


def refusal_page(error: RequestError) -> str:
    """The page for what can't be given; the same for every cause of an unknown link."""
    is_plain = error.detail == f"{error.title}."
    return _document(error.title, "" if is_plain else f"<p>{escape(error.detail)}</p>")


def _ready(job: Job, download_window_seconds: int) -> str:
    result = job.result
    facts = (
        {
            "Length": _clock(result.duration_seconds),
            "Size": f"{result.size_bytes / 1e6:,.1f} MB",
            "Format": f"MP3, {result.sample_rate / 1000:g} kHz, {result.bit_rate / 1000:.0f} kb/s",
            "Kept until": rfc3339(job.expires_at).replace("T", " ").replace("Z", " UTC"),
        }
        if result
        else {}
    )
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        f"<dl>{rows}</dl>"
        '<form method="post"><button>Download</button></form>'
        "<p>The link works once. A broken download can be resumed for "
        f"{_duration(download_window_seconds)}; then the file is deleted.</p>"
    )


def _document(title: str, content: str, *, refresh: bool = False) -> str:
    look_again = f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{look_again}<title>{escape(title)} - Audio Resampler</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{content}</main></body></html>"
    )


def _clock(seconds: float) -> str:
    """83.2 -> 1:23."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _duration(seconds: int) -> str:
    """300 -> 5 minutes."""
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
