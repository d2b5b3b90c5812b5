"""What the functions wrote meanwhile: walls and fast paths that Lambda's sandbox lacks, times, memory, costs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from operate.verification.checks import Check, NotJudged, expect
from operate.verification.stack import DeployedStack
from operate.verification.use import Use

SETTLE_SECONDS = 5.0
"""CloudWatch shows what is a few seconds old."""

USD_PER_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
"""Lambda, us-east-1, first tier. https://aws.amazon.com/lambda/pricing/"""

_REPORT = re.compile(
    r"REPORT RequestId: \S+\s+Duration: ([\d.]+) ms\s+Billed Duration: (\d+) ms\s+Memory Size: (\d+) MB"
    r"\s+Max Memory Used: (\d+) MB(?:\s+Init Duration: ([\d.]+) ms)?"
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation, as Lambda reports it. Times in milliseconds, memory in MB."""

    duration: float
    billed: float
    memory: int
    used: int
    init: float | None


def checks(stack: DeployedStack, use: Use, began: float) -> Iterator[Check]:
    """`began` is the Unix time of the first upload."""
    reading = Reading(stack, use, began)
    yield "logs tell of no missing wall or fast path", reading.warnings
    yield "cold and warm starts", reading.starts
    yield "memory used", reading.memory
    yield "cost of this run", reading.cost


class Reading:
    """The lines of all log groups since the beginning, read once."""

    def __init__(self, stack: DeployedStack, use: Use, began: float) -> None:
        self._stack = stack
        self._use = use
        self._began = began
        self._lines: dict[str, list[str]] | None = None

    def lines(self) -> dict[str, list[str]]:
        """Lines by log group's logical id."""
        if self._lines is None:
            time.sleep(SETTLE_SECONDS if self._stack.api_url.startswith("https") else 0)
            paginator = self._stack.client("logs").get_paginator("filter_log_events")
            self._lines = {
                logical_id: [
                    event["message"]
                    for page in paginator.paginate(logGroupName=group, startTime=int(self._began * 1000))
                    for event in page["events"]
                ]
                for logical_id, group in self._stack.of_type("AWS::Logs::LogGroup").items()
            }
        return self._lines

    def warnings(self) -> str:
        """Every warning and error counts, but those about the file that is broken on purpose."""
        broken = self._use.jobs.get("broken", {}).get("id", "-")
        everything = [line for lines in self.lines().values() for line in lines]
        if not everything:
            raise NotJudged("no line has arrived yet")
        found = {
            str(entry.get("message"))
            for line in everything
            if broken not in line and (entry := _entry(line)).get("level") in {"WARNING", "ERROR", "CRITICAL"}
        }
        failed = any("ParallelEncodingFailed" in line for line in everything)
        expect(not failed, "ParallelEncodingFailed: long files take one encoder")
        expect(not found, "; ".join(sorted(found))[:300])
        return f"{len(everything)} lines"

    def invocations(self) -> dict[str, list[Invocation]]:
        found = {name: [item for line in lines if (item := _invocation(line))] for name, lines in self.lines().items()}
        if not any(found.values()):
            raise NotJudged("Lambda's reports are not logged (SystemLogLevel WARN); see the Lambda console")
        return found

    def starts(self) -> str:
        rows = []
        for name, invocations in self.invocations().items():
            cold = sorted(item.init for item in invocations if item.init is not None)
            warm = sorted(item.duration for item in invocations if item.init is None)
            told = [f"{len(cold)} cold, {cold[len(cold) // 2]:.0f} ms"] if cold else []
            told += [f"{len(warm)} warm, {warm[len(warm) // 2]:.0f} ms"] if warm else []
            rows += [f"{name.removesuffix('LogGroup')}: {', '.join(told)}"] if told else []
        return "; ".join(rows)

    def memory(self) -> str:
        rows = []
        for name, invocations in self.invocations().items():
            if invocations:
                used, size = max(item.used for item in invocations), invocations[0].memory
                expect(used < size, f"{name.removesuffix('LogGroup')} used all of its {size} MB")
                rows.append(f"{name.removesuffix('LogGroup')}: {used} of {size} MB")
        return "; ".join(rows)

    def cost(self) -> str:
        price = USD_PER_GB_SECOND[self._stack.parameters.get("Architecture") or "x86_64"]
        billed = [item for items in self.invocations().values() for item in items]
        usd = sum(item.billed / 1000 * item.memory / 1024 for item in billed) * price
        return f"{usd:.5f} USD for {len(billed)} invocations of Lambda"


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _invocation(line: str) -> Invocation | None:
    """The report of an invocation, as text or, with JSON logging, as `platform.report`."""
    if found := _REPORT.search(line):
        duration, billed, memory, used, init = found.groups()
        return Invocation(float(duration), float(billed), int(memory), int(used), float(init) if init else None)
    entry = _entry(line)
    if entry.get("type") != "platform.report":
        return None
    metrics = entry["record"]["metrics"]
    return Invocation(
        metrics["durationMs"],
        metrics["billedDurationMs"],
        metrics["memorySizeMB"],
        metrics["maxMemoryUsedMB"],
        metrics.get("initDurationMs"),
    )
