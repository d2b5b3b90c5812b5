"""The ffmpeg that `make -s -C layers/ffmpeg bin-dir` names can do what the service needs, and nothing more.

Where the machine could not build the layer's own, the facts that only the own build has are skipped.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from resample.formats.mpeg_frames import iterate_mpeg_frames, parse_side_info
from tests.audio import synth
from tests.audio.programs import LAYER, bin_dir_as_made, run_full_ffmpeg

PLAYLIST_AND_NETWORK = {"hls", "dash", "concat", "rtsp", "sdp", "rtp", "webm_dash_manifest", "http", "tcp", "udp"}


def run(program: Path, *arguments: str | Path) -> str:
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(bin_dir: Path, kind: str) -> set[str]:
    """The names that `ffmpeg -<kind>` lists; names with commas stand for several."""
    rows = run(bin_dir / "ffmpeg", "-v", "quiet", f"-{kind}").splitlines()
    columns = [row.split() for row in rows]
    if kind == "protocols":
        return {words[0] for words in columns if len(words) == 1 and not words[0].endswith(":")}
    return {name for words in columns if len(words) > 2 and words[1] != "=" for name in words[1].split(",")}


def probe(bin_dir: Path, file: Path) -> dict[str, Any]:
    shown = run(bin_dir / "ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", file)
    return dict(json.loads(shown))


def to_mp3(bin_dir: Path, source: Path, *arguments: str) -> Path:
    """Encode as the engine does: soxr, 32 kHz, LAME, tags kept."""
    mp3 = source.with_name(f"{source.name}.mp3")
    resample = ("-af", "aresample=resampler=soxr:precision=28", "-ar", "32000")
    tags = ("-map_metadata", "0", "-id3v2_version", "3")
    run(bin_dir / "ffmpeg", "-nostdin", "-v", "error", "-i", source, "-map", "0:a:0", *arguments, *resample, *tags, mp3)
    return mp3


def is_static(program: Path) -> bool:
    """A dynamic ELF program names an interpreter."""
    headers = program.read_bytes()[:4096]
    return headers.startswith(b"\x7fELF") and b"/ld-linux" not in headers


# --- what callers are promised


def test_stdout_is_the_folder_and_nothing_else(bin_dir: Path) -> None:
    output = bin_dir_as_made()

    assert output == f"{bin_dir}\n"
    assert (bin_dir / "ffmpeg").is_file()
    assert (bin_dir / "ffprobe").is_file()


def test_unchanged_recipe_is_not_built_again(own_bin_dir: Path) -> None:
    built_at = (own_bin_dir / "ffmpeg").stat().st_mtime_ns

    bin_dir_as_made()

    assert (own_bin_dir / "ffmpeg").stat().st_mtime_ns == built_at


# --- what the programs are


@pytest.mark.parametrize("program", ["ffmpeg", "ffprobe"])
def test_own_build_is_static_and_recent(own_bin_dir: Path, program: str) -> None:
    version = re.match(rf"{program} version (\d+)\.(\d+)", run(own_bin_dir / program, "-version"))

    assert version is not None
    assert (int(version[1]), int(version[2])) >= (7, 1)
    assert is_static(own_bin_dir / program)


def test_own_build_is_small(own_bin_dir: Path) -> None:
    size_bytes = sum(program.stat().st_size for program in own_bin_dir.iterdir())

    assert size_bytes < 14_000_000


def test_own_build_is_lgpl(own_bin_dir: Path) -> None:
    configuration = run(own_bin_dir / "ffmpeg", "-version")
    licence = run(own_bin_dir / "ffmpeg", "-v", "quiet", "-L")

    assert "Lesser General Public" in licence
    assert not re.search(r"--enable-(gpl|nonfree|version3)", configuration)


def test_own_build_tells_nothing_of_the_machine_that_made_it(own_bin_dir: Path) -> None:
    for program in own_bin_dir.iterdir():
        assert str(Path.home()).encode() + b"/" not in program.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "pcm", "complaint"),
    [
        (("32000", "2", "128000"), bytes(8 * 5000 + 4), "the PCM breaks off"),
        (("31000", "2", "128000"), b"", "LAME does not have these rates"),
        (("32000", "3", "128000"), b"", "usage"),
        (("32000", "2"), b"", "usage"),
    ],
)
def test_lame_frames_fails_rather_than_guess(
    own_bin_dir: Path, arguments: tuple[str, ...], pcm: bytes, complaint: str
) -> None:
    done = subprocess.run([own_bin_dir / "lame-frames", *arguments], input=pcm, capture_output=True, check=False)

    assert done.returncode == 1
    assert complaint in done.stderr.decode()


@pytest.mark.parametrize("rate", ["128000", "v2"])
def test_lame_frames_writes_what_ffmpeg_writes(own_bin_dir: Path, tmp_path: Path, rate: str) -> None:
    pcm = tmp_path / "tone.f32"
    pcm.write_bytes(run_full_ffmpeg("-f", "lavfi", "-i", "sine=d=3:r=32000,aformat=cl=stereo", "-f", "f32le", "pipe:1"))
    as_raw_pcm = ("-f", "f32le", "-ar", "32000", "-ac", "2", "-i", pcm)
    asked = ("-q:a", rate[1:]) if rate.startswith("v") else ("-b:a", rate)
    mp3 = tmp_path / "tone.mp3"
    no_head = ("-map_metadata", "-1", "-id3v2_version", "0", "-write_xing", "0")

    run(own_bin_dir / "ffmpeg", "-nostdin", "-v", "error", *as_raw_pcm, *asked, *no_head, mp3)
    frames = subprocess.run(
        [own_bin_dir / "lame-frames", "32000", "2", rate], input=pcm.read_bytes(), capture_output=True, check=True
    )

    assert frames.stdout == mp3.read_bytes()


@pytest.mark.parametrize(("sample_rate", "quality"), [(32_000, 0), (44_100, 4), (24_000, 9)])
def test_a_variable_bit_rate_brings_the_reservoir_to_one_level_at_regular_places(
    own_bin_dir: Path, sample_rate: int, quality: int
) -> None:
    noise = run_full_ffmpeg(
        "-f", "lavfi", "-i", f"anoisesrc=a=0.2:d=11:r={sample_rate}:seed=1", "-f", "f32le", "pipe:1"
    )

    command = [str(own_bin_dir / "lame-frames"), str(sample_rate), "1", f"v{quality}"]
    mp3 = subprocess.run(command, input=noise, capture_output=True, check=True).stdout

    mpeg_frames = enumerate(iterate_mpeg_frames(mp3))
    empty = {index for index, mpeg_frame in mpeg_frames if not parse_side_info(mp3, mpeg_frame).main_data_begin}
    assert {99, 295} <= empty <= {0, *range(92, 100), *range(288, 296)}


def test_own_build_comes_with_its_versions_and_licences(own_bin_dir: Path) -> None:
    share = own_bin_dir.parent / "share" / "ffmpeg-layer"

    names = {line.split()[0] for line in (share / "versions.txt").read_text().splitlines()}

    assert {"ffmpeg", "lame", "libsoxr", "zlib", "glibc"} <= names
    assert {path.name.split("-")[0] for path in (share / "licenses").iterdir()} == {"ffmpeg", "lame", "libsoxr", "zlib"}


def test_layer_holds_what_lambda_mounts_at_opt(own_bin_dir: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["make", "-s", "-C", LAYER, "build-FfmpegLayer", f"ARTIFACTS_DIR={tmp_path}", f"PYTHON={sys.executable}"],
        check=True,
    )

    assert run(tmp_path / "bin/ffmpeg", "-version") == run(own_bin_dir / "ffmpeg", "-version")
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {"ffmpeg", "ffprobe", "lame-frames"}
    assert (tmp_path / "share/ffmpeg-layer/LICENSES.md").is_file()


# --- what is in, and what is not


def test_own_build_opens_files_and_pipes_only(own_bin_dir: Path) -> None:
    assert listed(own_bin_dir, "protocols") == {"file", "pipe", "fd"}
    assert not listed(own_bin_dir, "demuxers") & PLAYLIST_AND_NETWORK


def test_encoder_resampler_and_demuxers_are_there(bin_dir: Path) -> None:
    assert "libmp3lame" in listed(bin_dir, "encoders")
    assert "--enable-libsoxr" in run(bin_dir / "ffmpeg", "-version")
    assert {"wav", "w64", "aiff", "au", "caf", "mp3", "flac", "ogg", "mov", "aac"} <= listed(bin_dir, "demuxers")
    assert {"matroska", "mpegts", "asf", "amr", "ac3", "eac3", "dts", "wv", "ape", "tta"} <= listed(bin_dir, "demuxers")
    assert {"mpc", "mpc8", "dsf", "iff", "shn"} <= listed(bin_dir, "demuxers")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *((".wav", f"pcm_{kind}") for kind in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")),
        *((".wav", codec) for codec in ("adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha")),
        *((".w64", codec) for codec in ("pcm_s16le",)),
        *((".aiff", codec) for codec in ("pcm_s16be", "pcm_s24be", "pcm_f32be")),
        (".au", "pcm_s16be"),
        (".caf", "alac"),
        (".mp3", "libmp3lame"),
        (".mp2", "mp2"),
        (".flac", "flac"),
        (".ogg", "libvorbis"),
        (".opus", "libopus"),
        (".m4a", "aac"),
        (".m4a", "alac"),
        (".aac", "aac"),
    ],
)
def test_every_accepted_codec_becomes_a_32_khz_mp3(bin_dir: Path, tmp_path: Path, suffix: str, codec: str) -> None:
    rate = ("-ar", "48000") if codec == "libopus" else ()
    source = synth.encode(tmp_path / f"tone{suffix}", synth.tone(1.0), "-c:a", codec, *rate)

    mp3 = to_mp3(bin_dir, source)

    (stream,) = probe(bin_dir, mp3)["streams"]
    assert (stream["codec_name"], stream["sample_rate"]) == ("mp3", "32000")
    assert float(stream["duration"]) == pytest.approx(1.0, abs=0.15)


# --- cover art


@pytest.fixture(params=["png", "jpg"])
def cover(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"cover.{request.param}"
    run_full_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48", "-frames:v", "1", "-update", "1", path)
    return path


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a"])
def test_cover_art_and_tags_survive(bin_dir: Path, tmp_path: Path, cover: Path, suffix: str) -> None:
    tags = {"title": "Tïtle", "artist": "Ärtist"}
    source = synth.encode(tmp_path / f"song{suffix}", synth.tone(1.0), tags=tags, cover=cover)

    mp3 = to_mp3(bin_dir, source, "-map", "0:v:0", "-c:v", "copy", "-disposition:v", "attached_pic")

    found = probe(bin_dir, mp3)
    picture = found["streams"][1]
    assert (picture["width"], picture["height"], picture["disposition"]["attached_pic"]) == (64, 48, 1)
    assert tags.items() <= found["format"]["tags"].items()
    assert cover.read_bytes() in mp3.read_bytes()


# --- where the sources come from


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(LAYER))
    return importlib.import_module("debian")


ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://vendor.example/apt bookworm main
deb http://mirror.example/debian bookworm main contrib  # ours
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """\
Types: deb
# a comment between the fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
DISABLED = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\nEnabled: no\n"
MIRROR_LIST = "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n"
UBUNTU = "deb http://archive.example/ubuntu noble main universe\n"
VENDOR_FOR_DEBIAN = "deb https://vendor.example/linux/debian trixie stable\n"


