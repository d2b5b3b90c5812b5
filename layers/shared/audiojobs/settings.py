"""The environment of a function, read once into a frozen dataclass.

Field names are the variables' names in lower case; a field with a default is optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

MEGABYTES_A_VCPU = 1769

SLOW_BITS_A_SECOND = 750_000
"""What a line of 1 Mbit/s has left for a file, with some time to resume."""

LARGE_RESULT_BYTES = 28_125_000
"""What a slow line takes in five minutes."""

LONGEST_WINDOW_SECONDS = 10_800
"""Purge messages wait 15 minutes at most and follow each other; Lambda ends such a row after 16 of them."""


def encoders_for(memory_megabytes: int) -> int:
    """One encoder for each vCPU. Lambda shows two to six, but gives their time by memory: one for every 1769 MB."""
    return max(1, round(memory_megabytes / MEGABYTES_A_VCPU))


class SettingsError(Exception):
    """Variables are missing or malformed; the message names every one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all functions need."""

    jobs_table: str
    upload_bucket: str
    result_bucket: str
    link_hours: float = 24
    download_window_seconds: int = 300
    max_upload_megabytes: int = 2048

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_megabytes * 1_000_000

    def download_window_for(self, size_bytes: int) -> int:
        """How long a claim opens a result, in seconds: as configured; large ones as long as a slow line takes."""
        if size_bytes <= LARGE_RESULT_BYTES:
            return self.download_window_seconds
        slow_seconds = -(-8 * size_bytes // SLOW_BITS_A_SECOND)
        return max(self.download_window_seconds, min(LONGEST_WINDOW_SECONDS, slow_seconds))

    @property
    def link_seconds(self) -> int:
        return round(self.link_hours * 3600)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raises :class:`SettingsError`."""
        values: dict[str, Any] = {}
        missing: list[str] = []
        malformed: list[str] = []
        for field in fields(cls):
            variable = field.name.upper()
            text = environment.get(variable)
            if text:
                try:
                    values[field.name] = _READERS[str(field.type)](text)
                except (KeyError, ValueError, TypeError):
                    malformed.append(variable)
            elif field.default is MISSING:
                missing.append(variable)
        if missing or malformed:
            complaints = [
                f"{what}: {', '.join(names)}"
                for what, names in (("missing", missing), ("malformed", malformed))
                if names
            ]
            raise SettingsError("environment variables " + "; ".join(complaints))
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampleSettings(Settings):
    """``public_url`` is the API's base address, for the links in events.

    Lambda itself tells ``aws_lambda_function_memory_size``, in MB.
    """

    public_url: str
    keep_originals: bool = False
    max_attempts: int = 3
    aws_lambda_function_memory_size: int = MEGABYTES_A_VCPU

    @property
    def encoders(self) -> int:
        """How many to run at a time."""
        return encoders_for(self.aws_lambda_function_memory_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings(Settings):
    """``public_url`` is only set where the address of a request is not the one that clients should use."""

    purge_queue_url: str
    upload_url_seconds: int = 3600
    public_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeSettings(Settings):
    """``public_url`` is the API's base address, for the links in events."""

    purge_queue_url: str
    public_url: str = ""
    keep_originals: bool = False


_DECIMAL = re.compile(r"[0-9]*\.?[0-9]+")
_READERS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": lambda text: float(_DECIMAL.fullmatch(text)[0]),  # type: ignore[index]
    "bool": {"true": True, "false": False}.__getitem__,
}
