#!/usr/bin/env python3
"""The ffmpeg layer's front door: find or build ffmpeg, ffprobe and lame-frames.

    layer.py bin-dir          print the folder that holds the ffmpeg and ffprobe to use on this machine
    layer.py install DIR      write the layer's content to DIR (bin/, share/): our own build, or what the variable
                              FFMPEG_LAYER_ZIP names, a layer that was built before
    layer.py clean            remove the cache

A build is kept under a name that contains the hash of its recipe, so an unchanged recipe costs
nothing and a changed one can't be confused with it.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from debian import install_packages
from recipe import RECIPE_FILES, TARGETS, Build, Target, find_supplies, target_for
from steps import CannotBuild, StepFailed, Steps, say

HERE = Path(__file__).resolve().parent
LAYER_ZIP = "FFMPEG_LAYER_ZIP"
ELF_MACHINES = {"x86_64": 62, "arm64": 183}  # elf(5): EM_X86_64, EM_AARCH64
NEEDED_PROGRAMS = ("ffmpeg", "ffprobe")
PROGRAMS = (*NEEDED_PROGRAMS, "lame-frames")


def cache_folder() -> Path:
    """Where builds are kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "audio-resampler"


def build_name(target: Target) -> str:
    """The name of a build: its processor, and a hash of all that decides how it turns out."""
    digest = hashlib.sha256(repr(target).encode())
    for name in RECIPE_FILES:
        digest.update(f"\0{name}\0".encode() + (HERE / name).read_bytes())
    return f"ffmpeg-{target.arch}-{digest.hexdigest()}"


def holds_programs(folder: Path, names: Sequence[str] = PROGRAMS) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in names)


def built(target: Target) -> Path:
    """The folder of the finished build for `target`, which is made now if there is none."""
    cache = cache_folder()
    finished = cache / build_name(target)
    if holds_programs(finished / "bin"):
        return finished
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{finished.name}.lock"):
        if not holds_programs(finished / "bin"):
            build_into(finished, target)
    return finished


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, which the kernel drops with the process, however it ends."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of the same recipe is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_into(finished: Path, target: Target) -> None:
    """Build beside `finished` and rename at the end, so that it is there entirely or not at all."""
    prefix = f".{finished.name}-"
    for abandoned in finished.parent.glob(f"{prefix}*"):
        shutil.rmtree(abandoned)  # of a build that was killed: we hold the lock, so it can't be at work
    supplies = find_supplies(target)
    started = time.monotonic()
    say(f"building for {target.arch}, once; this takes about a minute on two idle cores")
    with tempfile.TemporaryDirectory(prefix=prefix, dir=finished.parent) as work:
        result = Build(target, supplies, Path(work)).run()
        shutil.rmtree(finished, ignore_errors=True)
        result.rename(finished)
    say(f"built in {time.monotonic() - started:.0f} s: {finished}")
    sys.stderr.write((finished / "share/ffmpeg-layer/versions.txt").read_text())


def install(target: Target, destination: Path) -> None:
    """Write the layer's content to `destination`, which becomes /opt on Lambda."""
    if archive := os.environ.get(LAYER_ZIP):
        unpack(Path(archive), target, destination)
        return
    try:
        layer = built(target)
    except CannotBuild as reason:
        ready = f"make deploy LAYER=ffmpeg-layer-{target.arch}.zip"
        raise CannotBuild(f"{reason}. A layer that was built before needs nothing of this: {ready}") from reason
    shutil.copytree(layer, destination, dirs_exist_ok=True)
    shutil.copy(HERE / "LICENSES.md", destination / "share/ffmpeg-layer/LICENSES.md")


def unpack(archive: Path, target: Target, destination: Path) -> None:
    """Unpack a layer that was built before.

    Raises:
        CannotBuild: it is no such file, or its programs are for another processor.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(destination)
    except (OSError, zipfile.BadZipFile) as error:
        raise CannotBuild(f"{archive} can't be unpacked as a layer: {error}") from error
    for name in NEEDED_PROGRAMS:
        program = destination / "bin" / name
        if not program.is_file():
            raise CannotBuild(f"{archive} is no ffmpeg layer: it has no bin/{name}.")
        if elf_machine(program) != ELF_MACHINES[target.arch]:
            raise CannotBuild(
                f"{archive} is not for {target.arch}, the stack's processor; give the layer for {target.arch}."
            )
    for program in (destination / "bin").iterdir():
        program.chmod(0o755)


def elf_machine(program: Path) -> int:
    """For which processor a program is (`e_machine` of elf(5)); 0 for what is no program of Linux."""
    head = program.read_bytes()[:20]
    return int.from_bytes(head[18:20], "little") if head.startswith(b"\x7fELF") else 0


def usable_bin_dir() -> Path:
    """The folder with the ffmpeg and ffprobe to use here: our own build, else what the system has.

    Raises:
        CannotBuild: no build is possible, and there is no usable ffmpeg either.
    """
    try:
        return built(host_target()) / "bin"
    except (CannotBuild, StepFailed) as failure:
        reason = str(failure)
    folder = system_bin_dir() or installed_bin_dir()
    if folder is None:
        raise CannotBuild(
            f"{reason}\nThere is no ffmpeg with libmp3lame and libsoxr on PATH either: install the package `ffmpeg`."
        )
    say(f"using the ffmpeg in {folder}, because the layer's own is not to be had: {reason}")
    return folder


def host_target() -> Target:
    """The target that this machine itself is."""
    machine = platform.machine()
    for arch, target in TARGETS.items():
        if target.machine == machine and sys.platform == "linux":
            return target_for(arch)
    raise CannotBuild(f"there is no recipe for {sys.platform} on {machine}")


def system_bin_dir() -> Path | None:
    """The first folder on PATH with an ffmpeg and ffprobe that can do the work."""
    for name in os.get_exec_path():
        folder = Path(name)
        if folder.is_absolute() and holds_programs(folder, NEEDED_PROGRAMS) and is_fit(folder / "ffmpeg"):
            return folder
    return None


def is_fit(ffmpeg: Path) -> bool:
    """Does it have the encoder and the resampler that the engine asks for?"""
    try:
        finished = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return finished.returncode == 0 and all(
        option in finished.stdout for option in ("--enable-libmp3lame", "--enable-libsoxr")
    )


def installed_bin_dir() -> Path | None:
    """As root where there is apt: the distribution's ffmpeg, installed now."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    with tempfile.TemporaryDirectory() as logs:
        steps = Steps(Path(logs))
        try:
            with steps.step("apt-get install ffmpeg"):
                install_packages(steps, ["ffmpeg"])
        except StepFailed as failure:
            say(str(failure))
            return None
    return system_bin_dir()


def clean() -> None:
    """Remove all builds."""
    for entry in cache_folder().glob("*ffmpeg-*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _exit_on_signal(number: int, _: FrameType | None) -> NoReturn:
    """Turn a polite kill into an exception, so that compilers are ended and scratch folders removed."""
    sys.exit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bin-dir")
    commands.add_parser("clean")
    installer = commands.add_parser("install")
    installer.add_argument("--arch", choices=sorted(TARGETS), default="x86_64")
    installer.add_argument("destination", type=Path)
    arguments = parser.parse_args()

    signal.signal(signal.SIGTERM, _exit_on_signal)
    signal.signal(signal.SIGHUP, _exit_on_signal)
    try:
        match arguments.command:
            case "bin-dir":
                sys.stdout.write(f"{usable_bin_dir()}\n")
            case "install":
                install(target_for(arguments.arch), arguments.destination)
            case "clean":
                clean()
    except (CannotBuild, StepFailed) as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was kept")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
