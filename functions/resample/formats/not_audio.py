"""What else arrives instead of a sound file, and what its sender can do about it.

Most are one step away from the file that was meant: it is wrapped in a web form or in base64, a program took its bytes
for text, or what was sent is the way to the file and not the file.
"""

from __future__ import annotations

import base64
import re

_FORM = re.compile(
    rb"(?:^|\n)--[^\r\n]{1,200}\r?\n(?:[\w-]+:[^\r\n]*\r?\n){0,9}content-disposition:\s*form-data", re.IGNORECASE
)
_DATA_URL = re.compile(rb"\s*[\"']?data:[\w.+/-]*(;[\w.=+\"-]+)*,", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_BASE64_LEAST = 256
_JSON = re.compile(rb"\s*[{\[]\s*[\"{\[\]}]")
_WEB_ADDRESS = re.compile(rb"\s*(https?|ftp|s3|gs|file)://\S+\s*", re.IGNORECASE)
_TEXT_SAMPLE = 4096
_MOST_REPLACED = 0.05

_MAGICS = re.compile(
    rb"RIFF|RIFX|RF64|ID3|fLaC|OggS|FORM|\xff[\xe0-\xff]|....ftyp|caff|\.snd|\x1a\x45\xdf\xa3", re.DOTALL
)

# Pattern at the very beginning -> the sentence.
_SENTENCES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), sentence)
    for pattern, sentence in (
        (
            rb"Rar!\x1a\x07\x01\0....[\x01-\x7f]\x04|Rar!\x1a\x07\0..\x73[\x80-\xff]",
            "This is an encrypted RAR archive. Please unpack it with its password and send the audio file itself.",
        ),
        (
            rb"Salted__|age-encryption\.org/|-----BEGIN (PGP|AGE|CMS|PKCS7)|\x85\x02\x0c|\x85\x01\x0c\x03",
            "This file is encrypted. Please decrypt it and send the audio file itself.",
        ),
        (
            rb"\s*\[(InternetShortcut|\{000214A0|Desktop Entry)|L\0\0\0\x01\x14\x02\0|IntxLNK|!<symlink>",
            "This is a link to a file, not the file itself. Please send the audio file that it points to.",
        ),
        (
            rb"version https://git-lfs|<\?xml.{0,400}<key>URL</key>|bplist00.{0,200}(NSURL|URL)|book\0\0\0\0mark",
            "This is a link to a file, not the file itself. Please send the audio file that it points to.",
        ),
        (
            rb"\s*(<\?xml[^>]*>\s*)?<Error>\s*<Code>",
            "This is an error message of a storage service, not the file. Please download the audio file again.",
        ),
        (
            rb"\s*(<!--.{0,200}-->\s*)?<(!doctype html|html|head|body)",
            "This is a web page, often an error or sign-in page. Please download the audio file itself, and send that.",
        ),
        (
            rb"HTTP/\d(\.\d)? \d{3}",
            "This is the answer of a web server, with its headers. Please send the audio file alone.",
        ),
        (
            rb"....\x57\x90\x75\x36",
            "This audiobook is protected by DRM (Audible), so it cannot be converted here.",
        ),
        (
            rb"....ftypaa(x |xc)",
            "This audiobook is protected by DRM (Audible), so it cannot be converted here.",
        ),
    )
)


def describe(head: bytes) -> str | None:
    """The sentence for a file that begins with ``head`` and is no sound file but close to one; ``None`` otherwise."""
    start = head.removeprefix(b"\xef\xbb\xbf")
    if _FORM.search(start[:_TEXT_SAMPLE]):
        return (
            "This is the body of a web form (multipart/form-data) with the file inside it."
            " Please send the bytes of the file alone, as the body of the PUT request."
        )
    if head.startswith(b"PK\3\4") and head[6:7] and head[6] & 1:
        return "This is an encrypted ZIP archive. Please unpack it with its password and send the audio file itself."
    for pattern, sentence in _SENTENCES:
        if pattern.match(start):
            return sentence
    if _DATA_URL.match(start):
        return "This is a data: URL, the file as base64 text. Please decode it and send the bytes of the file."
    if _is_base64(start):
        return "This is base64 text, not the file itself. Please decode it and send the bytes of the file."
    if _WEB_ADDRESS.fullmatch(start[:_TEXT_SAMPLE]):
        return "This is the address of a file, not the file itself. Please send the audio file that it points to."
    if _JSON.match(start) and _is_readable(start):
        return "This is a JSON document, not a sound file. Please send the bytes of the audio file alone."
    if is_converted_text(head):
        return (
            "A program took this file for text and changed its bytes, so its sound is lost."
            " Please send the original again, as binary data."
        )
    return None


def _is_base64(head: bytes) -> bool:
    """Text of nothing but base64, in lines or in one; a short one only if a sound file is inside."""
    text = bytes(head[:_TEXT_SAMPLE].translate(None, b" \r\n\t\"'"))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = text[2:].replace(b"\0", b"")
    if not _BASE64.fullmatch(text) or len(text) < 32:
        return False
    return len(text) >= _BASE64_LEAST or _MAGICS.match(base64.urlsafe_b64decode(text[:24])) is not None


def is_converted_text(head: bytes) -> bool:
    """Whether binary data went through a conversion of text: to UTF-8, or of its line ends.

    Bytes above 127 are then characters, or the sign that replaces a broken one; sound is never valid UTF-8 for long.
    """
    if len(head) < _TEXT_SAMPLE // 8:
        return False
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return _has_only_dos_line_ends(head)
        text = head[: error.start].decode()
    foreign = sum(1 for character in text if ord(character) > 127)
    control = sum(1 for character in text if ord(character) < 32 and character not in "\t\n\r\f\x1b")
    return foreign > _MOST_REPLACED * len(text) and control > 0.01 * len(text)


_BINARY_LINE_FEED = re.compile(rb"(.)\n[^\x09-\x7e]", re.DOTALL)


def _has_only_dos_line_ends(head: bytes) -> bool:
    """Line feeds amid binary data, each of them with a carriage return in front: a transfer in text mode."""
    if head.count(b"\n") != head.count(b"\r\n"):
        return False
    before = [match[1] for match in _BINARY_LINE_FEED.finditer(head)]
    return len(before) >= 24 and all(byte == b"\r" for byte in before) and len(set(head)) > 200


def _is_readable(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head[:_TEXT_SAMPLE])
