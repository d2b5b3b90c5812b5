"""The secret part of a one-time link."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojobs.job import new_job_id
from audiojobs.links import hash_secret, link_url, new_secret, parse_token


def test_a_secret_has_256_url_safe_random_bits() -> None:
    made = {new_secret() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in made)


def test_a_link_carries_the_job_and_its_secret() -> None:
    job_id, secret = new_job_id(), new_secret()

    link = link_url("https://audio.example.com/v1", job_id, secret)

    assert link == f"https://audio.example.com/v1/d/{job_id}.{secret}"
    assert parse_token(link.rpartition("/")[2]) == (job_id, secret)


def test_only_the_sha_256_is_kept() -> None:
    secret = new_secret()

    assert hash_secret(secret) == hashlib.sha256(secret.encode()).hexdigest()


GOOD = f"{'0' * 32}.{'A' * 43}"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        GOOD[:-1],
        GOOD + "A",
        GOOD + "\n",
        "\n" + GOOD,
        " " + GOOD,
        GOOD.replace(".", "-"),
        GOOD.upper().replace("0", "F"),
        GOOD + ".x",
        GOOD.replace("A", "ä"),
        GOOD.replace("0", "٠"),
        "../" + GOOD,
        GOOD + "%00",
    ],
    ids=repr,
)
def test_what_no_link_looks_like_is_no_token(token: str) -> None:
    assert parse_token(GOOD)
    assert parse_token(token) is None


@given(st.text())
def test_garbage_never_raises(text: str) -> None:
    parsed = parse_token(text)

    assert parsed is None or ".".join(parsed) == text
