"""Builds what the template's functions and layers run, with the very make targets that SAM uses, and packs it.

`python -m local.artefacts LOGICAL_ID SOURCE BUILD_FOLDER` builds one of them ahead, and needs no package but pip.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import BuildError
from local.processes import SupervisedProcess

SOURCE_PROPERTIES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
FFMPEG_LAYER = "FfmpegLayer"
FFMPEG_PROGRAMS = ("ffmpeg", "ffprobe", "lame-frames")  # the last is ours, and no other layer has it
NOT_SOURCES = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What was built: folders, by logical id, with the content that Lambda would unpack to /var/task or /opt."""

    functions: dict[str, Path]
    layers: dict[str, Path]


def sources(template: dict[str, Any], project: Path) -> dict[str, Path]:
    """The source folder of each function and layer that the template builds, by logical id."""
    defaults = template.get("Globals", {})
    found = {}
    for logical_id, resource in template["Resources"].items():
        name = SOURCE_PROPERTIES.get(resource["Type"])
        if not name:
            continue
        section = defaults.get(resource["Type"].rpartition("::")[2], {})
        location = resource.get("Properties", {}).get(name, section.get(name))
        if not isinstance(location, str):
            raise BuildError(f"{logical_id} of the template has no {name} that names a folder.")
        found[logical_id] = project / location
    return found


def build(template: dict[str, Any], project: Path, build_folder: Path, *, without: Collection[str] = ()) -> Artefacts:
    """Build all that has changed since the last time. Raises BuildError with the end of make's output.

    `without` names logical ids to leave alone.
    Of the ffmpeg layer it takes the programs for this machine, which need not be the Lambda's processor; when they have
    to be built, that shows its progress on standard error.
    """
    build_folder.mkdir(parents=True, exist_ok=True)
    with _locked(build_folder / "lock"):
        return _sorted_by_type(
            template,
            {
                logical_id: _ffmpeg_layer(source, build_folder / logical_id)
                if logical_id == FFMPEG_LAYER
                else _built(logical_id, source, build_folder)
                for logical_id, source in sources(template, project).items()
                if logical_id not in without
            },
        )


def build_one(logical_id: str, source: Path, build_folder: Path) -> None:
    """Build one function or layer if it has changed, for `build` to find. Raises BuildError as `build` does."""
    build_folder.mkdir(parents=True, exist_ok=True)
    with _locked(build_folder / "lock"):
        _built(logical_id, source, build_folder)


def from_sam_build(template: dict[str, Any], sam_build_folder: Path) -> Artefacts:
    """The same out of the folder that `sam build` left behind (.aws-sam/build), ffmpeg layer included."""
    folders = {logical_id: sam_build_folder / logical_id for logical_id in sources(template, sam_build_folder)}
    for folder in folders.values():
        if not folder.is_dir():
            raise BuildError(f"There is no {folder}; run `sam build` first.")
    return _sorted_by_type(template, folders)


def packed(folder: Path) -> bytes:
    """A zip file of a folder, uncompressed: it travels over loopback only."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", strict_timestamps=False) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
    return archive.getvalue()


def mount(layer: Path, place: Path) -> Path:
    """Show a layer's content at `place`, which a later build does not touch. Returns `place`."""
    try:
        shutil.copytree(layer, place, copy_function=os.link)
    except (OSError, shutil.Error):  # another file system
        shutil.copytree(layer, place, dirs_exist_ok=True)
    return place


def _sorted_by_type(template: dict[str, Any], folders: dict[str, Path]) -> Artefacts:
    resources = template["Resources"]

    def of_type(name: str) -> dict[str, Path]:
        return {logical_id: folder for logical_id, folder in folders.items() if resources[logical_id]["Type"] == name}

    return Artefacts(of_type("AWS::Serverless::Function"), of_type("AWS::Serverless::LayerVersion"))


def _ffmpeg_layer(source: Path, folder: Path) -> Path:
    """Folder of the layer, which is left alone while its programs are the same: others may be running them."""
    output = _make("-s", "-C", source, "bin-dir", f"PYTHON={sys.executable}", show=True)
    programs = [path for name in FFMPEG_PROGRAMS if (path := Path(output.strip(), name)).is_file()]
    for name in ("ffmpeg", "ffprobe"):
        if name not in {path.name for path in programs}:
            raise BuildError(f"`make -C layers/ffmpeg bin-dir` names a folder without {name}: {output.strip()}")
    place = folder / "bin"
    if not all((place / path.name).is_file() and filecmp.cmp(path, place / path.name) for path in programs):
        shutil.rmtree(folder, ignore_errors=True)
        place.mkdir(parents=True)
        for path in programs:
            shutil.copy2(path, place)
    return folder


def _built(logical_id: str, source: Path, build_folder: Path) -> Path:
    """Folder of the artefact, made anew when its sources or the interpreter have changed."""
    folder = build_folder / logical_id
    stamp = build_folder / f"{logical_id}.sources"
    fingerprint = f"{source_hash(source)} {sys.version}"
    if folder.is_dir() and stamp.is_file() and stamp.read_text() == fingerprint:
        return folder
    new = build_folder / f"{logical_id}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    python = f"PYTHON={sys.executable}"
    bytecode = f"BYTECODE_{python}"  # the embedded AWS runs functions in this interpreter, whatever Lambda's is
    _make("-s", "-C", source, f"build-{logical_id}", f"ARTIFACTS_DIR={new.resolve()}", python, bytecode)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    stamp.write_text(fingerprint)
    return folder


def source_hash(folder: Path) -> str:
    """A hash of names and contents of all files below a folder, caches aside."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and NOT_SOURCES.isdisjoint(path.parts):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _make(*arguments: str | Path, show: bool = False) -> str:
    """Run make and return its standard output; what it reports goes to the terminal (`show`) or into the error."""
    # Flags of a make that runs us are not meant for this one.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    process = SupervisedProcess(
        ["make", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
    )
    output, status = process.wait()
    text = output.decode(errors="replace")
    if status:
        command = " ".join(["make", *map(str, arguments)])
        end = "\n".join(text.splitlines()[-15:])
        raise BuildError(f"`{command}` failed.\n{end}".rstrip())
    return text


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which the system drops with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Build one function or layer. Returns the exit status."""
    logical_id, source, build_folder = arguments
    try:
        build_one(logical_id, Path(source), Path(build_folder))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
