"""Building and mounting: what counts as a source, what is packed, and that a running stack keeps its layers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local import artefacts
from local.errors import BuildError

PROJECT = Path(__file__).resolve().parents[3]

TEMPLATE = {
    "Globals": {"Function": {"CodeUri": "functions/"}},
    "Resources": {
        "Work": {"Type": "AWS::Serverless::Function", "Properties": {}},
        "Own": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "own/"}},
        "Libraries": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "layers/shared"}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    },
}

MAKEFILE = """\
build-Work build-Own build-Libraries:
	cp content.txt "$(ARTIFACTS_DIR)"
	echo built >> ../builds.log
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("functions", "own", "layers/shared"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "Makefile").write_text(MAKEFILE)
        (tmp_path / folder / "content.txt").write_text("one")
    return tmp_path


def test_sources_are_the_folders_of_functions_and_layers() -> None:
    assert artefacts.sources(TEMPLATE, Path("/p")) == {
        "Work": Path("/p/functions"),
        "Own": Path("/p/own"),
        "Libraries": Path("/p/layers/shared"),
    }


def test_a_function_without_a_source_is_refused_by_name() -> None:
    with pytest.raises(BuildError, match="Work"):
        artefacts.sources({"Resources": {"Work": {"Type": "AWS::Serverless::Function"}}}, Path())


def test_make_builds_each_artefact_once_until_its_source_changes(project: Path) -> None:
    first = artefacts.build(TEMPLATE, project, project / "build")
    artefacts.build(TEMPLATE, project, project / "build")
    assert (project / "builds.log").read_text().count("built") == 2

    (project / "functions" / "content.txt").write_text("two")
    second = artefacts.build(TEMPLATE, project, project / "build")

    assert set(first.functions) == {"Work", "Own"}
    assert set(first.layers) == {"Libraries"}
    assert (project / "builds.log").read_text().count("built") == 3
    assert (second.functions["Work"] / "content.txt").read_text() == "two"
    assert (second.functions["Own"] / "content.txt").read_text() == "one"


def test_one_is_built_ahead_without_any_package(project: Path) -> None:
    """While the packages of this environment are still being installed: -S hides them. Paths are as the Makefile's."""
    command = [sys.executable, "-S", "-m", "local.artefacts", "Libraries", "layers/shared", "build"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run(command, cwd=project, env=environment, check=True)

    artefacts.build(TEMPLATE, project, project / "build", without={"Work", "Own"})

    assert (project / "layers/builds.log").read_text().count("built") == 1
    assert {path.name for path in (project / "layers/shared").iterdir()} == {"Makefile", "content.txt"}


def test_what_was_built_stays_until_its_successor_is_whole(project: Path) -> None:
    artefacts.build(TEMPLATE, project, project / "build")
    (project / "own" / "Makefile").write_text("build-Own:\n\tcp Makefile '$(ARTIFACTS_DIR)'; exit 1\n")

    with pytest.raises(BuildError, match="build-Own"):
        artefacts.build(TEMPLATE, project, project / "build")

    assert [path.name for path in (project / "build" / "Own").iterdir()] == ["content.txt"]


def test_one_that_cannot_be_built_ahead_is_said_on_standard_error(project: Path) -> None:
    arguments = ["Nothing", str(project / "layers/shared"), str(project / "build")]

    command = [sys.executable, "-m", "local.artefacts", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "build-Nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_programs_of_the_ffmpeg_layer_stay_where_they_are_until_they_change(project: Path) -> None:
    """Tests run them while others build."""
    source, built = project / "layers" / "ffmpeg", project / "build" / "FfmpegLayer"
    source.mkdir()
    (source / "Makefile").write_text("bin-dir:\n\t@echo $(CURDIR)\n")
    for name in ("ffmpeg", "ffprobe", "lame-frames"):
        (source / name).write_text("one")
    layer = {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "layers/ffmpeg"}}
    template = {"Resources": {"FfmpegLayer": layer}}

    artefacts.build(template, project, project / "build")
    with (built / "bin" / "lame-frames").open() as running:
        artefacts.build(template, project, project / "build")
        assert os.path.samestat(os.fstat(running.fileno()), (built / "bin" / "lame-frames").stat())
    (source / "lame-frames").write_text("another")
    artefacts.build(template, project, project / "build")

    assert {path.name: path.read_text() for path in (built / "bin").iterdir()} == {
        "ffmpeg": "one",
        "ffprobe": "one",
        "lame-frames": "another",
    }


def test_a_failed_build_says_what_make_said_and_is_tried_again(project: Path) -> None:
    (project / "own" / "content.txt").unlink()

    for _ in range(2):
        with pytest.raises(BuildError, match=r"build-Own[\s\S]*content\.txt"):
            artefacts.build(TEMPLATE, project, project / "build")


@pytest.mark.parametrize(
    ("name", "counts"),
    [("new.py", True), ("deep/new.py", True), ("__pycache__/new.pyc", False)],
)
def test_what_changes_the_hash_of_a_source_folder(tmp_path: Path, name: str, counts: bool) -> None:
    before = artefacts.source_hash(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x")

    assert (artefacts.source_hash(tmp_path) != before) == counts


def test_the_zip_file_holds_the_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.py").write_text("a = 1")

    archive = zipfile.ZipFile(io.BytesIO(artefacts.packed(tmp_path)))

    assert archive.namelist() == ["deep/a.py"]


def test_a_mounted_layer_outlives_the_next_build(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "python").mkdir(parents=True)
    (layer / "python" / "a.py").write_text("old")

    mounted = artefacts.mount(layer, tmp_path / "opt" / "layer")
    shutil.rmtree(layer)

    assert (mounted / "python" / "a.py").read_text() == "old"


def test_what_sam_built_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("Work", "Own", "Libraries"):
        (tmp_path / name).mkdir()

    built = artefacts.from_sam_build(TEMPLATE, tmp_path)

    assert built.functions == {"Work": tmp_path / "Work", "Own": tmp_path / "Own"}
    assert built.layers == {"Libraries": tmp_path / "Libraries"}


def test_a_missing_sam_build_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="run `sam build` first"):
        artefacts.from_sam_build(TEMPLATE, tmp_path)
