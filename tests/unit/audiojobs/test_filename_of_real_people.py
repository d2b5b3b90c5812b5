"""Names with a no-break or ideographic space or a joined emoji were refused, and came back with underscores.

A name of 255 characters came back longer than file systems take, and nothing was saved.
"""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from api.requests import parse_job_request
from audiojobs.errors import InvalidRequest
from audiojobs.objects import content_disposition
from tests.unit.samples import api_job

NAMES = [
    "Screen Recording 2026-01-31 at 1.02.03\u202fPM.m4a",
    "Dave\u2019s\u00a0song.wav",
    "\u97f3\u697d\u3000\u4e00.wav",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.wav",
    "\u0645\u0648\u0633\u064a\u0642\u0649.wav",
    "e\u0301.wav",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_they_are_taken_and_come_back_as_they_are(name: str) -> None:
    request = parse_job_request(f'{{"filename": "{name}"}}')

    assert request.filename == name
    assert unquote(content_disposition(name, job_id="0f8d3c1e").partition("UTF-8''")[2]) == name


@pytest.mark.parametrize(
    "character",
    ["\\u0000", "\\n", "\\u001b", "\\u007f", "\\u0085", "\\u2028", "\\u202e", "\\u2066", "\\ud800"],
)
def test_what_steers_or_turns_text_is_refused(character: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_job_request(f'{{"filename": "a{character}b.wav"}}')

    assert refusal.value.field == "filename"


@pytest.mark.parametrize("stem", ["x" * 251, "\u97f3" * 251, "\U0001f3b5" * 251], ids=["ascii", "three", "four"])
def test_the_longest_names_can_be_saved(stem: str) -> None:
    name = api_job(filename=f"{stem}.wav").download_filename

    assert len(name.encode()) <= 255
    assert name.endswith(".32k.mp3")
    assert stem.startswith(name.removesuffix(".32k.mp3"))
