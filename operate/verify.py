"""`python -m operate.verify [STACK] --region REGION`: prove that a deployed stack works, in about two minutes.

Runs with the operator's own credentials, uses the service as its users do, reads the settings, and leaves nothing.
Exit status: 0 when no check failed, 1 when one did, 2 when the stack can't be looked at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from operate import STACK_NAME
from operate.verification import logs, settings
from operate.verification.checks import Check, Failed, Outcome, Verdict, outcomes_of
from operate.verification.stack import DeployedStack
from operate.verification.use import Use

NAME_WIDTH = 52
DETAIL_WIDTH = 300


def verify(stack: DeployedStack, *, patience_seconds: float = 90.0, only_settings: bool = False) -> list[Outcome]:
    """Make every check and print each outcome. What was made meanwhile is deleted, however it ends."""
    if only_settings:
        return outcomes_of(settings.checks(stack), show)
    began = time.time()
    use = Use(stack, patience_seconds=patience_seconds)

    def everything() -> Iterator[Check]:
        yield from use.checks()
        yield from logs.checks(stack, use, began)
        yield from settings.checks(stack)

    try:
        return outcomes_of(everything(), show)
    finally:
        for kept in use.leave_nothing():
            print(f"could not be deleted: {kept}", file=sys.stderr)


def show(outcome: Outcome) -> None:
    """One row of the table."""
    detail = " ".join(outcome.detail.split())[:DETAIL_WIDTH]
    print(f"{outcome.verdict:<10}  {outcome.name:<{NAME_WIDTH}}  {detail}".rstrip(), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operate.verify", description=__doc__)
    parser.add_argument("stack", nargs="?", default=STACK_NAME, help="name of the stack (default: %(default)s)")
    parser.add_argument("--region", help="the stack's region (default: the session's)")
    parser.add_argument("--api-url", default="", help="where the API answers, if not at the stack's own address")
    parser.add_argument("--patience", type=float, default=90.0, metavar="SECONDS", help="longest wait for a conversion")
    parser.add_argument("--settings", action="store_true", help="only read the settings")
    options = parser.parse_args(arguments)
    region = options.region or boto3.Session().region_name
    if not region:
        print("Which region? make verify STACK=NAME REGION=eu-central-1", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        stack = DeployedStack(options.stack, region, options.api_url)
        print(f"{options.stack} in {region}, {stack.api_url}\n")
        outcomes = verify(stack, patience_seconds=options.patience, only_settings=options.settings)
    except (BotoCoreError, ClientError, Failed, KeyError) as error:
        print(f"The stack {options.stack} in {region} can't be looked at: {error}", file=sys.stderr)
        return 2
    counts = Counter(outcome.verdict for outcome in outcomes)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)
    print(f"\n{told}; {time.monotonic() - began:.0f} s")
    return 1 if counts[Verdict.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
