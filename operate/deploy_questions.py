"""`python -m operate.deploy_questions CONFIG_ENV`: ask what a deployment needs, and keep the answers in samconfig.toml.

`sam deploy --guided` would ask for every parameter, ask again about each link route that needs no signature, and take
an answer for the processor after the build that depends on it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

SAMCONFIG = Path(__file__).resolve().parent.parent / "samconfig.toml"

Read = Callable[[str], str]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is a parameter of the template, or `stack_name` or `region`. An answer must match `pattern` entirely."""

    name: str
    text: str
    pattern: str
    complaint: str


# The stack's name is part of bucket names, which have at most 63 characters: NAME-uploads-ACCOUNT-REGION.
QUESTIONS = (
    Question("stack_name", "Name of the stack", r"[a-z][a-z0-9-]{0,26}", "up to 27 of a-z, 0-9 and hyphens"),
    Question("region", "Region", r"[a-z]{2,4}(-[a-z]+)+-\d", "such as eu-central-1"),
    Question("Architecture", "Processor, x86_64 or arm64 (cheaper)", r"x86_64|arm64", "x86_64 or arm64"),
    Question(
        "LinkHours",
        "Hours that a result waits for its download",
        r"0?\.\d*[1-9]\d*|([1-9]|1\d|2[0-3])(\.\d+)?|24|48|72|168",
        "up to 24 (0.5 is half an hour), or 48, 72, 168",
    ),
    Question("AlarmEmail", "Address that alarms are mailed to; - for none", r"-|[^@\s]+@[^@\s]+", "an address, or -"),
)
_OF_THE_STACK = ("stack_name", "region")

# How SAM wants an empty value. A parameter that is left out keeps the value that the stack has.
_NOTHING = '""'


def default_answers() -> dict[str, str]:
    """What is proposed where nothing is kept yet; the region is the one that all of AWS's tools would take."""
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name or "us-east-1"
    return {"stack_name": "audio-resampler", "region": region, "Architecture": "x86_64", "LinkHours": "24"}


def answers_so_far(samconfig: str, environment: str, defaults: Mapping[str, str]) -> dict[str, str]:
    """What the section of samconfig.toml says, where it says anything, and `defaults` otherwise."""
    table = _global_table(samconfig, environment)
    known = {name: str(table[name]) for name in _OF_THE_STACK if name in table}
    return {**defaults, **known, **_overrides(table)}


def ask(defaults: Mapping[str, str], read: Read, say: Say) -> dict[str, str]:
    """Ask everything; an empty answer takes the default. Returns the answers by name, all parameters included."""
    answers = dict(defaults)
    for question in QUESTIONS:
        default = answers.get(question.name) or ("-" if re.fullmatch(question.pattern, "-") else "")
        while True:
            answer = read(f"{question.text} [{default}]: ").strip() or default
            if re.fullmatch(question.pattern, answer):
                break
            say(f"  must be {question.complaint}")
        answers[question.name] = "" if answer == "-" else answer
    return answers


def with_answers(samconfig: str, environment: str, answers: Mapping[str, str]) -> str:
    """samconfig.toml with the answers in `[environment.global.parameters]`, where build and deploy both look."""
    table = _global_table(samconfig, environment)
    overrides = {**_overrides(table), **{key: value for key, value in answers.items() if key not in _OF_THE_STACK}}
    table |= {name: answers[name] for name in _OF_THE_STACK}
    table["parameter_overrides"] = [f"{name}={value or _NOTHING}" for name, value in sorted(overrides.items())]
    # A TOML basic string is spelled as a JSON string is.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]
    header = f"[{environment}.global.parameters]"
    section = "\n".join([header, *lines, ""])
    pattern = re.compile(rf"^{re.escape(header)}\n(?:(?!\[).*\n?)*?(?=\n*^\[|\n*\Z)", re.MULTILINE)
    changed, count = pattern.subn(lambda _: section, samconfig, count=1)
    return changed if count else f"{samconfig.rstrip()}\n\n{section}"


def _global_table(samconfig: str, environment: str) -> dict[str, Any]:
    config = tomllib.loads(samconfig)
    table: dict[str, Any] = config.get(environment, {}).get("global", {}).get("parameters", {})
    return table


def _overrides(table: Mapping[str, Any]) -> dict[str, str]:
    given = table.get("parameter_overrides", [])
    pairs = [pair.split("=", 1) for pair in (given.split() if isinstance(given, str) else given)]
    return {name: "" if value == _NOTHING else value for name, value in pairs}


def main(environment: str) -> int:
    if not sys.stdin.isatty():
        print(f"No terminal to ask on: samconfig.toml stays as it is ({environment}).")
        return 0
    before = SAMCONFIG.read_text()
    try:
        answers = ask(answers_so_far(before, environment, default_answers()), input, print)
    except (EOFError, KeyboardInterrupt):
        print("\nNothing was changed.")
        return 130
    SAMCONFIG.write_text(with_answers(before, environment, answers))
    print(f"Kept in samconfig.toml, [{environment}.global.parameters]; so can be any other parameter.")
    print(f"When it is deployed: make verify STACK={answers['stack_name']} REGION={answers['region']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "default"))
