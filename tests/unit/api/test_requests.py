"""What callers send, read without a service behind it: how far each field goes, and what is refused by its name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from api.requests import (
    JobQuery,
    PartsRequest,
    SentPart,
    UploadRequest,
    parse_claim_key,
    parse_form,
    parse_job_key,
    parse_job_query,
    parse_job_request,
    parse_limit,
    parse_parts_request,
    parse_passphrase,
    parse_sent_parts,
    parse_upload_request,
)
from audiojobs.errors import InvalidRequest
from audiojobs.job import Status

FORM = "application/x-www-form-urlencoded"
MEBIBYTE = 2**20
SENT = {"number": 1, "etag": '"0"'}


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class TestUpload:
    @pytest.mark.parametrize("body", [None, "", "{}", "{ }"], ids=repr)
    def test_an_empty_body_asks_for_the_upload_that_was_begun(self, body: str | None) -> None:
        assert parse_upload_request(body) == UploadRequest(None, None, None)

    def test_no_body_is_none_in_base64_too(self) -> None:
        assert parse_upload_request(None, is_base64=True) == UploadRequest(None, None, None)

    @pytest.mark.parametrize(
        "values",
        [
            {"size_bytes": 1},
            {"part_size_bytes": 5 * MEBIBYTE},
            {"part_size_bytes": 5 * 1024 * MEBIBYTE},
            {"fingerprint": "!" * 8},
            {"fingerprint": "~" * 128},
            {"size_bytes": 44, "part_size_bytes": 6 * MEBIBYTE, "fingerprint": "sha256-0"},
        ],
        ids=lambda values: repr(values)[:40],
    )
    def test_each_field_is_taken_up_to_its_limits(self, values: dict[str, Any]) -> None:
        wanted = UploadRequest(*(values.get(name) for name in ("size_bytes", "part_size_bytes", "fingerprint")))

        assert parse_upload_request(json.dumps(values)) == wanted
        assert parse_upload_request(in_base64(json.dumps(values)), is_base64=True) == wanted

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("size_bytes", value) for value in (0, "1", 1.0, True)),
            *(("part_size_bytes", value) for value in (5 * MEBIBYTE - 1, 5 * 1024 * MEBIBYTE + 1, "5242880")),
            *(
                ("fingerprint", value)
                for value in ("x" * 7, "x" * 129, "sha256 0", "sha256-ä", "", 12_345_678, ["x" * 8])
            ),
            ("filename", "song.wav"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_what_is_wrong_is_named(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_upload_request(json.dumps({name: value}))

        assert refused.value.field == name


class TestParts:
    @pytest.mark.parametrize(
        "numbers", [[1], [10_000], [3, 1, 2], list(range(1, 101))], ids=["first", "last", "any order", "a hundred"]
    )
    def test_numbers_are_taken_in_the_order_that_they_come_in(self, numbers: list[int]) -> None:
        body = json.dumps({"numbers": numbers})

        assert parse_parts_request(body) == PartsRequest(numbers)
        assert parse_parts_request(in_base64(body), is_base64=True) == PartsRequest(numbers)

    @pytest.mark.parametrize(
        "numbers",
        [None, [], [0], [-1], [10_001], [1, 1], ["1"], [1.0], [True], [1, None], 1, "1", {"1": 1}, list(range(1, 102))],
        ids=lambda value: repr(value)[:20],
    )
    def test_anything_else_is_refused(self, numbers: Any) -> None:
        with pytest.raises(InvalidRequest, match="1 to 100 different numbers") as refused:
            parse_parts_request(json.dumps({"numbers": numbers}))

        assert refused.value.field == "numbers"


class TestSentParts:
    @pytest.mark.parametrize("body", [None, "", "{}", '{"parts": null}', '{"parts": []}'], ids=repr)
    def test_nobody_has_to_tell(self, body: str | None) -> None:
        assert list(parse_sent_parts(body)) == []

    @pytest.mark.parametrize("count", [1, 10_000])
    def test_as_many_are_taken_as_an_upload_can_have(self, count: int) -> None:
        body = json.dumps({"parts": [SENT] * count})

        assert parse_sent_parts(body) == [SentPart(1, '"0"')] * count
        assert parse_sent_parts(in_base64(body), is_base64=True) == [SentPart(1, '"0"')] * count

    @pytest.mark.parametrize(
        "parts",
        [
            1,
            "1",
            {"1": "etag"},
            [1],
            [SENT, None],
            [{"number": 1}],
            [{"etag": "0"}],
            *([{**SENT, "number": number}] for number in ("1", 1.0, True, None)),
            *([{**SENT, "etag": etag}] for etag in (0, None, ["0"])),
            [SENT] * 10_001,
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_anything_else_is_refused(self, parts: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_sent_parts(json.dumps({"parts": parts}))

        assert refused.value.field == "parts"


class TestForm:
    @pytest.mark.parametrize("kind", [FORM, f"{FORM};charset=UTF-8", f" {FORM.upper()} ; x"])
    def test_its_fields_are_read_whatever_else_its_type_says(self, kind: str) -> None:
        assert parse_form("a=1&b=%C3%A4+&c=", content_type=kind) == {"a": "1", "b": "ä ", "c": ""}

    def test_it_may_come_in_base64(self) -> None:
        assert parse_form(in_base64("a=1"), content_type=FORM, is_base64=True) == {"a": "1"}

    def test_of_fields_with_one_name_the_first_counts(self) -> None:
        assert parse_form("a=1&a=2&b=3", content_type=FORM) == {"a": "1", "b": "3"}

    @pytest.mark.parametrize(
        ("body", "kind"), [(None, FORM), ("", FORM), ("a=1", None), ("a=1", "text/plain"), ("a=1", f"x{FORM}")]
    )
    def test_any_other_body_has_no_fields(self, body: str | None, kind: str | None) -> None:
        assert parse_form(body, content_type=kind) == {}

    @pytest.mark.parametrize("body", ["a", "ä", "//79"], ids=["cut", "no base64", "no text"])
    def test_what_cannot_be_read_is_refused(self, body: str) -> None:
        with pytest.raises(InvalidRequest):
            parse_form(body, content_type=FORM, is_base64=True)
        with pytest.raises(InvalidRequest):
            parse_passphrase(body, is_base64=True)


class TestJob:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("filename", "x" * 255),
            ("filename", "x"),
            ("size_bytes", 1),
            ("reference", "r"),
            ("reference", "r" * 256),
            ("passphrase", "p" * 4),
            ("passphrase", "p" * 128),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_each_field_is_taken_up_to_its_limits(self, name: str, value: Any) -> None:
        request = parse_job_request(json.dumps({"filename": "song.wav", name: value}))

        assert getattr(request, name) == value

    def test_what_may_be_left_out_is_none(self) -> None:
        request = parse_job_request(in_base64('{"filename": "a/b\\\\ song.wav "}'), is_base64=True)

        assert (request.filename, request.size_bytes) == ("song.wav", None)
        assert (request.reference, request.passphrase) == (None, None)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("filename", value) for value in (None, 7, "", " ", "a/", "x" * 256, "a\n.wav")),
            *(("size_bytes", value) for value in (0, "1", 1.0, True)),
            *(("reference", value) for value in (7, "", "r" * 257, "a\nb")),
            *(("passphrase", value) for value in (12_345, "", "p" * 3, "p" * 129, "a\nbcd")),
            ("sample_rate", 44_000),
            ("part_size_bytes", 5 * MEBIBYTE),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_what_is_wrong_is_named(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_job_request(json.dumps({"filename": "song.wav", name: value}))

        assert refused.value.field == name

    @pytest.mark.parametrize("body", [None, "", "{", "[]", "null", "[" * 100_000], ids=lambda body: repr(body)[:9])
    def test_the_body_must_be_an_object(self, body: str | None) -> None:
        with pytest.raises(InvalidRequest, match="The body must be"):
            parse_job_request(body)

    def test_a_name_that_nobody_knows_is_cut(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_job_request(json.dumps({"x" * 9999: 1}))

        assert refused.value.field == "x" * 100
        assert refused.value.detail.startswith("x" * 100 + " is not")


def test_no_log_shows_the_passphrase_of_a_new_job() -> None:
    request = parse_job_request('{"filename": "song.wav", "size_bytes": 1, "passphrase": "three blue geese"}')

    assert (request.passphrase, request.size_bytes) == ("three blue geese", 1)
    assert "geese" not in repr(request)


class TestPassphrase:
    @pytest.mark.parametrize("passphrase", ["a", "x" * 128, "ä & ö"], ids=lambda text: text[:10])
    def test_whatever_could_be_one_is_taken(self, passphrase: str) -> None:
        assert parse_passphrase(json.dumps({"passphrase": passphrase})) == passphrase

    @pytest.mark.parametrize("body", [None, "", " ", "{}", "passphrase=", "other=1", "a: 1"], ids=repr)
    def test_there_may_be_none(self, body: str | None) -> None:
        assert parse_passphrase(body) is None

    @pytest.mark.parametrize("body", ["passphrase=a&passphrase=b", "passphrase=&passphrase=b"], ids=repr)
    def test_of_two_none_is_taken(self, body: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_passphrase(body)

        assert refused.value.field == "passphrase"

    def test_a_type_without_a_body_is_no_json(self) -> None:
        assert parse_passphrase("", content_type="application/json") is None

    def test_json_may_come_behind_a_line_break(self) -> None:
        assert parse_passphrase('\n{"passphrase": "a"}') == "a"


@pytest.mark.parametrize("kind", [None, FORM], ids=["any type", "form"])
def test_a_form_of_far_too_many_fields_is_refused(kind: str | None) -> None:
    body = "a=1&" * 200

    with pytest.raises(InvalidRequest):
        parse_passphrase(body, content_type=kind)
    with pytest.raises(InvalidRequest):
        parse_form(body, content_type=FORM)


class TestKeys:
    @pytest.mark.parametrize("key", [None, "!" * 8, "~" * 128], ids=["none", "short", "long"])
    def test_the_key_of_a_claim_has_8_to_128_characters(self, key: str | None) -> None:
        assert parse_claim_key(key) == key

    @pytest.mark.parametrize("key", ["", "x" * 7, "x" * 129, "12345 78", "12345678\n", "1234567ä"], ids=repr)
    def test_no_other_key_claims(self, key: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_claim_key(key)

        assert refused.value.field == "Idempotency-Key"

    @pytest.mark.parametrize("key", [None, "!", "~" * 255], ids=["none", "short", "long"])
    def test_the_key_of_a_job_has_1_to_255_characters(self, key: str | None) -> None:
        assert parse_job_key(key) == key

    @pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\n"], ids=lambda text: repr(text)[:10])
    def test_no_other_key_makes_a_job(self, key: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_job_key(key)

        assert refused.value.field == "Idempotency-Key"


class TestLists:
    @pytest.mark.parametrize(("text", "limit"), [(None, 20), ("1", 1), ("100", 100), ("0100", 100)])
    def test_a_page_has_1_to_100_jobs_and_20_where_nobody_says(self, text: str | None, limit: int) -> None:
        assert parse_limit(text) == limit

    @pytest.mark.parametrize(
        "text", ["", "0", "101", "-1", "1.0", "00001", "²", "١", "9" * 5000], ids=lambda text: text[:9]
    )
    def test_no_other_limit_is_taken(self, text: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_limit(text)

        assert refused.value.field == "limit"

    @pytest.mark.parametrize(
        ("parameters", "query"),
        [
            ({"upload_key": "k" * 1024}, JobQuery(upload_key="k" * 1024)),
            ({"upload_key": "ä" * 512}, JobQuery(upload_key="ä" * 512)),
            ({"upload_key": "k", "status": "ready"}, JobQuery(upload_key="k", status=Status.READY)),
            ({"reference": "r" * 256}, JobQuery(reference="r" * 256)),
            ({"reference": "r", "status": "failed"}, JobQuery(reference="r", status=Status.FAILED)),
            ({"status": "awaiting-upload"}, JobQuery(status=Status.AWAITING_UPLOAD)),
        ],
        ids=["key", "key of two bytes", "key and state", "reference", "reference and state", "state"],
    )
    def test_jobs_are_asked_for_by_key_reference_or_state(self, parameters: dict[str, str], query: JobQuery) -> None:
        assert parse_job_query(parameters) == query

    @pytest.mark.parametrize("upload_key", ["", "k" * 1025, "ä" * 512 + "k"], ids=lambda text: text[-3:])
    def test_a_key_has_1_to_1024_bytes(self, upload_key: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse_job_query({"upload_key": upload_key})

        assert refused.value.field == "upload_key"
