"""The languages of the page: which one a browser gets, and that each has every word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from api.page.figures import Figures
from api.page.languages import ENGLISH, LANGUAGES, Language, choose_language
from audiojobs.errors import AudioJobError
from audiojobs.job import Source, Status
from resample.engine.ffmpeg.probe import _CODECS
from resample.formats import containers
from tests.unit.api.test_api_links import stored
from tests.unit.cloud import Cloud
from tests.unit.documents.test_documentation import errors
from tests.unit.gateway import BROWSER, Api
from tests.unit.samples import api_job

FOLDER = Path(containers.__file__).parents[2] / "api" / "page"
# Told to Lambda, to signed callers, and to scripts of other sites.
NEVER_ON_THE_PAGE = {"job-busy", "idempotency-key-reused", "cross-origin-claim"}
PLACEHOLDER = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize(
    ("header", "tag", "locale"),
    [
        (None, "en", "en-GB"),
        ("", "en", "en-GB"),
        ("de", "de", "de"),
        ("DE-ch", "de", "de-CH"),
        ("de-AT,de;q=0.9,en;q=0.8", "de", "de-AT"),
        ("en;q=0.8,fr;q=0.9", "fr", "fr"),
        ("pl,fr;q=0.5,en;q=0.4", "fr", "fr"),
        ("pl, ru", "en", "en-GB"),
        ("en-US,de;q=0.7", "en", "en-US"),
        ("zh-Hant-TW, es-419;q=0.5", "es", "es-419"),
        ("*", "en", "en-GB"),
        ("pl, *;q=0.5", "en", "en-GB"),
        ("en;q=0, *", "de", "de"),
        ("ja;q=0, de;q=0.001", "de", "de"),
        ("ja;q=0", "en", "en-GB"),
        ("de;q=0.5,fr;q=0.5", "de", "de"),
        ("fr;q=0.5,de;q=0.5", "fr", "fr"),
        ("de;q=1.001, fr;q=0.1", "fr", "fr"),
        ("de;q=high, <script>, es", "es", "es"),
        ("de ; Q=0.2 , es;q=0.3", "es", "es"),
        (",".join(["xx"] * 1000) + ",de", "en", "en-GB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_language_that_the_browser_likes_best_of_those_there_are(header: str | None, tag: str, locale: str) -> None:
    assert choose_language(header) == Language(tag, locale)


def words(texts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every text by its path; plural forms are one text."""
    for name, value in texts.items():
        if isinstance(value, dict) and "other" not in value:
            yield from words(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_language_has_every_text_with_the_same_placeholders(tag: str) -> None:
    english, texts = (
        dict(words(json.loads((FOLDER / "texts" / f"{one}.json").read_text("utf-8")))) for one in ("en", tag)
    )

    assert list(texts) == list(english)
    for name, text in texts.items():
        forms = {
            one: set(PLACEHOLDER.findall(json.dumps(form)))
            for one, form in (text.items() if isinstance(text, dict) else [("", text)])
        }
        assert set().union(*forms.values()) == set(PLACEHOLDER.findall(json.dumps(english[name]))), name
        assert len({frozenset(placeholders) for placeholders in forms.values()}) == 1, name
        assert all(
            part.strip() for part in (text.values() if isinstance(text, dict) else [text]) if isinstance(part, str)
        )


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_language_has_the_plural_forms_that_whole_numbers_take(tag: str) -> None:
    """Unicode CLDR: Japanese has one form for all, the others have two for what is counted here."""
    wanted = {"other"} if tag == "ja" else {"one", "other"}

    for name, text in words(Language(tag, tag).texts):
        if isinstance(text, dict):
            assert set(text) == wanted, name


def test_every_language_has_a_file_and_every_file_a_language() -> None:
    assert sorted(path.stem for path in (FOLDER / "texts").iterdir()) == sorted(LANGUAGES)


def test_every_text_is_used() -> None:
    code = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.*") if path.suffix in (".js", ".py", ".html"))
    codes = {kind.code for kind in errors(AudioJobError)} | {str(status) for status in Status}
    spoken = {"hints", "leads", "errors", "warnings", "refusals", "titles"}  # by a code or a state

    for name, _ in words(ENGLISH.texts):
        section, _, key = name.rpartition(".")
        if section in spoken and (key in codes or section in ("warnings", "leads", "titles")):
            continue
        assert re.search(rf"\b{re.escape(key)}\b", code), name


@pytest.mark.parametrize("kind", sorted(errors(AudioJobError), key=lambda kind: str(kind)), ids=lambda kind: kind.code)
def test_every_error_has_its_words(kind: type[AudioJobError]) -> None:
    texts = ENGLISH.texts

    if kind.code in NEVER_ON_THE_PAGE:
        return
    assert kind.code in {*texts["refusals"], *texts["errors"]}
    for said in (texts["refusals"].get(kind.code, [kind.title])[0], texts["errors"].get(kind.code, "").split(". ")[0]):
        assert not said or said.rstrip(".") == kind.title, "the same as the API says"


def test_every_warning_has_its_words() -> None:
    functions = FOLDER.parents[1]
    engine = "".join(path.read_text("utf-8") for path in (functions / "resample").rglob("*.py"))
    codes = set(re.findall(r'Notice\(\s*"([a-z-]+)"', engine))

    assert codes
    assert codes <= set(ENGLISH.texts["warnings"])


# ---------------------------------------------------------------- what the browser gets


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("status", list(Status), ids=str)
def test_the_page_is_in_the_language_of_the_browser(api: Api, cloud: Cloud, status: Status, tag: str) -> None:
    _, token = stored(cloud, api_job(status))

    answer = api.get(f"/d/{token}", headers={**BROWSER, "Accept-Language": f"{tag},en;q=0.1"})

    assert answer.headers["Content-Language"] == tag
    assert "Accept-Language" in answer.headers["Vary"]
    assert f'<html lang="{tag}">' in answer.body
    assert Language(tag, tag).texts["promise"] in answer.body
    visible = re.sub(r"<(script|style).*?</\1>", "", answer.body, flags=re.DOTALL)
    assert not re.search(r"\{[a-z]+\}", visible), "every placeholder is filled"


def test_a_refusal_is_in_the_language_of_the_browser(api: Api) -> None:
    answer = api.get("/d/x", headers={**BROWSER, "Accept-Language": "fr"})

    assert (answer.status, answer.headers["Content-Language"]) == (404, "fr")
    assert "Cette tâche n’existe pas" in answer.body


def test_what_scripts_get_stays_english(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job(Status.FAILED))

    answer = api.get(f"/d/{token}", headers={"Accept-Language": "de"})
    refusal = api.post(f"/d/{token}", headers={"Accept-Language": "de"})

    assert "Content-Language" not in answer.headers
    assert answer.json()["error"]["detail"].startswith("The file ends")
    assert refusal.json()["title"] == "The result is not ready"


# ---------------------------------------------------------------- figures


def figures(locale: str) -> Figures:
    return Figures(Language(locale[:2], locale))


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("en-GB", "4.4\u00a0MB"),
        ("de", "4,4\u00a0MB"),
        ("de-CH", "4.4\u00a0MB"),
        ("fr", "4,4\u00a0Mo"),
        ("es", "4,4\u00a0MB"),
        ("es-MX", "4.4\u00a0MB"),
        ("ja", "4.4\u00a0MB"),
    ],
)
def test_a_size_is_written_as_people_write_numbers_there(locale: str, said: str) -> None:
    assert figures(locale).size(4_360_000) == said


