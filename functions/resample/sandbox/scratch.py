"""Scratch space of an invocation: a folder in ``/tmp`` that is gone when the work ends, however it ends."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"job-(?P<process>[0-9]+)-.*")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder; what a killed process left is deleted first.

    Lambda keeps ``/tmp`` when it starts a killed process anew. A process does one thing at a time, so what bears its
    own number was left by a process before it.
    """
    for folder in Path(tempfile.gettempdir()).glob("job-*"):
        name = _NAME.fullmatch(folder.name)
        if name and not _is_another_at_work(int(name["process"])):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"job-{os.getpid()}-") as path:
        yield Path(path)


def _is_another_at_work(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
