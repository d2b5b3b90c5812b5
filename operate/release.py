"""`python -m operate.release FOLDER ARCH=BUILD...`: what a release attaches, out of what `sam build` made.

FOLDER gets, for each processor, `ffmpeg-layer-ARCH.zip` (the layer alone) and `audio-resampler-ARCH.zip` (the built
template with everything that it deploys, so that `sam deploy` needs no build), a software bill of materials
(CycloneDX 1.6) and SHA256SUMS. The same build gives the same bytes.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "LICENSE", "samconfig.toml")
LONG_AGO = (1980, 1, 1, 0, 0, 0)
FFMPEG_LAYER, SHARED_LAYER = "FfmpegLayer", "SharedLayer"
DEBIAN_LICENCES = {
    "ffmpeg": "LGPL-2.1-or-later",
    "lame": "LGPL-2.0-or-later",
    "libsoxr": "LGPL-2.1-or-later",
    "zlib": "Zlib",
}

Component = dict[str, Any]


def main(arguments: list[str]) -> int:
    folder, *builds = arguments
    release = Path(folder)
    release.mkdir(parents=True, exist_ok=True)
    version = project_version()
    for pair in builds:
        architecture, _, name = pair.partition("=")
        build = Path(name)
        pack(release / f"ffmpeg-layer-{architecture}.zip", build / FFMPEG_LAYER)
        pack(release / f"audio-resampler-{architecture}.zip", build, PROJECT)
        bill = json.dumps(bill_of_materials(build, version), indent=2, ensure_ascii=False)
        (release / f"audio-resampler-{architecture}.cdx.json").write_text(f"{bill}\n", encoding="utf-8")
    sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(release.iterdir()) if path.name != "SHA256SUMS"]
    (release / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")
    return 0


def project_version() -> str:
    """The version of pyproject.toml."""
    return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])


def pack(archive: Path, folder: Path, documents: Path | None = None) -> None:
    """A zip file of a folder, and of the project's documents in `documents`. Programs stay executable."""
    entries = [(path, str(path.relative_to(folder))) for path in sorted(folder.rglob("*")) if path.is_file()]
    entries += [(documents / name, name) for name in DOCUMENTS if documents]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for path, name in entries:
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path.stat().st_mode & 0o100 else 0o100644) << 16
            content.writestr(entry, with_documents_beside_it(path) if name == "template.yaml" else path.read_bytes())


def with_documents_beside_it(template: Path) -> bytes:
    """A built template, whose documents are where `pack` puts them."""
    text = template.read_text(encoding="utf-8")
    return re.sub(r"(?m)^( *(?:LicenseUrl|ReadmeUrl): ).*?([^/\n]+)$", r"\1\2", text).encode()


def bill_of_materials(build: Path, version: str) -> dict[str, Any]:
    """A CycloneDX document (ECMA-424) of all that a build deploys and that others wrote."""
    components = [*python_packages(build / SHARED_LAYER / "python"), *debian_sources(build / FFMPEG_LAYER)]
    subject = {"type": "application", "bom-ref": "audio-resampler", "name": "audio-resampler", "version": version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**subject, "licenses": [{"license": {"id": "MIT"}}]}},
        "components": components,
        "dependencies": [{"ref": subject["bom-ref"], "dependsOn": [item["bom-ref"] for item in components]}],
    }


def python_packages(folder: Path) -> Iterator[Component]:
    """The packages of the shared layer, by what their wheels say about themselves."""
    for path in sorted(folder.glob("*.dist-info/METADATA")):
        said = email.parser.HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        name = str(said["Name"]).lower().replace("_", "-")
        licence = said["License-Expression"] or said["License"]
        yield component("library", name, str(said["Version"]), f"pkg:pypi/{name}@{said['Version']}", licence)


def debian_sources(layer: Path) -> Iterator[Component]:
    """What the programs of the ffmpeg layer are compiled from, and the programs with their hashes."""
    facts = dict(line.split(" ", 1) for line in (layer / "share/ffmpeg-layer/versions.txt").read_text().splitlines())
    for name, licence in DEBIAN_LICENCES.items():
        purl = f"pkg:deb/debian/{name}@{quote(facts[name], safe='')}?arch=source&distro={facts['suite']}"
        yield component("library", name, facts[name], purl, licence)
    yield component("library", "glibc", facts["glibc"], None, "LGPL-2.1-or-later")
    for path in sorted((layer / "bin").iterdir()):
        hashes = [{"alg": "SHA-256", "content": sha256(path)}]
        yield {"type": "file", "bom-ref": f"file:{path.name}", "name": f"bin/{path.name}", "hashes": hashes}


def component(kind: str, name: str, version: str, purl: str | None, licence: str | None) -> Component:
    """One entry. A licence that is no SPDX identifier goes by its name."""
    result: Component = {"type": kind, "bom-ref": purl or f"{name}@{version}", "name": name, "version": version}
    if purl:
        result["purl"] = purl
    if licence:
        is_identifier = " " not in licence
        result["licenses"] = [{"license": {"id" if is_identifier else "name": licence}}]
    return result


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
