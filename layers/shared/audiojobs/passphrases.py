"""A job's passphrase, which a claim needs beside the link. The record holds a slow hash of it, with a salt.

scrypt (RFC 7914) at N=2^14, r=8, p=5: 16 MiB of memory and 0.24 s of CPU time, which is 0.8 s at the 0.29 vCPU of the
API function's 512 MB. The cost is stored with the hash, so that it can be raised later.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata

MIN_PASSPHRASE_CHARACTERS = 4
MAX_PASSPHRASE_CHARACTERS = 128
MAX_PASSPHRASE_TRIES = 10

_COST = (2**14, 8, 5)  # N, r, p
_MAX_MEMORY_BYTES = 64 * 1024 * 1024
_HASH_BYTES = 32


def hash_passphrase(passphrase: str) -> str:
    """``scrypt:N:r:p:salt:hash``, with a random salt."""
    salt = secrets.token_hex(16)
    return ":".join(("scrypt", *map(str, _COST), salt, _scrypt(passphrase, salt, *_COST)))


def is_passphrase(passphrase: str, stored: str) -> bool:
    """Whether this is the passphrase of a stored hash. Takes as long whether it is or not."""
    _, n, r, p, salt, expected = stored.split(":")
    return hmac.compare_digest(_scrypt(passphrase, salt, int(n), int(r), int(p)), expected)


def _scrypt(passphrase: str, salt: str, n: int, r: int, p: int) -> str:
    plain = _prepared(passphrase).encode(errors="surrogatepass")
    hashed = hashlib.scrypt(plain, salt=bytes.fromhex(salt), n=n, r=r, p=p, maxmem=_MAX_MEMORY_BYTES, dklen=_HASH_BYTES)
    return hashed.hex()


def _prepared(passphrase: str) -> str:
    """The same text from every keyboard: RFC 8265, OpaqueString (spaces of all kinds are one, and NFC)."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in passphrase)
    return unicodedata.normalize("NFC", spaced)
