"""Any key that S3 takes: its event, encoded as S3 does it, finds the object, and the result has a key that S3 takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from audiojobs.job import Status, direct_job_id
from audiojobs.objects import content_disposition
from resample.app import upload_events
from tests.unit.cloud import Cloud

MAX_KEY_BYTES = 1024
UNSHRUNK = (Phase.explicit, Phase.generate)

AWKWARD = [
    "a b+c.wav",
    " ",
    "+",
    "%",
    "%2B%20+ ",
    "/",
    "//",
    "a//b/",
    "..",
    "../../etc/passwd",
    "a/../b.wav",
    "./.",
    "jobs/../jobs/x",
    "~",
    "a\tb\x01c\x7f.wav",
    "line\nbreak\r.wav",
    "nul\x00byte",
    "\u202egpj.wav",
    "e\u0301 é.wav",
    "\U0001f3b5" * 256,
    "x" * 1024,
    "ä" * 512,
    "a/" * 512,
    "../" * 341,
    "s3://bucket/key?versionId=1#x",
    "$(reboot)`id`;&|<>'\"\\",
    "-rf",
    "file:x.wav",
    "CON.wav",
]

KEYS = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    st.text(" +%&=?#/.\\~*:\"'\t\n\x01é漢", min_size=1, max_size=60),
    st.lists(st.sampled_from(("..", ".", "", " ", "+", "a", "jobs", "ä" * 200)), min_size=2, max_size=8).map("/".join),
).filter(lambda key: len(key.encode()) <= MAX_KEY_BYTES)


def s3_event(bucket: str, key: str) -> dict[str, Any]:
    described = {"key": quote_plus(key, safe="/-_.*"), "size": 5, "eTag": "", "sequencer": "0055AED6DCD90281E5"}
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": described}}]}


@settings(max_examples=300)
@given(KEYS)
def test_the_event_tells_the_key(key: str) -> None:
    (event,) = upload_events(s3_event("uploads", key))

    assert event.key == key


@settings(max_examples=300)
@given(KEYS, st.text(st.characters(codec="utf-8"), max_size=9))
def test_two_keys_never_share_a_job(key: str, other: str) -> None:
    assert (direct_job_id("b", key, "1") == direct_job_id("b", key + other, "1")) is not bool(other)


def _goes_through(cloud: Cloud, handler: Callable[..., Any], key: str) -> None:
    cloud.upload(key)

    view = handler(s3_event(cloud.upload_bucket, key))

    assert view["status"] == "ready"
    job = cloud.job(view["id"])
    assert job.status is Status.READY
    assert job.upload_key == key
    assert len(job.result_key.encode()) <= MAX_KEY_BYTES
    assert not {".", ".."} & set(job.result_key.split("/"))
    assert job.result_key in cloud.result_keys()
    header = content_disposition(job.download_filename, job_id=job.id)
    assert header.isascii()
    assert header.isprintable()
    assert not set("/\\\r\n\0") & set(unquote(header))


@pytest.mark.parametrize("key", AWKWARD, ids=lambda key: repr(key[:20]))
def test_awkward_keys(cloud: Cloud, handler: Callable[..., Any], key: str) -> None:
    _goes_through(cloud, handler, key)


def test_any_key(cloud: Cloud, handler: Callable[..., Any]) -> None:
    @settings(max_examples=10, phases=UNSHRUNK)
    @given(KEYS)
    @example("../../x")
    def check(key: str) -> None:
        _goes_through(cloud, handler, key)

    check()