@pytest.mark.parametrize(
    ("locale", "seconds", "said"),
    [
        ("en-GB", 0, "0 seconds"),
        ("en-GB", 1, "1 second"),
        ("en-GB", 119.4, "119 seconds"),
        ("en-GB", 120, "2 minutes"),
        ("en-GB", 7199, "120 minutes"),
        ("en-GB", 7200, "2 hours"),
        ("en-GB", 172_800, "2 days"),
        ("de", 1, "1 Sekunde"),
        ("fr", 0, "0 seconde"),
        ("fr", 1, "1 seconde"),
        ("fr", 2, "2 secondes"),
        ("es", 0, "0 segundos"),
        ("ja", 1, "1\u00a0秒"),
        ("en-GB", -5, "0 seconds"),
    ],
)
def test_a_span_of_time_has_the_plural_of_its_language(locale: str, seconds: float, said: str) -> None:
    assert figures(locale).span(seconds) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1\u00a0kB"),
        (4_250_000, "4.3\u00a0MB"),
        (9_949_999, "9.9\u00a0MB"),
        (9_950_000, "10\u00a0MB"),
        (999_499, "999\u00a0kB"),
        (999_500, "1.0\u00a0MB"),
        (2_048_000_000, "2.0\u00a0GB"),
    ],
)
def test_a_size_has_two_or_three_figures(size_bytes: int, said: str) -> None:
    assert figures("en-GB").size(size_bytes) == said


