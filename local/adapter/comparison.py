"""Compares what the emulator holds with the template, property by property."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from local.adapter.api_words import translated
from local.adapter.read_back import NOT_COMPARED, READERS
from local.deployment import Aws, Stack
from local.errors import TemplateMismatch


def check(aws: Aws, stack: Stack) -> None:
    """Raise TemplateMismatch, naming each difference, unless the emulator holds what the template says."""
    found = list(differences(aws, stack))
    if found:
        lines = "\n".join(f"  {line}" for line in found)
        raise TemplateMismatch(f"The emulator differs from the template:\n{lines}")


def differences(aws: Aws, stack: Stack) -> Iterator[str]:
    """Read back every resource and compare it with the template. One sentence for each difference."""
    for resource_type, logical_id, physical_id, properties in stack.resources():
        not_compared = NOT_COMPARED.get(resource_type, {})
        compared = {} if "*" in not_compared else {k: v for k, v in properties.items() if k not in not_compared}
        if not physical_id:
            yield f"{logical_id} ({resource_type}) was not deployed"
        elif resource_type in READERS:
            actual = READERS[resource_type](aws, physical_id, properties)
            for name, value in compared.items():
                if name in actual:
                    yield from compare(translated(resource_type, name, value), actual[name], f"{logical_id}.{name}")
                else:
                    yield f"{logical_id}.{name} cannot be checked; teach it in local/adapter/read_back.py"
        elif compared:
            yield f"{logical_id} ({resource_type}) cannot be checked; teach it in local/adapter/read_back.py"


def compare(wanted: Any, actual: Any, place: str) -> Iterator[str]:
    """Sentences on where `actual` lacks or contradicts `wanted`. What `actual` has beyond it are defaults."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        for key, value in wanted.items():
            yield from compare(value, actual.get(key), f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        for index, (one, other) in enumerate(zip(in_order(wanted), in_order(actual), strict=True)):
            yield from compare(one, other, f"{place}[{index}]")
    elif scalar(wanted) != scalar(actual):
        yield f"{place}: the template says {json.dumps(wanted)}, the emulator {json.dumps(actual, default=str)}"


def in_order(items: list[Any]) -> list[Any]:
    """Lists of settings are sets to AWS; objects are told apart by their identifying member."""
    names = ("ID", "Id", "Sid", "IndexName", "AttributeName", "PolicyName", "Name")

    def key(item: Any) -> str:
        if isinstance(item, dict):
            return next((str(item[name]) for name in names if name in item), "")
        return str(item)

    return sorted(items, key=key)


def scalar(value: Any) -> Any:
    """Templates write numbers and truth values as strings, APIs do not always."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    return value
