"""A long answer of the emulator lay in memory three times: now it goes out a piece at a time, and arrives whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
# In a process of its own: the emulator sets up logging when it is imported.
PROGRAM = """
import asyncio, json
from local.strict_emulator import in_pieces
body = bytes(range(256)) * 10_000
sent = []
async def send(message):
    sent.append(message)
async def answer():
    pieces = in_pieces(send)
    await pieces({"type": "http.response.start", "status": 200})
    await pieces({"type": "http.response.body", "body": body[:1000], "more_body": True})
    await pieces({"type": "http.response.body", "body": body[1000:]})
asyncio.run(answer())
bodies = [message for message in sent if message["type"] == "http.response.body"]
print(json.dumps({
    "whole": b"".join(message["body"] for message in bodies) == body,
    "longest": max(len(message["body"]) for message in bodies),
    "more": [message.get("more_body", False) for message in bodies],
    "starts": len(sent) - len(bodies),
}))
"""


def test_a_long_body_goes_out_in_pieces_and_arrives_whole() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout

    assert json.loads(printed) == {
        "whole": True,
        "longest": 1024 * 1024,
        "more": [True, True, True, False],
        "starts": 1,
    }
