"""Passphrases: slow, salted, and the same from every keyboard."""

from __future__ import annotations

import hashlib

import pytest

from audiojobs.passphrases import hash_passphrase, is_passphrase


def test_a_passphrase_is_known_again_and_no_other_is() -> None:
    stored = hash_passphrase("three blue geese")

    assert is_passphrase("three blue geese", stored)
    assert not [
        other for other in ("Three blue geese", "three blue geese ", "", "x" * 10_000) if is_passphrase(other, stored)
    ]


@pytest.mark.parametrize(
    ("set_as", "typed"),
    [("caf\u00e9", "cafe\u0301"), ("a b c d", "a\u00a0b\u3000c\u2009d"), ("\ud7ff\U0001f9a2", "\ud7ff\U0001f9a2")],
    ids=["composed and not", "spaces of all kinds", "beyond the plane"],
)
def test_every_keyboard_types_the_same(set_as: str, typed: str) -> None:
    assert is_passphrase(typed, hash_passphrase(set_as))


def test_a_half_of_a_character_is_wrong_and_no_fault() -> None:
    assert not is_passphrase("\ud83e", hash_passphrase("three blue geese"))


def test_the_record_holds_a_salted_scrypt_and_its_cost() -> None:
    first, second = (hash_passphrase("three blue geese") for _ in range(2))

    name, n, r, p, salt, hashed = first.split(":")
    assert (name, int(n), int(r), int(p)) == ("scrypt", 16_384, 8, 5)
    assert hashlib.scrypt(b"three blue geese", salt=bytes.fromhex(salt), n=16_384, r=8, p=5, dklen=32).hex() == hashed
    assert first != second


def test_a_hash_of_another_cost_is_still_known() -> None:
    hashed = hashlib.scrypt(b"geese", salt=b"salt", n=16, r=2, p=1, dklen=32).hex()

    assert is_passphrase("geese", f"scrypt:16:2:1:{b'salt'.hex()}:{hashed}")
