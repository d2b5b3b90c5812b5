"""A key like ``a/../b.wav`` gave a presigned address from which browsers and curl took the dots: 403, link spent."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from audiojobs.job import Status
from tests.unit.cloud import Cloud
from tests.unit.samples import direct_job


@pytest.mark.parametrize("upload_key", ["a/../b.wav", "./b.wav", "../b.wav", "..", "a/.", "a/./../b"])
def test_the_address_is_the_same_for_who_resolves_dots(cloud: Cloud, upload_key: str) -> None:
    job = direct_job(Status.READY, upload_key=upload_key)

    url = cloud.results.presign(job.result_key, filename="b.mp3", expires_in_seconds=60)

    assert urljoin(url, urlsplit(url).path) == url.partition("?")[0]


@pytest.mark.parametrize("upload_key", ["a..b/c.wav", ".hidden", "a/...", "a//b.wav", "a.wav."])
def test_other_dots_stay(upload_key: str) -> None:
    job = direct_job(Status.READY, upload_key=upload_key)

    assert job.result_key == f"{upload_key}/{job.id}.mp3"
