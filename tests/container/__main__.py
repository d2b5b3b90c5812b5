"""`python -m tests.container`: the checks of `tests.container.checks`, and nothing of them afterwards.

Run as root on Debian; `make test-container` prepares everything. The checks have their own process ids and mounts, and
one folder for all that they write. So everything goes when they end, pass or fail, on Ctrl-C, and when this process is
killed: the processes first, with them the mounts, then the folder.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from local.processes import SupervisedProcess
from local.stack import PROJECT
from tests.sam_local.podman import require_programs

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def main() -> int:
    require_programs()
    folder = Path(tempfile.mkdtemp(prefix="audio-resampler-container-"))
    folder.chmod(0o755)  # apt reads in it, and is not root then
    checks = SupervisedProcess(
        [*NAMESPACES, sys.executable, "-m", "tests.container.checks", folder],
        work_folder=folder,
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        return checks.wait()[1]
    except KeyboardInterrupt:
        return 130
    finally:
        remove_empty_control_groups()
        left = folder.exists()
        sys.stdout.write(f"container: {f'{folder} could not be removed' if left else 'everything is removed again'}\n")


def remove_empty_control_groups() -> None:
    """What podman would have removed after its containers; a group with processes in it can't be removed."""
    for group in sorted(Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True):
        with suppress(OSError):
            group.rmdir()


if __name__ == "__main__":
    sys.exit(main())
