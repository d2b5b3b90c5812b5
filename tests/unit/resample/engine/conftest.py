"""An ffmpeg and an ffprobe that say and write what a test wants, in place of the layer's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_FFPROBE = """#!/bin/sh
echo "$@" >>{folder}/ffprobe.calls
/bin/cat {folder}/answer.json
/bin/cat {folder}/complaints >&2
exit {status}
"""
# It writes a file or PCM where it is told to, and nothing where it only measures.
_FFMPEG = """#!/bin/sh
echo "$@" >>{folder}/ffmpeg.calls
/bin/cat {folder}/messages >&2
for last; do :; done
case "$last" in
file:*) /bin/cat {folder}/progress; [ -f {folder}/mp3 ] && /bin/cp {folder}/mp3 "${{last#file:}}";;
pipe:1) /bin/cat {folder}/pcm;;
*) /bin/cat {folder}/progress;;
esac
exit {status}
"""

STREAM = {
    "index": 0,
    "codec_type": "audio",
    "codec_name": "pcm_s16le",
    "sample_fmt": "s16",
    "sample_rate": "32000",
    "channels": 2,
    "channel_layout": "stereo",
}


@dataclass
class Programs:
    """``stream`` is what ffprobe says of the one stream, before ``others``.

    ``messages``, ``mp3`` and ``pcm`` are ffmpeg's.
    """

    folder: Path
    stream: dict[str, Any] = field(default_factory=lambda: dict(STREAM))
    others: list[dict[str, Any]] = field(default_factory=list)
    probe_status: int = 0
    probe_says: str = ""
    messages: str = ""
    progress: str = ""
    mp3: bytes | None = None
    pcm: bytes = b""
    status: int = 0

    def install(self) -> None:
        answer = json.dumps({"streams": [*([self.stream] if self.stream else []), *self.others], "format": {}})
        texts = {"answer.json": answer, "complaints": self.probe_says}
        for name, text in {**texts, "messages": self.messages, "progress": self.progress}.items():
            (self.folder / name).write_text(text)
        (self.folder / "pcm").write_bytes(self.pcm)
        if self.mp3 is not None:
            (self.folder / "mp3").write_bytes(self.mp3)
        for name, script, status in (("ffprobe", _FFPROBE, self.probe_status), ("ffmpeg", _FFMPEG, self.status)):
            program = self.folder / name
            program.write_text(script.format(folder=self.folder, status=status))
            program.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The arguments of each call, in one line."""
        calls = self.folder / f"{name}.calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Programs(folder)
