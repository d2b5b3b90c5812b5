"""What comes from Debian: the signed sources, and the tools that compile them.

The sources are Debian source packages of one pinned suite. apt itself checks the chain of
trust (archive key -> InRelease -> Sources index -> file hashes), in a scratch state of its own:
the machine's package lists are neither used nor changed, only its mirror and its proxy are.
"""

import functools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from steps import CannotBuild, StepFailed, Steps, say

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")  # of the package ARCHIVE_KEYS
ETC_APT = Path("/etc/apt")
ARCHIVE_KEYS = "debian-archive-keyring"
APT_LISTS = Path("/var/lib/apt/lists")
LISTS_ARE_OLD_AFTER_SECONDS = 24 * 3600

TOOL_PACKAGES = {
    "gcc": "gcc",
    "make": "make",
    "nasm": "nasm",
    "dpkg-source": "dpkg-dev",
    "patch": "patch",
    "xz": "xz-utils",
}


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One place that a machine's apt takes packages from."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where Debian's archive is; `security_uri` is None on a machine that has no security mirror."""

    uri: str
    security_uri: str | None


def apt_entries(etc_apt: Path = ETC_APT) -> Iterator[AptEntry]:
    """The entries of sources.list and sources.list.d, in both formats that apt reads (sources.list(5))."""
    one_line_files = [etc_apt / "sources.list", *sorted(etc_apt.glob("sources.list.d/*.list"))]
    for file in one_line_files:
        if file.is_file():
            yield from _one_line_entries(file.read_text(errors="replace"))
    for file in sorted(etc_apt.glob("sources.list.d/*.sources")):
        yield from _deb822_entries(file.read_text(errors="replace"))


def _one_line_entries(text: str) -> Iterator[AptEntry]:
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)([^#]*)", line)
        if match:
            yield AptEntry(match[1], (match[2],), tuple(match[3].split()))


def _deb822_entries(text: str) -> Iterator[AptEntry]:
    without_comments = re.sub(r"(?m)^#.*\n?", "", text)
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields = {
            match[1].lower(): match[2].split() for match in re.finditer(r"(?m)^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza)
        }
        if fields.get("enabled", ["yes"])[0].lower() in ("no", "false", "0", "off"):
            continue
        for uri in fields.get("uris", []):
            yield AptEntry(uri, tuple(fields.get("suites", [])), tuple(fields.get("components", [])))


def find_mirror(environ: Mapping[str, str], etc_apt: Path = ETC_APT) -> Mirror:
    """The mirror to take sources from: DEBIAN_MIRROR, or else the one that this machine's apt uses.

    An entry is Debian's by its path (`/debian`, `/debian-security`); a wrong guess does no harm,
    since nothing passes apt without the signature of Debian's archive key.

    Raises:
        CannotBuild: apt knows no Debian mirror (on Ubuntu, for one).
    """
    named = environ.get("DEBIAN_MIRROR", "").rstrip("/")
    if named:
        return Mirror(named, environ.get("DEBIAN_SECURITY_MIRROR", "").rstrip("/") or f"{named}-security")
    found: dict[str, str] = {}
    for entry in apt_entries(etc_apt):
        parts = [part.removesuffix(".list") for part in urlsplit(entry.uri).path.split("/")]
        for name in ("debian", "debian-security"):
            if name in parts and "main" in entry.components:
                found.setdefault(name, entry.uri)
    if "debian" not in found:
        raise CannotBuild("apt knows no Debian mirror here; name one with DEBIAN_MIRROR=http://.../debian")
    return Mirror(found["debian"], found.get("debian-security"))


class SourceArchive:
    """Debian source packages of `SUITE`, through a scratch apt below `folder`."""

    def __init__(self, steps: Steps, folder: Path, mirror: Mirror) -> None:
        self._steps = steps
        self._folder = folder
        lists = folder / "state/lists/partial"
        archives = folder / "cache/archives/partial"
        lists.mkdir(parents=True)
        archives.mkdir(parents=True)
        sources = [(mirror.uri, SUITE), (mirror.uri, f"{SUITE}-updates")]
        if mirror.security_uri:
            sources.append((mirror.security_uri, f"{SUITE}-security"))
        else:
            say("this machine names no Debian security mirror; building without its newest fixes")
        source_list = folder / "sources.list"
        source_list.write_text("".join(f"deb-src [signed-by={KEYRING}] {uri} {suite} main\n" for uri, suite in sources))
        settings = {
            "Dir::Etc::sourcelist": source_list,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": "3",
            "Acquire::Languages": "none",
        }
        self._options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]

    def update(self) -> None:
        """Fetch the signed indexes."""
        self._steps.run(["apt-get", *self._options, "update"], cwd=self._folder)

    def download(self, package: str) -> str:
        """Download the newest source of `package`; its version.

        A mirror that is being updated lists a version shortly before it has the files. Then the
        version before it is taken, and said so.
        """
        versions = self._versions(package)
        for version in versions:
            try:
                self._apt_source(package, version)
            except StepFailed as failure:
                if "404" not in str(failure) or version == versions[-1]:
                    raise
                say(f"the mirror lists {package} {version} but does not have it; trying the version before it")
                continue
            return version
        raise StepFailed(f"the mirror has no source package {package} in {SUITE}.")

    def unpack(self, package: str, version: str) -> None:
        """Unpack a source that was downloaded, with Debian's patches, in the folder `package`."""
        # --no-check: apt has verified the .dsc against the signed index already, by hash.
        without_epoch = version.split(":", 1)[-1]
        dsc = f"{package}_{without_epoch}.dsc"
        self._steps.run(["dpkg-source", "--no-check", "-x", dsc, package], cwd=self._folder)

    def _apt_source(self, package: str, version: str) -> None:
        command = ["apt-get", *self._options, "source", "--download-only", "--only-source"]
        self._steps.run([*command, f"{package}={version}"], cwd=self._folder)

    def _versions(self, package: str) -> list[str]:
        """All versions that the suites list, newest first, by dpkg's own ordering."""
        listing = self._steps.run(["apt-cache", *self._options, "showsrc", "--only-source", package], cwd=self._folder)
        versions = set(re.findall(r"(?m)^Version: (\S+)$", listing))
        return sorted(versions, key=functools.cmp_to_key(compare_versions), reverse=True)


