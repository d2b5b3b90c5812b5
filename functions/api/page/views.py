"""What the page shows of each state, as HTML: the same that its script shows, so that nothing jumps when that begins.

A test holds the two against each other, state by state. What only people without JavaScript need is in ``noscript``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from api.page.figures import Figures, names_of_formats
from api.page.languages import Language
from api.requests import ANOTHER_FIELD, CONFIRMED_FIELD, METHOD_FIELD
from audiojobs.job import Job, Notice, Status, rfc3339
from audiojobs.objects import PresignedForm
from audiojobs.passphrases import MAX_PASSPHRASE_CHARACTERS
from audiojobs.settings import SLOW_BITS_A_SECOND, ApiSettings
from audiojobs.store import RECORD_SECONDS

_SLOW_SECONDS = 60
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
# The browsers inside mail and chat apps, by what they call themselves; many of them can't save an attachment.
_IN_APP = re.compile(
    r"FBAN|FBAV|Instagram|Line/|MicroMessenger|WhatsApp|Snapchat|TikTok|BytedanceWebview|LinkedInApp|GSA/|; wv\)"
)


@dataclass(frozen=True)
class Visit:
    """A job as somebody with its link sees it at a moment (``now``, Unix time).

    ``document`` is the job as JSON, with which the script begins. ``upload_form`` is there while the job takes a file.
    ``has_sent`` is set for who comes back from that form, ``wants_another`` for who wants it after a failure.
    """

    job: Job
    document: Mapping[str, Any]
    now: float
    settings: ApiSettings
    language: Language
    upload_form: PresignedForm | None = None
    user_agent: str = ""
    has_sent: bool = False
    wants_another: bool = False

    @property
    def is_in_app(self) -> bool:
        return _IN_APP.search(self.user_agent) is not None


@dataclass(frozen=True, slots=True)
class View:
    """The changing parts of the page; ``title``, ``lead`` and ``tab`` (its title there) are text, the others HTML.

    A title that is the name of a file may be cut; a sentence of ours is shown whole.
    """

    title: str
    lead: str
    content: str
    until: str = ""
    can_delete: bool = False
    reloads: bool = False
    tab: str = ""
    is_named_for_file: bool = True


def view_of(visit: Visit) -> View:
    return _Views(visit).view()


def question(visit: Visit) -> View:
    """Whether to delete, asked without JavaScript."""
    words = visit.language.texts["delete"]
    form = (
        f'<form method="post" class="row">{_hidden(METHOD_FIELD, "DELETE")}{_hidden(CONFIRMED_FIELD, "yes")}'
        f'<button class="danger">{escape(words["yes"])}</button>'
        f'<a class="button plain" href="?">{escape(words["no"])}</a></form>'
    )
    return View(visit.job.filename, words["question"], _paragraph(words["text"]) + form)


def claim_form(texts: Mapping[str, Any], size: str, *, needs_passphrase: bool) -> str:
    """What claims the link without JavaScript; ``size`` is that of the MP3 in words, empty where nobody may know it."""
    field, words = "", texts["passphrase"]
    if needs_passphrase:
        field = (
            f'<label for="passphrase">{escape(words["label"])}</label>'
            '<input type="password" id="passphrase" name="passphrase" required autocomplete="off"'
            f' maxlength="{MAX_PASSPHRASE_CHARACTERS}" aria-describedby="passphrase-note">'
            f'<p class="note" id="passphrase-note">{escape(words["note"])}</p>'
        )
    button = texts["download"]["button"].replace("{size}", size) if size else texts["download"]["button-short"]
    return f'<form method="post">{field}{_button(button)}</form>'


class _Views:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._job = visit.job
        self._texts = visit.language.texts
        self._figures = Figures(visit.language)

    def view(self) -> View:
        job, texts = self._job, self._texts
        if self._visit.has_sent:
            waiting = f'<progress aria-label="{escape(texts["upload"]["bar-waiting"])}"></progress>'
            content = waiting + _paragraph("", "note") + _without_script(texts["no-script"]["refresh"])
            return self._view("uploaded", content, reloads=True)
        match job.status:
            case Status.AWAITING_UPLOAD:
                return self._choose("awaiting-upload")
            case Status.PROCESSING:
                return self._view("processing", self._processing(), can_delete=True, reloads=True)
            case Status.READY:
                until = self._until("ready", span=self._figures.span(job.expires_at - self._visit.now))
                return self._view("ready", self._ready(), until=until, can_delete=True)
            case Status.CLAIMED:
                return self._view("claimed", self._claimed(), can_delete=True)
            case Status.PURGED:
                record = _filled(texts["hints"]["record"], moment=self._moment(job.expires_at + RECORD_SECONDS))
                return self._view("purged", _paragraph(texts["hints"]["purged"]) + f'<p class="note">{record}</p>')
            case Status.FAILED:
                if self._visit.wants_another and self._visit.upload_form:
                    return self._choose("failed")
                return self._view("failed", self._failed(), can_delete=True)
            case Status.EXPIRED:
                key = "expired-result" if job.result else "expired-upload"
                return self._view(key, _paragraph(texts["hints"][key]), can_delete=True)

    def _view(
        self, key: str, content: str, *, until: str = "", can_delete: bool = False, reloads: bool = False
    ) -> View:
        return View(self._job.filename, self._texts["leads"][key], content, until, can_delete, reloads, self._tab(key))

    def _tab(self, key: str) -> str:
        values = {"title": self._job.filename, "percent": self._figures.percent(self._job.progress)}
        text = self._texts["titles"].get({"processing": "progress"}.get(key, key), "{title}")
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text)

    def _choose(self, key: str) -> View:
        return self._view(key, self._drop(), until=self._until("waiting"), can_delete=True)

    def _drop(self) -> str:
        words, form = self._texts["upload"], self._visit.upload_form
        formats = words["formats"].replace("{size}", self._figures.size(self._visit.settings.max_upload_bytes))
        begun = self._job.multipart
        warning = (
            _paragraph(words["begun"].replace("{size}", self._figures.size(begun.size_bytes)), "warning")
            if begun
            else ""
        )
        fields = "".join(_hidden(name, value) for name, value in form.fields.items()) if form else ""
        action = f' method="post" enctype="multipart/form-data" action="{escape(form.url)}"' if form else ""
        button = (
            f"<noscript>{_paragraph(self._texts['no-script']['upload'], 'note')}"
            f"{_button(self._texts['no-script']['button'])}</noscript>"
            if form
            else ""
        )
        return (
            f'{warning}<form{action}>{fields}<label class="drop" for="file">{_ARROW}'
            f'<strong>{escape(words["drop"])}</strong><span class="soft">{escape(formats)}</span>'
            f'<input type="file" id="file" name="file" class="unseen" accept="{names_of_formats()["accept"]}" required>'
            f"</label>{button}</form>{_paragraph(words['private'], 'note')}"
        )

    def _processing(self) -> str:
        progress, source, words = self._job.progress, self._job.source, self._texts["conversion"]
        begun = progress > 0
        value = f' value="{progress}"' if begun else ""
        length = self._figures.clock(source.duration_seconds) if source and source.duration_seconds else ""
        return (
            f'<progress max="1"{value} aria-label="{escape(words["bar"])}"></progress><p class="figures">'
            f"<span>{escape(self._figures.percent(progress)) if begun else ''}</span>"
            f"<span>{escape(words['length'].replace('{length}', length)) if length else ''}</span></p>"
            + _without_script(self._texts["no-script"]["refresh"])
        )

    def _ready(self) -> str:
        words, job = self._texts["download"], self._job
        size = self._figures.size(job.result.size_bytes) if job.result else ""
        slow_seconds = -(-8 * job.result.size_bytes // SLOW_BITS_A_SECOND) if job.result else 0
        slow = words["slow"].replace("{slow}", self._figures.span(slow_seconds))
        window = self._figures.span(self._window_seconds())
        return "".join(
            (
                *(_paragraph(self._warning(warning), "warning") for warning in job.warnings),
                _paragraph(words["in-app"], "warning") if self._visit.is_in_app else "",
                self._facts(),
                _paragraph(words["unchanged"], "good") if job.result and job.result.passthrough else "",
                claim_form(self._texts, size, needs_passphrase=job.passphrase_hash is not None),
                _paragraph(words["once"].replace("{window}", window), "note"),
                _paragraph(slow, "note") if slow_seconds > _SLOW_SECONDS else "",
            )
        )

    def _claimed(self) -> str:
        hints = self._texts["hints"]
        seconds_left = (self._job.claimed_at or 0.0) + self._window_seconds() - self._visit.now
        if seconds_left > 0:
            left = f"<strong>{escape(self._figures.span(seconds_left))}</strong>"
            window = f"<p>{_filled(hints['claimed'], left=left)}</p>"
        else:
            window = _paragraph(hints["claimed-over"])
        return window + _paragraph(hints["claimed-by-another"]) + self._facts()

    def _failed(self) -> str:
        error, hints = self._job.error, self._texts["hints"]
        another = (
            f'<form><button class="wide" name="{ANOTHER_FIELD}" value="yes">'
            f"{escape(self._texts['upload']['button-another'])}</button></form>"
            if self._visit.upload_form
            else ""
        )
        hint = hints.get(error.code, hints["failed"]) if error else hints["failed"]
        return (self._error(error) if error else "") + _paragraph(hint) + another

    def _error(self, error: Notice) -> str:
        """In English as the engine says it; in other languages what its code means, with the English behind it."""
        words = self._texts["errors"]
        if error.declared_seconds:
            return _paragraph(
                words["declared"].replace("{declared}", self._figures.clock(error.declared_seconds)), "problem"
            )
        if self._visit.language.tag == "en" or error.code not in words:
            return _paragraph(error.detail, "problem")
        return (
            f'<div class="problem"><p>{escape(words[error.code])}</p><details>'
            f"<summary>{escape(words['original'])}</summary>"
            f'<p lang="en">{escape(error.detail)}</p></details></div>'
        )

    def _warning(self, warning: Notice) -> str:
        words, result = self._texts["warnings"], self._job.result
        if warning.declared_seconds and result:
            lengths = self._figures.two_lengths(warning.declared_seconds, result.duration_seconds)
            text = words["cut" if warning.code == "shorter-than-declared" else "partial"]
            return _PLACEHOLDER.sub(lambda match: lengths[match[1]], text)
        if self._visit.language.tag == "en":
            return warning.detail
        return str(words.get(warning.code, warning.detail))

    def _facts(self) -> str:
        result, source, words, figures = self._job.result, self._job.source, self._texts["facts"], self._figures
        if not result:
            return ""
        length = figures.clock(source.duration_seconds) if source and source.duration_seconds is not None else ""
        rows = (
            ("length", length, figures.clock(result.duration_seconds)),
            ("size", figures.size(source.size_bytes) if source else "", figures.size(result.size_bytes)),
            ("rate", figures.kilohertz(source.sample_rate) if source else "", figures.kilohertz(result.sample_rate)),
            ("channels", figures.channels(source.channels) if source else "", figures.channels(result.channels)),
            ("format", figures.format(source) if source else "", f"MP3, {figures.kilobits(result.bit_rate)}"),
        )
        return (
            f'<table><caption class="unseen">{escape(words["caption"])}</caption><thead><tr><td></td>'
            f'<th scope="col">{escape(words["before"])}</th><th scope="col">{escape(words["after"])}</th></tr></thead>'
            f"<tbody>{''.join(self._rows(rows))}</tbody></table>"
        )

    def _rows(self, rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
        for name, before, after in rows:
            heading = escape(self._texts["facts"][name])
            yield f'<tr><th scope="row">{heading}</th><td>{escape(before)}</td><td>{escape(after)}</td></tr>'

    def _window_seconds(self) -> int:
        return self._visit.settings.download_window_for(self._job.result.size_bytes if self._job.result else 0)

    def _until(self, key: str, **values: str) -> str:
        escaped = {name: escape(value) for name, value in values.items()}
        return _filled(self._texts["until"][key], moment=self._moment(self._job.expires_at), **escaped)

    def _moment(self, moment: float) -> str:
        return f'<time datetime="{rfc3339(moment)}">{escape(self._figures.moment(moment))}</time>'


_ARROW = (
    '<svg viewBox="0 0 24 24" aria-hidden="true">'
    '<path d="M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3"/></svg>'
)


def _filled(text: str, **values: str) -> str:
    """A text with HTML at its placeholders."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], escape(text, quote=False))


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _button(text: str) -> str:
    return f'<button class="wide">{escape(text)}</button>'


def _without_script(text: str) -> str:
    return f"<noscript>{_paragraph(text, 'note')}</noscript>"


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
