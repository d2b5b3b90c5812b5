"""A check, its outcome, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError


class Verdict(StrEnum):
    """What came out of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table."""

    name: str
    verdict: Verdict
    detail: str


class Failed(Exception):
    """The stack does not do what it should; the message says what it does."""


class NotJudged(Exception):
    """The check could not be made here; the message says why."""


Check = tuple[str, Callable[[], str]]
"""A name and what is done: returns a detail for the table, or raises `Failed` or `NotJudged`."""


def outcome_of(check: Check) -> Outcome:
    """Make one check. An error of AWS is a failure, unless it says that the operator may not look."""
    name, judge = check
    try:
        return Outcome(name, Verdict.PASSED, judge())
    except NotJudged as reason:
        return Outcome(name, Verdict.NOT_JUDGED, str(reason))
    except Failed as reason:
        return Outcome(name, Verdict.FAILED, str(reason))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}:
            return Outcome(name, Verdict.NOT_JUDGED, f"your credentials lack a right: {error}")
        return Outcome(name, Verdict.FAILED, str(error))
    except BotoCoreError as error:
        return Outcome(name, Verdict.FAILED, str(error))


def expect(holds: bool, complaint: str) -> None:
    """Raise `Failed` with the complaint unless it holds."""
    if not holds:
        raise Failed(complaint)


def outcomes_of(checks: Iterable[Check], show: Callable[[Outcome], None]) -> list[Outcome]:
    """Make the checks in their order; `show` gets each outcome at once."""
    found = []
    for check in checks:
        outcome = outcome_of(check)
        show(outcome)
        found.append(outcome)
    return found