@pytest.mark.parametrize(
    ("file", "text", "mirror", "security_mirror"),
    [
        ("sources.list", ONE_LINE, "http://mirror.example/debian", "http://mirror.example/debian-security"),
        (
            "sources.list.d/debian.sources",
            DEB822,
            "http://mirror.example/debian",
            "http://mirror.example/debian-security",
        ),
        ("sources.list.d/cloud.list", MIRROR_LIST, "mirror+file:/etc/apt/mirrors/debian.list", None),
    ],
    ids=["one-line", "deb822", "mirror-list"],
)
def test_mirror_is_the_one_that_apt_uses(
    debian: ModuleType, tmp_path: Path, file: str, text: str, mirror: str, security_mirror: str | None
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)

    found = debian.find_mirror({}, tmp_path)

    assert (found.uri, found.security_uri) == (mirror, security_mirror)


def test_a_named_mirror_comes_first(debian: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(ONE_LINE)

    found = debian.find_mirror({"DEBIAN_MIRROR": "http://near.example/debian/"}, tmp_path)

    assert (found.uri, found.security_uri) == ("http://near.example/debian", "http://near.example/debian-security")


@pytest.mark.parametrize(
    "text", [UBUNTU, VENDOR_FOR_DEBIAN, DISABLED, ""], ids=["ubuntu", "vendor-for-debian", "disabled", "nothing"]
)
def test_without_a_debian_mirror_nothing_can_be_built(debian: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    name = "x.sources" if text.startswith("Types") else "x.list"
    (tmp_path / "sources.list.d" / name).write_text(text)

    with pytest.raises(importlib.import_module("steps").CannotBuild, match="DEBIAN_MIRROR"):
        debian.find_mirror({}, tmp_path)
