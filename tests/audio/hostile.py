"""Files made to do harm: real ones cut, bent and lied in by a seeded generator, and attacks made by hand."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.audio import broken, dsd, synth
from tests.audio.programs import run_full_ffmpeg
from tests.audio.synth import sine, tone, wav_bytes

_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Case:
    """A file's bytes and what was done to it; the name is enough to make it again."""

    name: str
    content: bytes


@cache
def whole_files() -> dict[str, bytes]:
    """A short, correct file of every kind that the service takes."""
    sound = tone(_SECONDS)
    noisy = sound.overlay(tone(_SECONDS, frequency=3111))
    files = {
        "pcm.wav": wav_bytes(sine(_SECONDS)),
        "float.wav": wav_bytes(sine(_SECONDS), "f32"),
        "double.wav": wav_bytes(sine(_SECONDS), "f64"),
        "extensible.wav": wav_bytes(
            sine(_SECONDS / 2, channels=6), "s24", channels=6, extensible=True, channel_mask=63, junk=True
        ),
        "big-endian.wav": wav_bytes(sine(_SECONDS), form="RIFX"),
        "large.wav": wav_bytes(sine(_SECONDS), form="RF64"),
    }
    with TemporaryDirectory() as folder:
        cover = synth.png(Path(folder, "cover.png"))

        def encoded(name: str, *arguments: str, **options: object) -> None:
            path = synth.encode(Path(folder, name), noisy, *arguments, **options)  # type: ignore[arg-type]
            files[name] = path.read_bytes()

        encoded("adpcm.wav", "-c:a", "adpcm_ms")
        encoded("mulaw.wav", "-c:a", "pcm_mulaw")
        encoded("tone.w64")
        encoded("tone.aiff", tags={"title": "a"})
        encoded("tone.au")
        encoded("tone.caf")
        encoded("alac.caf", "-c:a", "alac")
        encoded("constant.mp3", "-c:a", "libmp3lame", "-b:a", "128k", tags={"title": "a"}, cover=cover)
        encoded("variable.mp3", "-c:a", "libmp3lame", "-q:a", "4")
        longer = synth.encode(
            Path(folder, "longer.mp3"), tone(2.5), "-c:a", "libmp3lame", "-b:a", "48k", "-ar", "32000"
        )
        files["wanted.mp3"] = longer.read_bytes()
        encoded("tone.mp2", "-c:a", "mp2")
        encoded("tone.flac", tags={"title": "a"}, cover=cover)
        encoded("tone.ogg", "-c:a", "libvorbis")
        encoded("tone.opus", "-c:a", "libopus")
        encoded("flac.ogg", "-c:a", "flac")
        encoded("tone.aac", "-c:a", "aac")
        encoded("index-last.m4a", "-c:a", "aac", tags={"title": "a"}, cover=cover)
        encoded("index-first.m4a", "-c:a", "aac", "-movflags", "+faststart")
        encoded("alac.m4a", "-c:a", "alac")
        encoded("fragments.mp4", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
        encoded("pcm.mov", "-c:a", "pcm_s16le")
        encoded("opus.webm", "-c:a", "libopus")
        encoded("live.webm", "-c:a", "libvorbis", "-live", "1")
        encoded("flac.mka", "-c:a", "flac", tags={"title": "a"})
        encoded("narrow.amr", "-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1")
        encoded("tone.ac3", "-c:a", "ac3")
        encoded("tone.eac3", "-c:a", "eac3")
        encoded("tone.dts", "-c:a", "dca", "-strict", "-2", "-ar", "48000")
        encoded("tone.wma", "-c:a", "wmav2", tags={"title": "a"})
        encoded("tone.wv", "-c:a", "wavpack")
        encoded("tone.tta", "-c:a", "tta")
        encoded("tone.ts", "-c:a", "mp2")
        encoded("call.wav", "-c:a", "g723_1", "-ar", "8000", "-ac", "1", "-b:a", "6300")
        tiny = dsd.dsd_tone(0.02, 2_822_400)
        files["tone.dsf"], files["tone.dff"] = dsd.dsf(tiny, 2_822_400), dsd.dff(tiny, 2_822_400)
    return files


_LANDMARKS = (
    *(b"RIFF", b"RIFX", b"RF64", b"ds64", b"fmt ", b"fact", b"data", b"WAVE", b"riff", b"FORM", b"COMM", b"SSND"),
    *(
        b"\x1a\x45\xdf\xa3",
        b"\x18\x53\x80\x67",
        b"\x1f\x43\xb6\x75",
        b"\xa3",
        b"#!AMR",
        b"\x0b\x77",
        b"\x7f\xfe\x80\x01",
    ),
    *(b"\x30\x26\xb2\x75", b"\xa1\xdc\xab\x8c", b"wvpk", b"TTA1", b"DSD ", b"FRM8", b"PROP", b"MPCK", b"MAC "),
    *(b"caff", b"desc", b"pakt", b"kuki", b"fLaC", b"OggS", b"OpusHead", b"\x01vorbis", b"\x05vorbis", b"ID3", b"APIC"),
    *(b"Xing", b"Info", b"LAME", b"Lavf", b"TAG", b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst"),
    *(b"mdia", b"mdhd", b"hdlr", b"minf", b"dinf", b"dref", b"url ", b"stbl", b"stsd", b"mp4a", b"esds", b"alac"),
    *(b"stts", b"stsc", b"stsz", b"stco", b"udta", b"meta", b"ilst", b"covr", b"mdat", b"moof", b"tfhd", b"tfdt"),
    *(b"trun", b"mfra", b"\xff\xfb", b"\xff\xfd", b"\xff\xf1", b"\xff\xf8", b"\x89PNG"),
)


def landmarks(content: bytes) -> list[int]:
    """Where the parts of a file begin."""
    found = {0}
    for mark in _LANDMARKS:
        position = -1
        while (position := content.find(mark, position + 1)) >= 0 and len(found) < 400:
            found.add(position)
    return sorted(found)


_NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e308, 5e-324)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: max(0, dice.choice(landmarks(content)) + dice.choice((-1, 0, 1, 3, 4, 7, 8, 12, 27, 100)))]


