"""Follows what the functions log: from CloudWatch Logs, where AWS has it too, into a file for each log group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
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
        self._seen: dict[str, set[str]] = {group: set() for group in groups}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="function-logs", daemon=True)
        for group in self._seen:
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
        for group, seen in self._seen.items():
            for event_id, line in self._events(group):
                if event_id in seen:
                    continue
                seen.add(event_id)
                with self._path(group).open("a") as file:
                    file.write(f"{line}\n")
                if self._show:
                    self._show(group.rpartition("/")[2], line)

    def _events(self, group: str) -> Iterator[tuple[str, str]]:
        for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                yield event["eventId"], event["message"].rstrip("\n")

    def _path(self, group: str) -> Path:
        return self._folder / f"{group.rpartition('/')[2]}.log"