@pytest.mark.parametrize(
    ("locale", "figure", "value", "said"),
    [
        ("en-GB", "clock", 0, "0:00"),
        ("en-GB", "clock", 59.4, "0:59"),
        ("en-GB", "clock", 59.5, "1:00"),
        ("en-GB", "clock", 3599, "59:59"),
        ("en-GB", "clock", 3600, "1:00:00"),
        ("en-GB", "clock", 90_061, "25:01:01"),
        ("en-GB", "percent", 0.0, "0%"),
        ("en-GB", "percent", 0.999, "99%"),
        ("de", "percent", 1.0, "100\u00a0%"),
        ("en-GB", "kilohertz", 8000, "8\u00a0kHz"),
        ("en-GB", "kilohertz", 44_100, "44.1\u00a0kHz"),
        ("de", "kilohertz", 11_025, "11,025\u00a0kHz"),
        ("en-GB", "kilohertz", 2_822_400, "2822.4\u00a0kHz"),
        ("en-GB", "kilobits", 192_000, "192\u00a0kb/s"),
        ("en-GB", "kilobits", 127_499, "127\u00a0kb/s"),
        ("en-GB", "kilobits", 127_500, "128\u00a0kb/s"),
        ("en-GB", "channels", 1, "mono"),
        ("en-GB", "channels", 2, "stereo"),
        ("en-GB", "channels", 3, "3 channels"),
        ("en-GB", "moment", 1_769_860_800.9, "2026-01-31 12:00 UTC"),
    ],
)
def test_every_figure_is_written_as_people_write_it(locale: str, figure: str, value: float, said: str) -> None:
    assert getattr(figures(locale), figure)(value) == said


@pytest.mark.parametrize(
    ("container", "codec", "locale", "said"),
    [
        ("wav", "pcm_s16le", "en-GB", "WAV, 16-bit"),
        ("wav", "pcm_s16le", "fr", "WAV, 16\u00a0bits"),
        ("aiff", "pcm_s24be", "de", "AIFF, 24\u00a0Bit"),
        ("wav", "pcm_u8", "en-GB", "WAV, 8-bit"),
        ("caf", "pcm_f32le", "en-GB", "CAF, 32-bit float"),
        ("au", "pcm_mulaw", "en-GB", "AU, \u03bc-law"),
        ("mp3", "mp3", "en-GB", "MP3"),
        ("mp4", "aac", "en-GB", "MP4, AAC"),
        ("ogg", "opus", "en-GB", "Ogg, Opus"),
        ("mov", "pcm_bluray", "en-GB", "MOV, PCM BLURAY"),
    ],
)
def test_a_format_is_named_as_people_name_it(container: str, codec: str, locale: str, said: str) -> None:
    assert figures(locale).format(Source(container, codec, 44_100, 2, 1.0, 1)) == said


def test_every_container_and_codec_that_is_taken_has_a_name() -> None:
    names = json.loads((FOLDER / "formats.json").read_text("utf-8"))
    taken = {value.name for value in vars(containers).values() if isinstance(value, containers.Container)}

    assert taken <= set(names["containers"])
    assert all(_CODECS.fullmatch(codec) for codec in names["codecs"])
    listed = {codec for codec in re.findall(r"[a-z0-9_]+", _CODECS.pattern) if _CODECS.fullmatch(codec)}
    assert listed <= set(names["codecs"])


def test_two_lengths_are_told_as_exactly_as_it_takes() -> None:
    assert figures("en-GB").two_lengths(60, 12.4) == {"declared": "1:00", "there": "0:12"}
    assert figures("de").two_lengths(3.25, 3.1) == {"declared": "3,25\u00a0s", "there": "3,1\u00a0s"}
