"""The reference of a direct upload, as S3 gives it back: whole, harmless, or refused."""

from __future__ import annotations

import pytest

from audiojobs.errors import InvalidRequest
from audiojobs.references import reference_from_metadata


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ("order 4711", "order 4711"),
        ("  order 4711 ", "order 4711"),
        ("x" * 256, "x" * 256),
        ("=?UTF-8?B?w6QgZsO8cg==?=", "ä für"),
        ("=?utf-8?q?=C3=A4?= =?utf-8?q?_b?=", "ä b"),
        ("=?UTF-8?B?x?=", "=?UTF-8?B?x?="),
        ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
        ("=?no-such-set?B?w6Q=?=", "=?no-such-set?B?w6Q=?="),
        ("a=?b", "a=?b"),
        ("a\nb", "a_b"),
        ("", None),
        (" ", None),
    ],
    ids=repr,
)
def test_it_is_kept(given: str, reference: str | None) -> None:
    assert reference_from_metadata({"reference": given}) == reference


def test_there_may_be_none() -> None:
    assert reference_from_metadata({"other": "x"}) is None


@pytest.mark.parametrize("given", ["x" * 257, "=?UTF-8?B?" + "w6Q" * 343 + "?="], ids=["plain", "encoded"])
def test_one_that_is_too_long_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match="at most 256 characters") as refused:
        reference_from_metadata({"reference": given})

    assert refused.value.field == "reference"
