"""`python -m deploy CONFIG_ENV`: ask, and write the answers to samconfig.toml."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.questions import answers_so_far, ask, with_answers

SAMCONFIG = Path(__file__).resolve().parent.parent / "samconfig.toml"


def main(environment: str) -> int:
    if not sys.stdin.isatty():
        print(f"No terminal to ask on: samconfig.toml stays as it is ({environment}).")  # noqa: T201
        return 0
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    defaults = {"stack_name": "audio-resampler", "region": region, "Architecture": "x86_64", "LinkHours": "24"}
    before = SAMCONFIG.read_text()
    try:
        answers = ask(answers_so_far(before, environment, defaults), input, print)
    except (EOFError, KeyboardInterrupt):
        print("\nNothing was changed.")  # noqa: T201
        return 130
    SAMCONFIG.write_text(with_answers(before, environment, answers))
    print(f"Kept in samconfig.toml, [{environment}.global.parameters]; so can be any other parameter.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "default"))
