"""What a release holds: layers, built stacks, a bill of materials, checksums."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from operate import release

VERSIONS = """\
arch x86_64
suite trixie
ffmpeg 7:7.1.5-0
lame 3.100-6
libsoxr 0.1.3-4
zlib 1:1.3.1-1
glibc GNU C Library 2.41
"""
METADATA = {
    "boto3-1.43.106": "Metadata-Version: 2.1\nName: boto3\nVersion: 1.43.106\nLicense: Apache-2.0\n\nText: none\n",
    "python_dateutil-2.9.0": "Metadata-Version: 2.1\nName: python-dateutil\nVersion: 2.9.0\nLicense: Dual License\n",
    "urllib3-2.8.0": "Metadata-Version: 2.4\nName: urllib3\nVersion: 2.8.0\nLicense-Expression: MIT\n",
}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder as `sam build` leaves it."""
    files = {
        "template.yaml": "Metadata:\n  Repository:\n    LicenseUrl: ../../LICENSE\n    ReadmeUrl: ../../README.md\n",
        "ApiFunction/api/app.py": "",
        "FfmpegLayer/bin/ffmpeg": "a program",
        "FfmpegLayer/share/ffmpeg-layer/versions.txt": VERSIONS,
        **{f"SharedLayer/python/{name}.dist-info/METADATA": text for name, text in METADATA.items()},
    }
    for name, text in files.items():
        path = tmp_path / "build" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "build/FfmpegLayer/bin/ffmpeg").chmod(0o755)
    return tmp_path / "build"


def made(folder: Path, build: Path) -> dict[str, bytes]:
    assert release.main([str(folder), f"x86_64={build}"]) == 0
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_everything_is_there_with_its_checksum(build: Path, tmp_path: Path) -> None:
    files = made(tmp_path / "release", build)

    assert set(files) == {
        "SHA256SUMS",
        "audio-resampler-x86_64.cdx.json",
        "audio-resampler-x86_64.zip",
        "ffmpeg-layer-x86_64.zip",
    }
    rows = [line.split("  ") for line in files["SHA256SUMS"].decode().splitlines()]
    sums = {name: digest for digest, name in rows}
    assert sums == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "SHA256SUMS"
    }


def test_the_zip_files_hold_what_is_deployed(build: Path, tmp_path: Path) -> None:
    made(tmp_path / "release", build)

    with zipfile.ZipFile(tmp_path / "release/ffmpeg-layer-x86_64.zip") as layer:
        assert set(layer.namelist()) == {"bin/ffmpeg", "share/ffmpeg-layer/versions.txt"}
        assert layer.getinfo("bin/ffmpeg").external_attr >> 16 == 0o100755
        assert layer.getinfo("share/ffmpeg-layer/versions.txt").external_attr >> 16 == 0o100644
    with zipfile.ZipFile(tmp_path / "release/audio-resampler-x86_64.zip") as stack:
        assert {"template.yaml", "ApiFunction/api/app.py", "FfmpegLayer/bin/ffmpeg", "README.md", "LICENSE"} <= set(
            stack.namelist()
        )
        template = stack.read("template.yaml").decode()
    assert template == "Metadata:\n  Repository:\n    LicenseUrl: LICENSE\n    ReadmeUrl: README.md\n"


def test_the_same_build_gives_the_same_bytes(build: Path, tmp_path: Path) -> None:
    first = made(tmp_path / "first", build)
    (build / "template.yaml").touch()

    assert made(tmp_path / "second", build) == first


def test_the_bill_names_what_others_wrote(build: Path) -> None:
    bill = release.bill_of_materials(build, "1.2.3")

    components = {item["name"]: item for item in bill["components"]}
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == "1.2.3"
    assert components["boto3"]["purl"] == "pkg:pypi/boto3@1.43.106"
    assert components["boto3"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert components["python-dateutil"]["licenses"] == [{"license": {"name": "Dual License"}}]
    assert components["urllib3"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert components["ffmpeg"]["purl"] == "pkg:deb/debian/ffmpeg@7%3A7.1.5-0?arch=source&distro=trixie"
    assert {"lame", "libsoxr", "zlib", "glibc"} <= set(components)
    assert components["bin/ffmpeg"]["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(b"a program").hexdigest()}
    ]
    references = [item["bom-ref"] for item in bill["components"]]
    assert len(set(references)) == len(references)
    assert bill["dependencies"][0]["dependsOn"] == references
    json.dumps(bill)
