"""podman as SAM's Docker, and a base image like Lambda's out of Debian packages; all of it in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.processes import SupervisedProcess
from local.stack import PROJECT

RUNTIME = Path(__file__).with_name("runc_without_rlimits.py")
IMAGE = "localhost/lambda-python:3.13"
SUITE = "trixie"  # its Python is 3.13, as Lambda's
PACKAGES = "base-files,dash,coreutils,python3,libstdc++6"
GATEWAY = "10.88.0.1"  # of podman's own network, where containers find this machine
START_SECONDS = 30.0
_PROGRAMS = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "ip": "iproute2"}

BOOTSTRAP = """\
#!/bin/sh
# As Lambda's own: libraries of the layers come before the runtime's.
export PYTHONPATH=/opt/python:/var/runtime PATH="$PATH:/opt/bin"
exec /usr/bin/python3 -m awslambdaric "$_HANDLER"
"""


def require_programs() -> None:
    """End this process with what to type, where one that is needed here is missing."""
    missing = [package for command, package in _PROGRAMS.items() if not shutil.which(command)]
    if missing:
        sys.exit(f"missing; please type: sudo apt-get install {' '.join(missing)}")


class Podman:
    """podman with images, containers and state below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "podman.sock"
        (folder / "run").mkdir()
        self._bridges_before = bridges()
        self._command = [
            *("podman", "--root", str(folder / "store"), "--runroot", str(folder / "run")),
            *("--runtime", str(RUNTIME), "--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        ]

    @property
    def docker_host(self) -> str:
        """The value of DOCKER_HOST for programs that look for Docker."""
        return f"unix://{self._socket}"

    def command(self, *arguments: str | Path) -> list[str]:
        """The words of a podman command."""
        return [*self._command, *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        """Run a podman command; returns its standard output. Raises CalledProcessError, with its words on stderr."""
        return subprocess.run(self.command(*arguments), stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    @contextmanager
    def service(self) -> Iterator[None]:
        """Speak Docker's API on `docker_host`."""
        log_path = self._folder / "service.log"
        with log_path.open("wb") as log:
            process = SupervisedProcess(
                [*self._command, "system", "service", "--time=0", self.docker_host],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not self._socket.exists():
                if process.ended or time.monotonic() > deadline:
                    raise RuntimeError(f"podman's service did not start:\n{log_path.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            self.run("rm", "--all", "--force", "--time", "0")
            process.stop()
            self.clean_up()

    def clean_up(self) -> None:
        """Remove containers, images and network interfaces, so that the folder can be deleted."""
        self.run("rm", "--all", "--force", "--time", "0")
        self.run("rmi", "--all", "--force")  # unmounts
        if not self._bridges_before:
            for bridge in bridges():
                if not any(Path("/sys/class/net", bridge, "brif").iterdir()):  # else somebody's containers use it
                    subprocess.run(["ip", "link", "delete", bridge], check=True)

    def import_debian(self, name: str, mirror: str) -> None:
        """Make a small Debian with apt, as `name`, which is no registry's image then."""
        root = self._folder / "debian.tar"
        # Their installation writes where the tests mount this machine's own.
        options = ["--quiet", "--variant=apt", "--include=ca-certificates"]
        subprocess.run(["mmdebstrap", *options, SUITE, root, mirror], check=True)
        self.run("import", "--quiet", root, name)
        root.unlink()

    def make_base_image(self, mirror: str) -> None:
        """Import Debian's Python and add Lambda's runtime client, as `IMAGE`."""
        root, context = self._folder / "root.tar", self._folder / "context"
        # Unpacked and not configured: no package's script has to run, in a chroot or elsewhere.
        options = ["--quiet", "--variant=extract", "--mode=chrootless", f"--include={PACKAGES}"]
        subprocess.run(["mmdebstrap", *options, SUITE, root, mirror], check=True)
        self.run("import", "--quiet", root, "localhost/debian-python:3.13")
        runtime = context / "runtime"
        install_runtime_client(runtime)
        (runtime / "bootstrap").write_text(BOOTSTRAP)
        (runtime / "bootstrap").chmod(0o755)
        (context / "Containerfile").write_text("FROM localhost/debian-python:3.13\nCOPY runtime /var/runtime\n")
        self.run("build", "--quiet", "--tag", IMAGE, context)


def bridges() -> list[str]:
    """podman's network interfaces on this machine, which it leaves behind."""
    return [path.name for path in Path("/sys/class/net").iterdir() if path.name in ("podman0", "cni-podman0")]


def debian_mirror() -> str:
    """The mirror that this machine's apt uses, as the ffmpeg layer finds it."""
    recipe = "import os; from debian import find_mirror; print(find_mirror(os.environ).uri)"
    command = [sys.executable, "-B", "-c", recipe]
    done = subprocess.run(command, cwd=PROJECT / "layers" / "ffmpeg", stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def install_runtime_client(folder: Path) -> None:
    """awslambdaric for Python 3.13, as it is pinned, whatever Python this is."""
    platform = f"manylinux2014_{os.uname().machine}"
    lock = PROJECT / "requirements-lambda.lock"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    wheels = ["--python-version", "3.13", "--platform", platform, "--platform", "any"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *wheels, "--target", folder, "--requirement", lock],
        check=True,
    )