def _flip_bits(content: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    reach = dice.choice((64, 512, len(damaged)))
    for _ in range(dice.choice((1, 3, 30, 300))):
        damaged[dice.randrange(min(reach, len(damaged)))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def _lie(content: bytes, dice: random.Random) -> bytes:
    """Numbers near the beginnings of parts are replaced by absurd ones: sizes, counts, rates, channels, durations."""
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.choice(landmarks(content)) + dice.randrange(-8, 40)
        width = dice.choice("BHIQfd")
        value = dice.choice(_FLOATS if width in "fd" else _NUMBERS)
        if width in "BHIQ":
            value = int(value) & ((1 << 8 * struct.calcsize(width)) - 1)
        elif width == "f" and value == 1e308:
            value = 3e38
        lie = struct.pack(dice.choice("<>") + width, value)
        if 0 <= at <= len(damaged) - len(lie):
            damaged[at : at + len(lie)] = lie
    return bytes(damaged)


def _rearrange(content: bytes, dice: random.Random) -> bytes:
    """Parts are left out, doubled, or swapped."""
    marks = [*landmarks(content), len(content)]
    a, b, c, d = sorted(dice.choices(marks, k=4))
    return dice.choice(
        (
            content[:a] + content[b:],
            content[:b] + content[a:],
            content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:],
            content[:a] + content[b:c] * dice.choice((2, 50)) + content[c:],
        )
    )[: 4 * len(content)]


def _zero(content: bytes, dice: random.Random) -> bytes:
    """A stretch is overwritten, as by a disk or a transfer that went wrong."""
    start = dice.randrange(len(content))
    length = dice.choice((1, 16, 512, 4096, len(content)))
    filler = dice.choice((b"\0", b"\xff", b"\r\n", dice.randbytes(64)))
    stretch = (filler * (length // len(filler) + 1))[: min(length, len(content) - start)]
    return content[:start] + stretch + content[start + len(stretch) :]


def _graft(content: bytes, dice: random.Random) -> bytes:
    """The beginning of one kind of file on the end of another."""
    other = whole_files()[dice.choice(sorted(whole_files()))]
    return content[: dice.choice(landmarks(content))] + other[dice.choice(landmarks(other)) :]


_MUTATIONS: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _cut,
    _flip_bits,
    _lie,
    _lie,
    _rearrange,
    _zero,
    _graft,
)


def mutated(seed: int) -> Case:
    """One real file, damaged in one to three ways."""
    dice = random.Random(seed)
    name = dice.choice(sorted(whole_files()))
    content = whole_files()[name]
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        mutation = dice.choice(_MUTATIONS)
        content = mutation(content, dice) if content else content
        done.append(mutation.__name__.strip("_"))
    return Case(f"{seed}-{'+'.join(done)}-{name}", content)


def float_wav(kind: str, values: Sequence[float]) -> bytes:
    code = {"f32": "f", "f64": "d"}[kind]
    plain = wav_bytes([0.0] * len(values), kind)
    return plain[: -len(values) * struct.calcsize(code)] + struct.pack(f"<{len(values)}{code}", *values)


def riff(*chunks: tuple[bytes, bytes], declared: dict[bytes, int] | None = None) -> bytes:
    """A WAV file of these chunks, of which some declare another size than they have."""
    body = b"".join(
        name + struct.pack("<I", (declared or {}).get(name, len(data))) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def _wave_format(
    kind: int = 1, channels: int = 2, rate: int = 44_100, bytes_a_second: int = 176_400, align: int = 4, bits: int = 16
) -> bytes:
    return struct.pack("<HHIIHH", kind, channels, rate, bytes_a_second, align, bits)


def lying_waves() -> Iterator[Case]:
    """WAV headers in which one field is absurd."""
    data = bytes(range(256)) * 64
    fields = {
        "kind": (0, 2, 7, 0x11, 0x31, 0x55, 0xFF, 0x161, 0x706D, 0xF1AC, 0xFFFE, 0xFFFF),
        "channels": (0, 1, 3, 9, 64, 65, 255, 1024, 0x7FFF, 0xFFFF),
        "rate": (0, 1, 999, 768_001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
        "bytes_a_second": (0, 1, 0xFFFFFFFF),
        "align": (0, 1, 3, 0x7FFF, 0xFFFF),
        "bits": (0, 1, 7, 12, 24, 33, 64, 65, 128, 0xFFFF),
    }
    for field, values in fields.items():
        for value in values:
            yield Case(f"wave-{field}-{value}", riff((b"fmt ", _wave_format(**{field: value})), (b"data", data)))
    for size in (0, 1, 3, 5, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
        for name in (b"fmt ", b"data"):
            content = riff((b"fmt ", _wave_format()), (b"data", data), declared={name: size})
            yield Case(f"wave-{name.decode().strip()}-size-{size}", content)


def strange_samples() -> Iterator[Case]:
    """Samples that are no numbers, or far too large ones."""
    huge = {"f32": 3.4e38, "f64": 1.7e308}
    for kind, largest in huge.items():
        for name, value in (("nan", float("nan")), ("inf", float("inf")), ("huge", largest), ("tiny", 1e-45)):
            yield Case(f"{kind}-{name}", float_wav(kind, [value, -value] * 20_000))
            yield Case(f"{kind}-{name}-now-and-then", float_wav(kind, ([0.1] * 97 + [value]) * 300))


_URLS = (
    *("http://127.0.0.1:{port}/latest/meta-data/", "https://127.0.0.1:{port}/x", "tcp://127.0.0.1:{port}"),
    *("rtmp://127.0.0.1:{port}/a/b", "rtsp://127.0.0.1:{port}/a", "udp://127.0.0.1:{port}", "ftp://127.0.0.1:{port}/a"),
    *("file:///etc/passwd", "/etc/passwd", "subfile,,start,0,end,100,,:/etc/passwd", "crypto:/etc/passwd"),
    *("concat:/etc/passwd|/etc/hostname", "data:audio/wav;base64,UklGRg==", "fd:0", "pipe:0", "async:file:/etc/passwd"),
)
_SCRIPTS = {
    "m3u": "#EXTM3U\n#EXTINF:1,\n{url}\n",
    "hls": '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:9,\n{url}\n',
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "xspf": '<?xml version="1.0"?><playlist><trackList><track><location>{url}</location></track></trackList>',
    "dash": '<?xml version="1.0"?><MPD><Period><AdaptationSet><BaseURL>{url}</BaseURL></AdaptationSet></Period></MPD>',
    "cue": 'FILE "{url}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\na=control:{url}\n",
    "m3u-without-header": "{url}\n{url}\n",
    "metadata": ";FFMETADATA1\ntitle=a\n[STREAM]\nfile={url}\n",
}
_DISGUISES = {"plain": b"", "id3": broken.id3v2(100), "riff": b"RIFF\x10\0\0\0WAVE", "ogg": b"OggS\0\2" + bytes(20)}


def scripts(port: int) -> Iterator[Case]:
    """Playlists and scripts that point elsewhere, as themselves and behind the beginning of an audio file.

    ``port`` is where somebody listens.
    """
    for (name, script), (number, url), (disguise, head) in product(
        _SCRIPTS.items(), enumerate(_URLS), _DISGUISES.items()
    ):
        text = script.replace("{url}", url).replace("{port}", str(port))
        yield Case(f"script-{name}-{number}-{disguise}", head + text.encode())


def references(port: int) -> Iterator[Case]:
    """QuickTime files whose samples are said to be in another file, or at a URL."""
    content = whole_files()["pcm.mov"]
    kind = b"alis" if b"alis" in content else b"url "
    at = content.rindex(kind)
    for number, url in enumerate(_URLS):
        text = url.replace("{port}", str(port)).encode() + b"\0"
        for name in (b"url ", b"alis", b"rsrc"):
            entry = name + bytes(4) + text
            grown = content[: at - 4] + struct.pack(">I", len(entry) + 4) + entry + content[at + 8 :]
            yield Case(f"reference-{name.decode().strip()}-{number}", _grow_boxes(grown, len(text), at))


def _grow_boxes(content: bytes, count: int, at: int) -> bytes:
    grown = bytearray(content)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        position = grown.rfind(name, 0, at) - 4
        size = int.from_bytes(grown[position : position + 4], "big")
        grown[position : position + 4] = (size + count).to_bytes(4, "big")
    return bytes(grown)


def tags() -> Iterator[Case]:
    """Tags that are, or say that they are, far too big."""
    mp3, flac = whole_files()["variable.mp3"], whole_files()["tone.flac"]
    declared = b"ID3\x03\0\0\x7f\x7f\x7f\x7f"
    yield Case("id3-declares-256-mb", declared + mp3)
    yield Case("id3-of-ten-in-a-row", broken.id3v2(20) * 10 + mp3)
    yield Case("id3-within-id3", broken.id3v2(5_000, b"TIT2\0\0\x10\0\0\0" + broken.id3v2(100) * 30) + mp3)
    yield Case("id3-frame-declares-4-gb", broken.id3v2(500, b"APIC\xff\xff\xff\xff\0\0\0image/png\0\3\0") + mp3)
    yield Case("id3-with-unsynchronised-bytes", b"ID3\x04\0\x80" + bytes((0, 0, 0x10, 0)) + b"\xff\0" * 1024 + mp3)
    yield Case("id3-cover-is-a-script", broken.id3v2(200, _picture(b"#EXTM3U\nhttp://127.0.0.1/\n")) + mp3)
    yield Case("id3-with-20000-frames", broken.id3v2(400_000, b"TXXX\0\0\0\5\0\0\0a\0bc" * 20_000) + mp3)
    yield Case("id3-with-20000-chapters", broken.id3v2(800_000, chapters(20_000)) + mp3)
    png = bytearray(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 0x7FFFFFFF, 0x7FFFFFFF) + b"\x08\2\0\0\0" + bytes(4)
    )
    yield Case("cover-of-2-billion-pixels-a-side", broken.id3v2(1_000, _picture(bytes(png))) + mp3)
    block = b"\6" + (0xFFFFFF).to_bytes(3, "big")
    yield Case("flac-picture-declares-16-mb", flac[:4] + block + flac[4:])
    yield Case("flac-vorbis-comment-declares-4-billion", flac[:42] + b"\4\0\0\x08" + b"\xff" * 8 + flac[42:])
    yield Case(
        "ape-tag-declares-4-gb", mp3 + b"APETAGEX" + struct.pack("<IIII", 2000, 0xFFFFFFFF, 0xFFFF, 0) + bytes(8)
    )
    yield Case("lyrics-tag-of-nothing", mp3 + b"LYRICSBEGIN999999LYRICS200")
    yield Case("only-tags", broken.id3v2(100) * 3 + broken.ape_tag())


def _picture(data: bytes) -> bytes:
    body = b"\0image/png\0\3\0" + data
    return b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body


def chapters(count: int) -> bytes:
    """ID3v2 frames; each chapter costs ffmpeg far more than a MPEG frame of its length."""
    return b"".join(
        b"CHAP" + struct.pack(">I", 22) + b"\0\0" + b"%05d\0" % number + struct.pack(">IIII", number, number + 1, 0, 0)
        for number in range(count)
    )


def renamed() -> Iterator[Case]:
    """What is no audio, or not the audio that its name says; and next to nothing."""
    yield Case("nothing", b"")
    for length in (1, 2, 3, 4, 8, 12, 44):
        for name, content in sorted(whole_files().items()):
            yield Case(f"first-{length}-bytes-of-{name}", content[:length])
    magics = (
        b"\x7fELF",
        b"MZ",
        b"PK\3\4",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"\x1f\x8b\x08",
    )
    for magic in (
        *magics,
        b"\x1aE\xdf\xa3",
        b"FLV\1",
        b"0&\xb2u\x8ef\xcf\x11",
        b"MThd",
        b"wvpk",
        b"#!AMR\n",
        b"\0\0\1\xba",
    ):
        yield Case(f"magic-{magic.hex()}", magic + bytes(range(256)) * 40)
    for filler in (b"\0", b"\xff", b"\xff\xfb", b"\xff\xf1", b"OggS", b"RIFF", b"\r\n", b"\xff\xfb\x90\x64"):
        yield Case(f"nothing-but-{filler.hex()}", filler * (70_000 // len(filler)))


def gaps() -> Iterator[Case]:
    """MP4 files of a few kB whose timestamps leave gaps of minutes to years."""
    content = whole_files()["index-last.m4a"]
    at = content.index(b"stts")
    for seconds in (30, 900, 97_000):
        damaged = bytearray(content)
        # one entry, of as many packets, of which each is said to last as long
        count = int.from_bytes(damaged[at + 12 : at + 16], "big")
        damaged[at + 16 : at + 20] = min(0xFFFFFFFF, seconds * 44_100 // count).to_bytes(4, "big")
        header = damaged.index(b"mdhd")
        damaged[header + 20 : header + 24] = min(0xFFFFFFFF, seconds * 44_100).to_bytes(4, "big")
        yield Case(f"gaps-of-{seconds}-seconds", bytes(damaged))
        edits = damaged.index(b"edts")
        damaged[edits : edits + 4] = b"free"
        yield Case(f"gaps-of-{seconds}-seconds-without-edit-list", bytes(damaged))


def silence(path: Path, seconds: int, *codec: str, sample_rate: int = 48_000) -> Path:
    """Very much sound in very few bytes."""
    run_full_ffmpeg("-f", "lavfi", "-i", f"anullsrc=r={sample_rate}:cl=mono:d={seconds}", *codec, path)
    return path


def by_hand(port: int) -> list[Case]:
    """All attacks that were thought of one by one."""
    makers = (lying_waves(), strange_samples(), scripts(port), references(port), tags(), renamed(), gaps())
    return [case for cases in makers for case in cases]
