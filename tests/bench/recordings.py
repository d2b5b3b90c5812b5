"""What is converted: free music out of a Debian package, and speech that espeak-ng reads over it.

Nothing of it is in the repository. It is made once, in ``.local/bench``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imageio_ffmpeg

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".local" / "bench"

PACKAGE = "extremetuxracer-data"  # GPL-2+, in every Debian and Ubuntu
SONGS = ("credits1-cp", "calmrace-ks", "freezingpoint", "race1-jt", "spunkyrace-ks", "start1-jt")  # 8.7 minutes
TEXT = Path("/usr/share/common-licenses/GPL-3")  # half an hour to read

# Each lap of the music at a speed and pitch of its own: no minute of the hour is like another.
LAP_SPEEDS = (1.0, 0.94, 1.06, 0.89, 1.12, 0.97, 1.03, 0.91)
SPEECH = "volume='gt(mod(t,240),120)':eval=frame"  # two minutes of every four

CLIPS = 20
_HOUR_SECONDS = 3600


class CannotPrepare(Exception):
    """A program or package is missing; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The files of one case, and how long they play together."""

    files: tuple[Path, ...]
    seconds: float


def recordings(folder: Path) -> dict[str, Recording]:
    """What there is to convert, by name; made in ``folder``, where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    hour = _made(folder / "hour.wav", _make_hour)
    ten = _made(folder / "ten-minutes.wav", partial(_cut, hour, start=0, seconds=600))
    mp3 = _made(folder / "ten-minutes.mp3", lambda path: _ffmpeg("-i", ten, "-b:a", "192k", path))
    hour_mp3 = _made(folder / "hour.mp3", lambda path: _ffmpeg("-i", hour, "-b:a", "192k", path))
    flac = _made(folder / "ten-minutes.flac", lambda path: _ffmpeg("-i", ten, path))
    m4a = _made(folder / "ten-minutes.m4a", lambda path: _ffmpeg("-i", ten, "-b:a", "192k", path))
    lengths = clip_seconds()
    clips = tuple(
        _made(
            folder / f"clip-{number:02}.{'mp3' if number % 2 else 'wav'}",
            partial(_cut, hour, start=number * 171, seconds=lengths[number]),
        )
        for number in range(CLIPS)
    )
    three = _made(folder / "three-minutes.wav", partial(_cut, hour, start=0, seconds=180))
    return {
        "wav-3min": Recording((three,), 180),
        "wav-10min": Recording((ten,), 600),
        "mp3-10min": Recording((mp3,), 600),
        "wav-60min": Recording((hour,), _HOUR_SECONDS),
        "mp3-60min": Recording((hour_mp3,), _HOUR_SECONDS),
        "flac-10min": Recording((flac,), 600),
        "m4a-10min": Recording((m4a,), 600),
        "clips": Recording(clips, sum(lengths)),
    }


JOB_LENGTHS = {
    f"{length} {kind}": (seconds, kind.lower())
    for length, seconds in (("10 s", 10), ("3 min", 180), ("30 min", 1800))
    for kind in ("WAV", "MP3")
}
"""The files of :mod:`.whole_way`, by name: their length in seconds, and what they are."""


def job_recordings(folder: Path) -> dict[str, Path]:
    """The beginning of the hour, in all these lengths; made in ``folder``, where it is not there yet."""
    hour = recordings(folder)["wav-60min"].files[0]
    return {
        name: _made(folder / f"job-{seconds}.{suffix}", partial(_cut, hour, start=0, seconds=seconds))
        for name, (seconds, suffix) in JOB_LENGTHS.items()
    }


def clip_seconds() -> list[int]:
    """From 2 to 21 seconds, none twice."""
    return [2 + number * 7 % CLIPS for number in range(CLIPS)]


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    """The file at ``path``; what is made only in part has another name."""
    if not path.exists():
        unfinished = path.with_stem(f"unfinished-{path.stem}")
        make(unfinished)
        unfinished.rename(path)
    return path


def _cut(hour: Path, path: Path, *, start: int, seconds: int) -> None:
    _ffmpeg("-ss", str(start), "-t", str(seconds), "-i", hour, path)


def _make_hour(path: Path) -> None:
    """Laps of music, each at another speed, and somebody reading over them for two minutes of every four."""
    folder = path.parent
    music = _made(folder / "music.wav", _make_music)
    speech = _made(folder / "speech.wav", _make_speech)
    laps = [word for _ in LAP_SPEEDS for word in ("-i", music)]
    chains = [
        f"[{lap}]asetrate={round(44100 * speed)},aresample=44100[lap{lap}]" for lap, speed in enumerate(LAP_SPEEDS)
    ]
    names = "".join(f"[lap{lap}]" for lap in range(len(LAP_SPEEDS)))
    graph = ";".join(
        [
            *chains,
            f"{names}concat=n={len(LAP_SPEEDS)}:v=0:a=1,volume=0.7[music]",
            f"[{len(LAP_SPEEDS)}]{SPEECH},aresample=44100,pan=stereo|c0=0.6*c0|c1=0.5*c0[speech]",
            "[music][speech]amix=duration=first:normalize=0",
        ]
    )
    loop = ("-stream_loop", "-1", "-i", speech)
    _ffmpeg(*laps, *loop, "-filter_complex", graph, "-t", str(_HOUR_SECONDS), "-c:a", "pcm_s16le", path)


def _make_music(path: Path) -> None:
    unpacked = path.parent / PACKAGE
    _run("apt-get", "download", "-qq", PACKAGE, folder=path.parent)
    (package,) = path.parent.glob(f"{PACKAGE}_*.deb")
    _run("dpkg-deb", "--extract", package, unpacked)
    songs = [next(unpacked.rglob(f"{song}.ogg")) for song in SONGS]
    inputs = [word for song in songs for word in ("-i", song)]
    alike = ";".join(f"[{n}]aresample=44100,aformat=channel_layouts=stereo[s{n}]" for n in range(len(songs)))
    joined = "".join(f"[s{n}]" for n in range(len(songs))) + f"concat=n={len(songs)}:v=0:a=1"
    _ffmpeg(*inputs, "-filter_complex", f"{alike};{joined}", path)
    package.unlink()
    shutil.rmtree(unpacked)


def _make_speech(path: Path) -> None:
    _run("espeak-ng", "-v", "en-gb", "-f", TEXT, "-w", path)


def _ffmpeg(*arguments: str | Path) -> None:
    _run(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *arguments)


def _run(*command: str | Path, folder: Path | None = None) -> None:
    program = Path(command[0]).name
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotPrepare(f"{program} is missing; please type: sudo apt-get install {program}") from error
    if done.returncode:
        raise CannotPrepare(f"{program} failed: {done.stderr.strip()}\n(apt lists are fetched by: sudo apt-get update)")
