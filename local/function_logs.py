"""Follows what the functions log: from CloudWatch Logs, where AWS has it too, into a file for each log group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.deployment import Aws

if TYPE_CHECKING:
    from typing import Any

POLL_SECONDS = 1.0

LineSink = Callable[[str, str], None]


class FunctionLogs:
    """Copies new lines of the log groups to `folder` until `stop`; each also goes to `show` as (group, line)."""

    def __init__(self, aws: Aws, groups: Iterable[str], folder: Path, show: LineSink | None = None) -> None:
        self._logs: Any = aws.client("logs")
        self._folder = folder
        self._show = show
        self._groups = list(groups)
        self._sizes: dict[str, int] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="function-logs", daemon=True)
        for group in self._groups:
            self._path(group).write_text("")
        self._thread.start()

    def stop(self) -> None:
        """Fetch what there is and end."""
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._stopped.wait(POLL_SECONDS):
                self._fetch()
            self._fetch()
        except (BotoCoreError, ClientError):
            return  # the emulator has gone, and with it the reason to follow

    def _fetch(self) -> None:
        for group in self._groups:
            pages = self._logs.get_paginator("describe_log_streams").paginate(
                logGroupName=group, orderBy="LastEventTime", descending=True
            )
            for page in pages:
                changed = [
                    stream for stream in page["logStreams"] if self._sizes.get(stream["arn"]) != stream["storedBytes"]
                ]
                for stream in reversed(changed):
                    self._sizes[stream["arn"]] = stream["storedBytes"]
                    self._copy(group, stream["logStreamName"])
                if not changed:
                    break

    def _copy(self, group: str, stream: str) -> None:
        """Copy the events of a stream that came since the last time."""
        token = self._tokens.get((group, stream))
        position = {"nextToken": token} if token else {"startFromHead": True}
        answer = self._logs.get_log_events(logGroupName=group, logStreamName=stream, **position)
        self._tokens[group, stream] = answer["nextForwardToken"]
        lines = [event["message"].rstrip("\n") for event in answer["events"]]
        with self._path(group).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        if self._show:
            for line in lines:
                self._show(group.rpartition("/")[2], line)

    def _path(self, group: str) -> Path:
        return self._folder / f"{group.rpartition('/')[2]}.log"
