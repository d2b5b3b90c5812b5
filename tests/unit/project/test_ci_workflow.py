"""The forge's CI runs what developers run, from pinned actions, with no right to change anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))

DRAFTS_A_RELEASE = ("release.yml", "draft")

every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


@every_workflow
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    used = [line.strip() for line in workflow.read_text().splitlines() if "uses:" in line]

    assert used
    for line in used:
        assert re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@every_workflow
def test_reading_the_repository_is_the_only_right(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())

    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        if (workflow.name, name) == DRAFTS_A_RELEASE:
            assert job["permissions"] == {"contents": "write"}
            assert "checkout" not in str(job["steps"]), "what may change the repository runs nothing of it"
        else:
            assert "permissions" not in job
    assert "secrets." not in workflow.read_text()
    for step in steps(workflow):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_nothing_runs_only_there(workflow: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    for step in steps(workflow):
        command = step.get("run", "make check")
        made = re.fullmatch(r"make ([\w-]+)", command)
        from_elsewhere = command.startswith(("apt-get update", 'gh release create "$GITHUB_REF_NAME"'))
        assert from_elsewhere or (made and made[1] in targets), command


def test_a_release_is_a_draft_of_a_tag() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text())

    # YAML 1.1 reads the key `on` as true.
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    [create] = [step["run"] for step in workflow["jobs"]["draft"]["steps"] if "run" in step]
    assert {"--draft", "--verify-tag"} <= set(create.split())


def test_the_cached_layer_is_that_of_these_sources() -> None:
    folder = PROJECT / "layers" / "ffmpeg"
    workflows = "".join(workflow.read_text() for workflow in WORKFLOWS)
    patterns = re.findall(r"'(layers/ffmpeg/[^']+)'", workflows)

    hashed = {path for pattern in patterns for path in PROJECT.glob(pattern)}

    assert hashed == {path for path in folder.rglob("*") if path.suffix in {".c", ".mk", ".patch", ".py", ".sh"}}