def compare_versions(left: str, right: str) -> int:
    """-1, 0 or 1, as dpkg orders Debian versions."""
    if left == right:
        return 0
    is_less = subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=False).returncode == 0
    return -1 if is_less else 1


def tools_to_install(cross_packages: Mapping[Path, str]) -> list[str]:
    """The Debian packages that a build needs and this machine lacks; only root gets any to install.

    `cross_packages` maps a file of a cross compiler to its package; it is empty for a native build.

    Raises:
        CannotBuild: there is no apt, or something is missing and we are not root.
    """
    if shutil.which("apt-get") is None:
        raise CannotBuild("there is no apt here, and the sources come as Debian packages")
    missing = [package for command, package in TOOL_PACKAGES.items() if shutil.which(command) is None]
    missing += [package for file, package in cross_packages.items() if not file.exists()]
    if not any(Path("/usr/lib").glob("*/libc.a")):
        missing.append("libc6-dev")
    if not KEYRING.is_file():
        missing.append(ARCHIVE_KEYS)
    if missing and os.geteuid() != 0:
        raise CannotBuild(f"build tools are missing; type: sudo apt-get install {' '.join(missing)}")
    return missing


def install_packages(steps: Steps, packages: Sequence[str]) -> None:
    """`apt-get install`, without questions, after an update when the lists are missing or old."""
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    if _lists_are_old():
        steps.run([*apt, "update"], cwd=Path("/"), env=environment)
    steps.run([*apt, "install", "--yes", "--no-install-recommends", *packages], cwd=Path("/"), env=environment)


def _lists_are_old() -> bool:
    indexes = [file.stat().st_mtime for file in APT_LISTS.glob("*Packages*")]
    touched = max([APT_LISTS.stat().st_mtime, *indexes]) if indexes else 0.0
    return time.time() - touched > LISTS_ARE_OLD_AFTER_SECONDS
