"""Files that are one step away from a sound file: each gets a sentence that names the step."""

from __future__ import annotations

import base64
import struct
from random import Random

import pytest

from audiojobs.errors import UnsupportedFormat
from resample.formats.containers import AIFF, FLAC, MP3, WAV, Container, identify
from resample.formats.not_audio import describe, is_converted_text
from tests.audio.broken import id3v2

NOISE = bytes((index * index * 31 + index * 7) >> 3 & 255 for index in range(8000))
SOUND = b"RIFF" + struct.pack("<I", 8036) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
SOUND += b"data" + struct.pack("<I", 8000) + NOISE
MPEG_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)


def identified(content: bytes) -> Container:
    return identify(lambda offset, length: content[offset : offset + length], len(content))


def form(boundary: str, line_end: bytes = b"\r\n", *, before: bytes = b"", content: bytes = SOUND) -> bytes:
    head = (
        f"--{boundary}",
        'Content-Disposition: form-data; name="title"',
        "",
        "take 1",
        f"--{boundary}",
        'content-disposition: form-data; name="file"; filename="a.wav"',
        "Content-Type: audio/wav",
        "",
        "",
    )
    return before + line_end.join(line.encode() for line in head) + content + line_end + f"--{boundary}--".encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (form("----WebKitFormBoundaryAbC"), "web form"),
        (form("------------------------d74496d66958873e"), "web form"),
        (form("x", b"\n", before=b"\r\n"), "web form"),
        (form("x", before=b"preamble\r\n"), "web form"),
        (form("x", content=MPEG_FRAME * 400), "web form"),
        (base64.b64encode(SOUND), "base64"),
        (base64.encodebytes(SOUND), "base64"),
        (base64.urlsafe_b64encode(SOUND), "base64"),
        (b"\xef\xbb\xbf" + base64.b64encode(MPEG_FRAME * 3), "base64"),
        (b"data:audio/mpeg;base64," + base64.b64encode(SOUND), "data: URL"),
        (b'"data:audio/webm;codecs=opus;base64,' + base64.b64encode(SOUND) + b'"', "data: URL"),
        (SOUND.decode("utf-8", "replace").encode(), "took this file for text"),
        (SOUND.decode("latin-1").encode(), "took this file for text"),
        ((MPEG_FRAME * 9 + NOISE).decode("utf-8", "replace").encode(), "took this file for text"),
        ((SOUND[:44] + Random(1).randbytes(60_000)).replace(b"\n", b"\r\n"), "took this file for text"),
        (b"PK\3\4\x14\0\1\0\x08\0" + NOISE, "encrypted ZIP"),
        (b"Rar!\x1a\7\1\0\x12\x34\x56\x78\x21\4" + NOISE, "encrypted RAR"),
        (b"Salted__" + NOISE, "encrypted"),
        (b"-----BEGIN PGP MESSAGE-----\n\nhQEMA", "encrypted"),
        (b"[InternetShortcut]\r\nURL=https://example.com/a.wav\r\n", "link"),
        (b"L\0\0\0\1\x14\2\0" + bytes(100), "link"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "link"),
        (b"https://example.com/song.mp3\n", "address"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
        (b"\xef\xbb\xbf<html><head>", "web page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "error message"),
        (b'{"error": "not found"}', "JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", "web server"),
        (b"\0\0\0\x1cftypaax \0\0\0\1" + bytes(100), "DRM"),
    ],
)
def test_what_was_sent_and_what_to_do(content: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words) as caught:
        identified(content)

    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize(
    "content",
    [
        SOUND,
        MPEG_FRAME * 20,
        b"RIFF" + struct.pack("<I", 4) + b"WAVE" + b"\n<x>\r\n" * 100 + bytes(60_000),
        b"fLaC\0\0\0\x22" + NOISE,
        b"ID3\3\0\0\0\0\7\x76" + b"\r\n" * 507 + MPEG_FRAME * 9,
        bytes(range(256)) * 40,
    ],
)
def test_sound_is_not_taken_for_anything_else(content: bytes) -> None:
    assert describe(content) is None


@pytest.mark.parametrize(
    ("content", "is_base64"),
    [
        (base64.b64encode(SOUND)[:32], True),
        (base64.b64encode(SOUND)[:31], False),
        (b"Ab12" * 64, True),
        (b"Ab12" * 63 + b"Ab1", False),
    ],
    ids=["sound", "too little", "long", "a word"],
)
def test_a_short_text_is_base64_if_sound_is_in_it(content: bytes, is_base64: bool) -> None:
    assert ("base64" in (describe(content) or "")) is is_base64


class TestTextOrSoundTakenForText:
    """Sound that went through a conversion is full of foreign characters and of control characters; text is not."""

    @pytest.mark.parametrize("code", range(33))
    def test_control_characters_but_those_of_text_are_signs_of_sound(self, code: int) -> None:
        content = ("é" * 10 + chr(code) * 2 + "a" * 88) * 10

        assert is_converted_text(content.encode()) is (code < 32 and chr(code) not in "\t\n\r\f\x1b")

    @pytest.mark.parametrize(
        ("foreign", "control", "is_sound"),
        [(6, 2, True), (4, 2, False), (6, 1, False), (0, 50, False), (100, 0, False)],
    )
    def test_a_few_are_in_any_text(self, foreign: int, control: int, is_sound: bool) -> None:
        content = ("é" * foreign + "\0" * control + "a" * (100 - foreign - control)) * 10

        assert is_converted_text(content.encode()) is is_sound

    def test_a_character_may_be_cut_in_two_at_the_end(self) -> None:
        content = ("€" * 10 + "\0" * 2 + "a" * 88) * 10

        assert is_converted_text(content.encode() + b"\xf0\x9f\x8e")
        assert not is_converted_text(content.encode() + b"\xf0\x9f\x8e" + b"aa")

    def test_a_short_text_tells_nothing(self) -> None:
        content = ("é" * 10 + "\0" * 2 + "a" * 88).encode() * 10

        assert is_converted_text(content[:512])
        assert not is_converted_text(content[:511])


@pytest.mark.parametrize(
    ("junk", "content", "container"),
    [
        (b"\r\n", SOUND, WAV),
        (b"\n\n \t", SOUND, WAV),
        (b"\xef\xbb\xbf", SOUND, WAV),
        (bytes(128), SOUND, WAV),
        (bytes(300_000), SOUND, WAV),
        (b"\0\4take" + bytes(122), b"FORM\0\0\0\0AIFF" + NOISE, AIFF),
        (b"\xef\xbb\xbf\r\n", b"fLaC\0\0\0\x22" + NOISE, FLAC),
        (bytes(200_000), MPEG_FRAME * 30, MP3),
    ],
)
def test_junk_in_front_is_skipped(junk: bytes, content: bytes, container: Container) -> None:
    found = identified(junk + content)

    assert found.name == container.name
    assert found.audio_offset == len(junk)
    assert found.junk_bytes == len(junk)


def test_junk_behind_a_tag_is_skipped_with_the_tag() -> None:
    found = identified(id3v2(100) + b"\r\n" + SOUND)

    assert (found.name, found.audio_offset, found.junk_bytes) == ("wav", 112, 112)


def test_nothing_but_zeros() -> None:
    with pytest.raises(UnsupportedFormat, match="nothing but zeros"):
        identified(bytes(100_000))
