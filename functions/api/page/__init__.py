"""The page behind a one-time link: what the job is, and what can be done with it.

Style, scripts and words are files beside ``page.html`` and become one document that asks nobody else for anything. Here
the state is filled in, escaped, so that the page says the same without JavaScript, where Download is a plain form. With
it, the script reads the job as JSON from the same address.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from audiojobs.errors import AudioJobError, JobNotFound, PassphraseRequired, WrongPassphrase
from audiojobs.job import Job, Status, rfc3339
from audiojobs.passphrases import MAX_PASSPHRASE_CHARACTERS
from audiojobs.settings import LONGEST_WINDOW_SECONDS, ApiSettings

_FOLDER = Path(__file__).parent
_SCRIPTS = ("page.js", "nodes.js", "upload.js", "parts.js", "download.js")
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")
_REFRESH = '<noscript><meta http-equiv="refresh" content="3"></noscript>'


def content_security_policy(*, upload_origin: str, download_origin: str) -> str:
    """Our own style and script by their hashes, and requests to nobody but us and the upload bucket.

    A claim without JavaScript is a form that is redirected to the result bucket: browsers hold a form to its
    redirects too. The script can't make markup from text at all (Trusted Types).
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of(_script())}",
            f"style-src {_hash_of(_style())}",
            "img-src data:",
            f"connect-src 'self' {upload_origin}",
            f"form-action 'self' {download_origin}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def job_page(job: Job, settings: ApiSettings) -> str:
    """The page of a job, as it is now."""
    lead = _texts()["leads"][_text_key(job)]
    waits = job.status in (Status.AWAITING_UPLOAD, Status.PROCESSING)
    return _filled(settings, title=job.filename, lead=lead, content=_content(job, settings), refresh=waits)


def refusal_page(error: AudioJobError, settings: ApiSettings) -> str:
    """The page for what can't be given; the same for every cause of an unknown link."""
    if isinstance(error, JobNotFound):
        texts = _texts()
        return _filled(
            settings, title=error.title, lead=texts["leads"]["unknown"], content=_paragraph(texts["hints"]["unknown"])
        )
    again = isinstance(error, (PassphraseRequired, WrongPassphrase))
    return _filled(
        settings, title=error.title, lead=error.detail, content=_claim_form(needs_passphrase=True) if again else ""
    )


def _claim_form(*, needs_passphrase: bool) -> str:
    """What claims the link without JavaScript."""
    field = ""
    if needs_passphrase:
        words = _texts()["passphrase"]
        field = (
            f'<label for="passphrase">{escape(words["label"])}</label>'
            '<input type="password" id="passphrase" name="passphrase" required autocomplete="off"'
            f' maxlength="{MAX_PASSPHRASE_CHARACTERS}" aria-describedby="passphrase-note">'
            f'<p class="note" id="passphrase-note">{escape(words["note"])}</p>'
        )
    return f'<form method="post">{field}<button class="wide">Download</button></form>'


def _content(job: Job, settings: ApiSettings) -> str:
    """What stands below the sentence about the state; the script replaces it."""
    texts = _texts()
    match job.status:
        case Status.AWAITING_UPLOAD:
            return _without_script(texts["no-script-upload"])
        case Status.PROCESSING:
            return (
                f'<progress max="1" value="{job.progress}" aria-label="Conversion">{job.progress:.0%}</progress>'
                + _without_script(texts["no-script-refresh"])
            )
        case Status.READY:
            return (
                "".join(_paragraph(warning.detail, "warning") for warning in job.warnings)
                + _facts(job)
                + _claim_form(needs_passphrase=job.passphrase_hash is not None)
                + _paragraph(_with_window(texts["once"], settings, job), "note")
            )
        case Status.FAILED:
            code = job.error.code if job.error else ""
            return (_paragraph(job.error.detail, "problem") if job.error else "") + _paragraph(
                texts["hints"].get(code, texts["hints"]["failed"])
            )
        case _:
            return _paragraph(_with_window(texts["hints"][_text_key(job)], settings, job))


def _facts(job: Job) -> str:
    result = job.result
    if not result:
        return ""
    rows = {
        "Length": _clock(result.duration_seconds),
        "Size": f"{result.size_bytes / 1e6:,.1f} MB",
        "Format": f"MP3, {result.sample_rate / 1000:g} kHz, {result.bit_rate / 1000:.0f} kb/s",
        "Kept until": rfc3339(job.expires_at).replace("T", " ").replace("Z", " UTC"),
    }
    cells = "".join(f'<tr><th scope="row">{name}</th><td>{escape(value)}</td></tr>' for name, value in rows.items())
    return f"<table><tbody>{cells}</tbody></table>"


def _filled(settings: ApiSettings, *, title: str, lead: str, content: str, refresh: bool = False) -> str:
    values = {
        "title": escape(title),
        "lead": escape(lead),
        "content": content,
        "refresh": _REFRESH if refresh else "",
        "download_window_seconds": str(settings.download_window_seconds),
        "longest_window_seconds": str(LONGEST_WINDOW_SECONDS),
        "max_upload_bytes": str(settings.max_upload_bytes),
    }
    # In one pass: what was filled in is never looked at again, whatever a file is called.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], _document())


@cache
def _document() -> str:
    """The page with everything in it that is the same for every job."""
    same = {"style": _style(), "script": _script(), "texts": _text("texts.json")}
    return _PLACEHOLDER.sub(lambda match: same.get(match[1], match[0]), _text("page.html"))


@cache
def _style() -> str:
    return "\n" + _text("page.css")


@cache
def _script() -> str:
    """One script in a scope of its own; it begins by looking at the job."""
    return "\n".join(["", '"use strict";', "(() => {", *map(_text, _SCRIPTS), "look();", "})();", ""])


@cache
def _texts() -> Mapping[str, Any]:
    """The page's own words, which the script reads too."""
    texts: Mapping[str, Any] = json.loads(_text("texts.json"))
    return texts


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash_of(inline: str) -> str:
    """The source expression that allows one inline script or style."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _text_key(job: Job) -> str:
    if job.status is Status.EXPIRED:
        return "expired-result" if job.result else "expired-upload"
    return str(job.status)


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _without_script(text: str) -> str:
    return f"<noscript>{_paragraph(text)}</noscript>"


def _with_window(text: str, settings: ApiSettings, job: Job) -> str:
    seconds = settings.download_window_for(job.result.size_bytes if job.result else 0)
    return text.replace("{window}", _duration(seconds))


def _clock(seconds: float) -> str:
    """83.2 -> 1:23, 3723 -> 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _duration(seconds: int) -> str:
    """300 -> 5 minutes."""
    if seconds >= 120:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
