"""The page behind a one-time link: what the job is, and what can be done with it.

Style, scripts and words are files beside ``page.html`` and become one document that asks nobody else for anything. The
state is filled in, escaped, so that the page says the same without JavaScript, where Download, Upload and Delete are
plain forms. The job comes along as JSON, so that the script begins with what people see already.
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

from api.page.languages import Language
from api.page.views import View, Visit, claim_form, question, view_of
from audiojobs.errors import AudioJobError, JobNotFound, PassphraseRequired, WrongPassphrase
from audiojobs.settings import LARGE_RESULT_BYTES, LONGEST_WINDOW_SECONDS, SLOW_BITS_A_SECOND, ApiSettings
from audiojobs.store import RECORD_SECONDS

_FOLDER = Path(__file__).parent
_SCRIPTS = ("page.js", "figures.js", "nodes.js", "upload.js", "parts.js", "download.js")
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")
_REFRESH = '<noscript><meta http-equiv="refresh" content="3"></noscript>'


def content_security_policy(*, upload_origin: str, download_origin: str) -> str:
    """Our own style and script by their hashes, and requests to nobody but us and the upload bucket.

    Without JavaScript, the upload is a form that goes to the upload bucket, and a claim one that is redirected to the
    result bucket: browsers hold a form to its redirects too. The script can't make markup from text at all (Trusted
    Types).
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of(_script())}",
            f"style-src {_hash_of(_style())}",
            "img-src data:",
            f"connect-src 'self' {upload_origin}",
            f"form-action 'self' {upload_origin} {download_origin}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def job_page(visit: Visit) -> str:
    """The page of a job, as it is now."""
    state = {"job": visit.document, "now": int(visit.now), "in_app": visit.is_in_app}
    return _filled(visit.settings, visit.language, view_of(visit), state)


def question_page(visit: Visit) -> str:
    """The page that asks whether to delete, for who pressed that button without JavaScript."""
    return _filled(visit.settings, visit.language, question(visit), {"job": None, "stays": True})


def refusal_page(error: AudioJobError, settings: ApiSettings, language: Language) -> str:
    """The page for what can't be given; the same for every cause of an unknown link."""
    refusals = language.texts["refusals"]
    title, lead = refusals.get(error.code, (error.title, error.detail))
    if language.tag == "en" and error.detail != f"{error.title}.":
        lead = error.detail
    unknown, content = isinstance(error, JobNotFound), ""
    if unknown:
        content = f"<p>{escape(refusals['compare'])}</p>"
    elif isinstance(error, (PassphraseRequired, WrongPassphrase)):
        content = claim_form(language.texts, "", needs_passphrase=True)
    stays = bool(content) and not unknown
    state = {"job": {"status": "unknown"} if unknown else None, **({"stays": True} if stays else {})}
    return _filled(settings, language, View(title, lead, content, is_named_for_file=False), state)


def _filled(settings: ApiSettings, language: Language, view: View, state: Mapping[str, Any]) -> str:
    titles, words = language.texts["titles"], language.texts["delete"]
    values = {
        "lang": language.tag,
        "locale": language.locale,
        "document_title": escape(titles["document"].replace("{title}", view.tab or view.title)),
        "title": escape(view.title),
        "title_class": "clamped" if view.is_named_for_file else "",
        "lead": escape(view.lead),
        "content": view.content,
        "until": view.until,
        "foot_hidden": "" if view.can_delete else " hidden",
        "promise": escape(language.texts["promise"]),
        **{f"delete_{name}": escape(words[name]) for name in ("button", "question", "text", "yes", "no")},
        "refresh": _REFRESH if view.reloads else "",
        "download_window_seconds": str(settings.download_window_seconds),
        "slow_bits_a_second": str(SLOW_BITS_A_SECOND),
        "large_result_bytes": str(LARGE_RESULT_BYTES),
        "longest_window_seconds": str(LONGEST_WINDOW_SECONDS),
        "record_seconds": str(RECORD_SECONDS),
        "max_upload_bytes": str(settings.max_upload_bytes),
        "texts": _data(language.texts),
        "state": _data(state),
    }
    # In one pass: what was filled in is never looked at again, whatever a file is called.
    return _PLACEHOLDER.sub(lambda match: values[match[1]], _document())


def _data(value: Any) -> str:
    """JSON that can stand in a ``script`` element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _document() -> str:
    """The page with everything in it that is the same for every job and language."""
    formats = _data(json.loads(_text("formats.json")))
    same = {"style": _style(), "script": _script(), "formats": formats}
    return _PLACEHOLDER.sub(lambda match: same.get(match[1], match[0]), _text("page.html"))


@cache
def _style() -> str:
    return "\n" + _text("page.css")


@cache
def _script() -> str:
    """One script in a scope of its own."""
    return "\n".join(["", '"use strict";', "(() => {", *map(_text, _SCRIPTS), "start();", "})();", ""])


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash_of(inline: str) -> str:
    """The source expression that allows one inline script or style."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
