"""What a person sees: a line a step, and a bar or a spinner while a step takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Console:
    """Standard output for a person or, without bars, for a log."""

    def __init__(self) -> None:
        self._out = rich.console.Console(highlight=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        """A plain line."""
        self._out.print(escape(text))

    def step(self, text: str) -> None:
        """A step begins."""
        self._out.print(f"[dim]{escape(text)} ...[/dim]")

    def done(self, what: str, text: str) -> None:
        """A step is over, with its figures."""
        self._out.print(f"[green]{escape(what):>14}[/green]  {escape(text)}")

    def log(self, function: str, line: str) -> None:
        """A line that a function logged; what Lambda itself adds to each invocation is left to the files."""
        if line.startswith(("START RequestId", "END RequestId", "REPORT RequestId")):
            return
        self._out.print(f"[dim]{escape(function):>14}  {escape(line)}[/dim]")

    def error(self, text: str) -> None:
        """What went wrong, on standard error."""
        rich.console.Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{escape(text)}[/red]")

    @contextmanager
    def bar(self, title: str, total: float | None, *, of_bytes: bool = False) -> Iterator[Callable[[float], None]]:
        """A progress bar; call what it gives with how much further it got. Nothing without a terminal."""
        columns = [TextColumn(f"{title:>14} "), BarColumn(40), DownloadColumn() if of_bytes else TaskProgressColumn()]
        with Progress(
            *columns, TimeElapsedColumn(), console=self._out, transient=True, disable=not self._out.is_terminal
        ) as progress:
            task = progress.add_task(title, total=total)
            yield lambda amount: progress.advance(task, amount)

    @contextmanager
    def wait(self, text: str) -> Iterator[None]:
        """A spinner beside a sentence; the sentence alone without a terminal."""
        if not self._out.is_terminal:
            self.step(text)
            yield
            return
        with self._out.status(escape(text)):
            yield
