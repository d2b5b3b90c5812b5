"""Writes docs/openapi.yaml and docs/api.md anew from the code: ``make openapi``. A test tells when that is due."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
SERVER_URL = "https://api-id.execute-api.region.amazonaws.com/v1"
METHODS = ("get", "head", "post", "put", "patch", "delete")

Schema = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Writes out what is used twice: not every reader of OpenAPI knows YAML's aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def document() -> str:
    """The text of docs/openapi.yaml."""
    head = "# Made from functions/api/contract/ by `make openapi`; changes belong there.\n"
    return head + yaml.dump(_contract(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def reference() -> str:
    """The text of docs/api.md: the same to read, in Markdown."""
    contract = _contract()
    lines = [
        "<!-- Made from functions/api/contract/ by `make openapi`; changes belong there. -->",
        "",
        "# API reference",
        "",
        "For machines: [openapi.yaml](openapi.yaml), and `GET /openapi.json` of a deployed stack.",
        f"Addresses are relative to `{SERVER_URL}`, the output `ApiUrl`. Calls below `/jobs` are signed:",
        contract["components"]["securitySchemes"]["sigv4"]["description"],
        "The others need nothing but the link.",
        "",
        "## Overview",
        "",
        *_overview(contract["paths"]),
        "",
        "## Calls",
    ]
    for path, item in contract["paths"].items():
        for method in METHODS:
            if method in item:
                lines += _call(method, path, item[method], item.get("parameters", []))
    lines += ["", "## Errors", "", *_errors(contract["components"]), "", "## Schemas"]
    for name, schema in contract["components"]["schemas"].items():
        if name != "ErrorCode":
            lines += _schema(name, schema)
    return "\n".join(lines) + "\n"


def _contract() -> Schema:
    sys.path[:0] = [str(PROJECT / "functions"), str(PROJECT / "layers" / "shared")]
    from api.contract import openapi

    return openapi(SERVER_URL)


def _overview(paths: Schema) -> Iterator[str]:
    yield from _table(
        ("call", "who may call", "what it does"),
        (
            (
                f"[`{method.upper()} {path}`](#{_anchor(f'{method} {path}')})",
                "signed callers"
                if operation["security"]
                else "anybody with the link"
                if "{token}" in path
                else "anybody",
                operation["summary"],
            )
            for path, item in paths.items()
            for method, operation in item.items()
            if method in METHODS
        ),
    )


def _anchor(heading: str) -> str:
    """What a heading is linked by: lower case, hyphens for spaces, no punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _call(method: str, path: str, operation: Schema, shared: list[Schema]) -> Iterator[str]:
    yield from ("", f"### {method.upper()} {path}", "")
    who = "Signed." if operation["security"] else "Not signed."
    yield f"{operation['summary']}. {who}"
    body = operation.get("requestBody")
    if body:
        media = body["content"]["application/json"]
        yield from ("", f"Body: {_kind(media['schema'])}. {body['description']}", "", *_json(media["example"]))
    parameters = [*shared, *operation.get("parameters", [])]
    if parameters:
        yield ""
        yield from _table(
            ("parameter", "in", "type", "meaning", "example"),
            (
                (
                    f"`{parameter['name']}`" + (" (required)" if parameter.get("required") else ""),
                    parameter["in"],
                    _kind(parameter["schema"]),
                    parameter["description"] + _limits(parameter["schema"]),
                    f"`{parameter['example']}`",
                )
                for parameter in parameters
            ),
        )
    yield ""
    yield from _table(
        ("status", "meaning", "body"),
        (
            (status, _linked_codes(response), _bodies(response))
            for status, response in sorted(operation["responses"].items())
        ),
    )


def _linked_codes(response: Schema) -> str:
    examples = response.get("content", {}).get("application/problem+json", {}).get("examples")
    described = ", ".join(f"[`{code}`](#{code})" for code in examples) if examples else response["description"]
    headers = (
        f"; header `{name}`: {value['description'].rstrip('.')}" for name, value in response.get("headers", {}).items()
    )
    return str(described) + "".join(headers)


def _bodies(response: Schema) -> str:
    return ", ".join(f"{_kind(media['schema'])} (`{kind}`)" for kind, media in response.get("content", {}).items())


def _errors(components: Schema) -> Iterator[str]:
    yield from (components["schemas"]["ErrorCode"]["description"], "Each with an example of what is sent.")
    for code, example in components["examples"].items():
        where = "a problem document" if "type" in example["value"] else "the `error` of a failed job"
        yield from ("", f"### {code}", "", f"{example['summary']}. {example['description']} As {where}:")
        yield from ("", *_json(example["value"]))


def _schema(name: str, schema: Schema) -> Iterator[str]:
    yield from ("", f"### {name}", "", schema["description"])
    if "properties" in schema:
        yield ""
        yield from _table(
            ("field", "type", "meaning", "example"),
            (
                (
                    f"`{field}`" + (" (required)" if name == "JobRequest" and field in schema["required"] else ""),
                    _kind(value),
                    value["description"] + _limits(value),
                    _example(value),
                )
                for field, value in schema["properties"].items()
            ),
        )
    yield from ("", *_json(schema["examples"][0]))


def _kind(schema: Schema) -> str:
    """The type in a table: a link to its section where it has one."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{'errors' if name == 'ErrorCode' else name.lower()})"
    if "oneOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    named = " or ".join(kinds)
    if "array" in kinds:
        return f"{named} of {_kind(schema['items'])}"
    return named + (f" ({schema['format']})" if "format" in schema else "")


def _limits(schema: Schema) -> str:
    """What a value may be and is without asking, behind the sentence that tells what it means."""
    parts = []
    if "enum" in schema:
        parts.append("One of " + ", ".join(f"`{value}`" for value in schema["enum"] if value is not None) + ".")
    if "minimum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}." if "maximum" in schema else "At least 1.")
    if "maxLength" in schema:
        parts.append(f"{schema['minLength']} to {schema['maxLength']} characters.")
    if "default" in schema:
        parts.append(f"Default: `{json.dumps(schema['default'])}`.")
    return "".join(f" {part}" for part in parts)


def _example(schema: Schema) -> str:
    """A short example; the document below the table has the long ones."""
    value = schema["examples"][0]
    return "" if isinstance(value, dict | list) and value else f"`{json.dumps(value).strip(chr(34))}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = tuple(head)
    yield f"| {' | '.join(cells)} |"
    yield "|" + "---|" * len(cells)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _json(value: Any) -> tuple[str, ...]:
    return ("```json", json.dumps(value, indent=2, ensure_ascii=False), "```")


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "openapi.yaml").write_text(document(), encoding="utf-8")
    (folder / "api.md").write_text(reference(), encoding="utf-8")
