"""What the Serverless Application Repository shows is what the project says of itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
METADATA = templates.load(PROJECT / "template.yaml")["Metadata"]["AWS::ServerlessRepo::Application"]


def test_version_and_licence_are_the_projects() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert METADATA["Name"] == project["name"]
    assert METADATA["SemanticVersion"] == project["version"]
    assert (PROJECT / METADATA["LicenseUrl"]).read_text().startswith(f"{METADATA['SpdxLicenseId']} License")
    assert METADATA["Author"] in (PROJECT / METADATA["LicenseUrl"]).read_text()
    assert (PROJECT / METADATA["ReadmeUrl"]).is_file()


def test_it_keeps_the_repositorys_limits() -> None:
    assert len(METADATA["Name"]) <= 140
    assert len(METADATA["Description"]) <= 256
    assert len(METADATA["Author"]) <= 127
    assert len(METADATA["Labels"]) <= 10
