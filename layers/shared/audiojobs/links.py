"""The secret part of a one-time link.

A token is ``{job id}.{secret}``. The secret has 256 random bits; only its SHA-256 is ever stored.
A plain hash is enough: a random 256-bit value can't be guessed, so there is nothing to slow down.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_TOKEN = re.compile(r"(?P<job_id>[0-9a-f]{32})\.(?P<secret>[A-Za-z0-9_-]{43})")


def new_secret() -> str:
    """256 random bits, url-safe."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """SHA-256 of a secret, as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_token(token: str) -> tuple[str, str] | None:
    """``(job id, secret)``, or ``None`` for what no link of ours ever looked like."""
    match = _TOKEN.fullmatch(token)
    return (match["job_id"], match["secret"]) if match else None


def link_url(public_url: str, job_id: str, secret: str) -> str:
    """The one-time link. ``public_url`` is the API's base URL with its stage, without a slash at the end."""
    return f"{public_url}/d/{job_id}.{secret}"
