"""A direct upload is named by its key, which may have any character: people see none that steers or turns text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from audiojobs import clients
from audiojobs.errors import CorruptAudio
from resample import job_run
from resample.engine.convert import Converted
from tests.unit.cloud import Cloud
from tests.unit.gateway import BROWSER, Api
from tests.unit.resample.test_resample_handler import s3_event

STEERING = {
    "escape": "\x1b",
    "line feed": "\n",
    "delete": "\x7f",
    "next line": "\x85",
    "line separator": "\u2028",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "Arabic letter mark": "\u061c",
}
steering = pytest.mark.parametrize("character", STEERING.values(), ids=STEERING)


@steering
def test_it_reaches_neither_page_nor_api_nor_download(
    cloud: Cloud, handler: Callable[..., Any], api: Api, character: str
) -> None:
    key = f"any/gpj{character}.wav"
    cloud.upload(key)

    view = handler(s3_event(cloud.upload_bucket, key))

    path = "/d/" + view["link"].rpartition("/")[2]
    page = api.get(path, headers=BROWSER).body
    shown = api.get(path).json()
    assert view["filename"] == shown["filename"] == "gpj_.wav"
    assert "gpj_.wav" in page
    assert f"gpj{character}" not in page
    download = api.post(path).headers["Location"]
    (disposition,) = parse_qs(urlsplit(download).query)["response-content-disposition"]
    assert character not in unquote(disposition)
    assert "gpj_" in disposition


@steering
@pytest.mark.parametrize("fails", [False, True], ids=["ready", "failed"])
def test_it_reaches_no_event(
    cloud: Cloud, handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, character: str, fails: bool
) -> None:
    def convert(*_: object, **__: object) -> Converted:
        raise CorruptAudio

    if fails:
        monkeypatch.setattr(job_run, "convert", convert)
    key = f"any/gpj{character}.wav"
    cloud.upload(key)

    handler(s3_event(cloud.upload_bucket, key))

    (event,) = cloud.announcements()
    detail = event["detail"]
    assert detail.pop("upload_key") == key, "programs find the object by its key, spelled as it is"
    assert detail["job"]["filename"] == "gpj_.wav"
    assert character not in json.dumps(detail, ensure_ascii=False)


def test_a_key_of_nothing_but_folders_has_a_name(cloud: Cloud, handler: Callable[..., Any]) -> None:
    cloud.upload("/")

    assert handler(s3_event(cloud.upload_bucket, "/"))["filename"] == "audio"


@pytest.mark.parametrize("key", ["recordings/", "recordings/2026/"])
def test_a_folder_made_in_the_console_is_no_upload(cloud: Cloud, handler: Callable[..., Any], key: str) -> None:
    cloud.upload(key, b"")

    assert handler(s3_event(cloud.upload_bucket, key)) is None

    assert cloud.upload_keys() == [key], "the folder stays, as whoever made it wants it"
    assert cloud.announcements() == []
    assert clients.dynamodb().scan(TableName=cloud.jobs_table)["Items"] == []


@pytest.mark.parametrize(("key", "data"), [("recordings/", b"RIFF..."), ("recordings", b"")], ids=["sound", "no slash"])
def test_what_only_looks_like_a_folder_is_an_upload(
    cloud: Cloud, handler: Callable[..., Any], key: str, data: bytes
) -> None:
    cloud.upload(key, data)

    view = handler(s3_event(cloud.upload_bucket, key))

    assert view["filename"] == "recordings"
    assert cloud.job(view["id"]).upload_key == key
