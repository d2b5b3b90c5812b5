"""Every accepted format comes out at the right rate, level and length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydub import AudioSegment

from audiojobs.conversion import BIT_RATES
from resample.formats.containers import id3v2_bytes
from resample.formats.mpeg_frames import MpegVersion, iterate_mpeg_frames
from tests.audio import broken, measure, synth
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine

SECONDS = 1.2
LEVEL_DBFS = -12.04  # the peak of a sine with amplitude 0.25


def assert_tone(sound: measure.Sound, *, level_dbfs: float = LEVEL_DBFS, seconds: float | None = SECONDS) -> None:
    """The 1 kHz tone within 0.1 dB on every channel, and the length within a millisecond."""
    for channel in range(len(sound.channels)):
        assert measure.tone_dbfs(sound.middle(channel), 1000, sound.sample_rate) == pytest.approx(level_dbfs, abs=0.1)
    if seconds is not None:
        assert sound.seconds == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("form", ["RIFF", "RIFX", "RF64", "BW64"])
@pytest.mark.parametrize("kind", synth.SAMPLE_KINDS)
def test_wav_of_every_sample_format(tmp_path: Path, kind: str, form: str) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(SECONDS), kind, form=form))

    run = run_engine(source)

    assert_tone(run.sound)
    assert run.converted.source.container == "wav"
    assert run.converted.source.duration_seconds == SECONDS
    assert run.converted.result.duration_seconds == SECONDS
    assert run.converted.warnings == ()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav"])
def test_wav_of_compressed_samples(tmp_path: Path, codec: str, channels: int) -> None:
    sound = synth.tone(SECONDS, level_dbfs=LEVEL_DBFS, channels=channels)
    source = synth.encode(tmp_path / "tone.wav", sound, "-c:a", codec)

    run = run_engine(source)

    blocks = codec.startswith("adpcm")  # the last block is decoded whole
    assert_tone(run.sound, seconds=None if blocks else SECONDS)
    assert 0 <= run.converted.result.duration_seconds - SECONDS < (0.05 if blocks else 0.001)
    assert run.converted.source.codec == codec


@pytest.mark.parametrize("kind", ["u8", "s16", "s24", "s32", "f32"])
def test_wav_with_an_extensible_header_and_other_chunks(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "tone.wav"
    samples = synth.sine(SECONDS, channels=2)
    source.write_bytes(synth.wav_bytes(samples, kind, channels=2, extensible=True, channel_mask=3, junk=True))

    assert_tone(run_engine(source).sound)


@pytest.mark.parametrize("riff_bytes", [None, 0, 0xFFFFFFFF], ids=["riff-true", "riff-zero", "riff-ones"])
@pytest.mark.parametrize("declared_bytes", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000], ids=hex)
def test_wav_that_was_streamed_and_never_got_its_length(
    tmp_path: Path, declared_bytes: int, riff_bytes: int | None
) -> None:
    if declared_bytes == 0 and riff_bytes is None:
        pytest.skip("that header says, consistently, that there is no data")
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(SECONDS), declared_bytes=declared_bytes, riff_bytes=riff_bytes))

    run = run_engine(source)

    assert_tone(run.sound)
    assert run.converted.warnings == ()


@pytest.mark.parametrize(
    "sample_rate", [1000, 4000, 8000, 11_025, 16_000, 22_050, 31_999, 32_000, 37_913, 44_100, 48_000, 96_000, 192_000]
)
def test_wav_of_any_sample_rate(tmp_path: Path, sample_rate: int) -> None:
    frequency = min(1000, sample_rate // 5)
    source = tmp_path / "tone.wav"
    source.write_bytes(
        synth.wav_bytes(synth.sine(SECONDS, frequency=frequency, sample_rate=sample_rate), sample_rate=sample_rate)
    )

    sound = run_engine(source).sound

    level = measure.tone_dbfs(sound.middle(), frequency, sound.sample_rate)
    assert level == pytest.approx(LEVEL_DBFS, abs=0.1)
    assert sound.seconds == pytest.approx(round(SECONDS * sample_rate) / sample_rate, abs=1 / 32_000)


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32])
@pytest.mark.parametrize("extensible", [False, True], ids=["plain", "extensible"])
@pytest.mark.parametrize("wanted", [1, 2])
def test_many_channels_become_at_most_two_without_clipping(
    tmp_path: Path, channels: int, extensible: bool, wanted: int
) -> None:
    source = tmp_path / "tone.wav"
    samples = synth.sine(0.5, channels=channels, amplitude=0.99)
    source.write_bytes(synth.wav_bytes(samples, channels=channels, extensible=extensible))

    run = run_engine(source, channels=wanted)

    sound = run.sound
    assert len(sound.channels) == run.converted.result.channels == wanted
    assert run.converted.source.channels == channels
    assert sound.seconds == pytest.approx(0.5, abs=0.001)
    for channel in range(wanted):
        assert 0.3 < measure.peak(sound.middle(channel)) < 1.0


def test_surround_keeps_its_sides(tmp_path: Path) -> None:
    left = synth.sine(SECONDS)
    samples = [value if channel == 0 else 0.0 for value in left for channel in range(6)]
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(samples, channels=6, extensible=True, channel_mask=0x3F))

    sound = run_engine(source).sound

    assert measure.tone_dbfs(sound.middle(0), 1000, 32_000) > -20
    assert measure.tone_dbfs(sound.middle(1), 1000, 32_000) < -70


@pytest.mark.parametrize(("channels", "wanted"), [(1, None), (2, None), (1, 2), (2, 1)])
def test_channels_as_asked_for_at_the_same_level(tmp_path: Path, channels: int, wanted: int | None) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(SECONDS, channels=channels), channels=channels))

    run = run_engine(source, channels=wanted)

    assert len(run.sound.channels) == run.converted.result.channels == (wanted or channels)
    assert_tone(run.sound)


@pytest.mark.parametrize("channel_mask", [0x30, 0x600, 0x5], ids=["behind", "at-the-sides", "left-and-centre"])
def test_two_channels_stay_as_they_are_wherever_they_belong(tmp_path: Path, channel_mask: int) -> None:
    source = tmp_path / "tone.wav"
    samples = [value for pair in zip(synth.sine(0.5), [0.0] * 22_050, strict=True) for value in pair]
    source.write_bytes(synth.wav_bytes(samples, channels=2, extensible=True, channel_mask=channel_mask))

    sound = run_engine(source).sound

    assert measure.tone_dbfs(sound.middle(0), 1000, 32_000) == pytest.approx(LEVEL_DBFS, abs=0.1)
    assert measure.peak(sound.middle(1)) < 1e-6


Lossless = pytest.mark.parametrize(
    ("name", "arguments", "container", "codec"),
    [
        ("tone.w64", (), "w64", "pcm_s16le"),
        ("tone.aiff", (), "aiff", "pcm_s16be"),
        ("tone.aifc", ("-c:a", "pcm_s16le", "-f", "aiff"), "aiff", "pcm_s16le"),
        ("tone24.aiff", ("-c:a", "pcm_s24be"), "aiff", "pcm_s24be"),
        ("tone.au", (), "au", "pcm_s16be"),
        ("tone.caf", (), "caf", "pcm_s16be"),
        ("tone.flac", (), "flac", "flac"),
        ("tone24.flac", ("-c:a", "flac", "-sample_fmt", "s32"), "flac", "flac"),
        ("index-at-the-end.m4a", ("-c:a", "alac"), "mp4", "alac"),
        ("index-first.m4a", ("-c:a", "alac", "-movflags", "+faststart"), "mp4", "alac"),
        ("fragmented.mp4", ("-c:a", "alac", "-movflags", "+frag_keyframe+empty_moov"), "mp4", "alac"),
        ("tone.mov", ("-c:a", "pcm_s16le"), "mp4", "pcm_s16le"),
        ("flac.oga", ("-c:a", "flac", "-f", "ogg"), "ogg", "flac"),
        ("rf64.wav", ("-rf64", "always"), "wav", "pcm_s16le"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)


@Lossless
def test_lossless_formats_to_the_sample(
    tmp_path: Path, name: str, arguments: tuple[str, ...], container: str, codec: str
) -> None:
    source = synth.encode(tmp_path / name, synth.tone(SECONDS, level_dbfs=LEVEL_DBFS), *arguments)

    run = run_engine(source)

    assert_tone(run.sound)
    assert run.sound.sample_frames == SECONDS * 32_000
    assert (run.converted.source.container, run.converted.source.codec) == (container, codec)
    assert (run.converted.source.sample_rate, run.converted.source.channels) == (44_100, 2)
    assert run.converted.source.duration_seconds == SECONDS
    assert run.converted.source.size_bytes == source.stat().st_size
    assert run.converted.warnings == ()


@pytest.mark.parametrize(
    ("name", "arguments", "container", "codec", "longer_seconds"),
    [
        ("cbr.mp3", ("-b:a", "128k"), "mp3", "mp3", 0),
        ("vbr.mp3", ("-q:a", "2"), "mp3", "mp3", 0),
        ("vbr-48k.mp3", ("-q:a", "5", "-ar", "48000"), "mp3", "mp3", 0),
        ("mpeg2.mp3", ("-b:a", "64k", "-ar", "22050"), "mp3", "mp3", 0),
        ("mpeg25.mp3", ("-b:a", "32k", "-ar", "8000"), "mp3", "mp3", 0),
        ("without-tag.mp3", ("-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"), "mp3", "mp3", 0.1),
        ("layer2.mp3", ("-c:a", "mp2", "-f", "mp2"), "mp3", "mp2", 0.1),
        ("tone.ogg", (), "ogg", "vorbis", 0),
        ("tone.opus", ("-c:a", "libopus", "-ar", "48000"), "ogg", "opus", 0),
        ("index-at-the-end.m4a", ("-c:a", "aac"), "mp4", "aac", 0.05),
        ("index-first.m4a", ("-c:a", "aac", "-movflags", "+faststart"), "mp4", "aac", 0.05),
        ("adts.mp3", ("-c:a", "aac", "-f", "adts"), "aac", "aac", 0.1),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_lossy_formats(
    tmp_path: Path, name: str, arguments: tuple[str, ...], container: str, codec: str, longer_seconds: float
) -> None:
    """Gapless where the format tells; otherwise as long as everybody's decoder makes it."""
    source = synth.encode(tmp_path / name, synth.tone(SECONDS, level_dbfs=LEVEL_DBFS), *arguments)
    before = measure.decode(source)

    run = run_engine(source)

    sound = run.sound
    assert sound.seconds == pytest.approx(before.seconds, abs=0.001)
    assert -0.001 <= sound.seconds - SECONDS <= longer_seconds + 0.001
    level_dbfs = measure.tone_dbfs(before.middle(), 1000, before.sample_rate)
    assert measure.tone_dbfs(sound.middle(), 1000, 32_000) == pytest.approx(level_dbfs, abs=0.1)
    assert (run.converted.source.container, run.converted.source.codec) == (container, codec)
    assert run.converted.result.duration_seconds == sound.seconds
    assert run.converted.warnings == ()


def test_mp3_inside_wav(tmp_path: Path) -> None:
    run = run_engine(broken.riff_wrapped_mp3(tmp_path / "wrapped.wav", 44_100))

    assert run.converted.source.container == "wav"
    assert run.converted.source.codec == "mp3"
    assert run.sound.seconds == pytest.approx(2.0, abs=0.1)
    assert run.converted.warnings == ()


def test_mp3_of_mixed_sample_rates(tmp_path: Path) -> None:
    source = broken.mixed_rates(tmp_path / "mixed.mp3")

    sound = run_engine(source).sound

    assert sound.seconds == pytest.approx(3.15, abs=0.12)
    for start in (8_000, 42_000, 76_000):
        part = sound.channels[0][start : start + 16_000]
        assert measure.tone_dbfs(part, 1000, 32_000) == pytest.approx(-12.45, abs=0.1)  # LAME turned it down


def test_sound_of_a_movie(tmp_path: Path) -> None:
    run = run_engine(broken.movie(tmp_path / "movie.mp4"))

    assert run.sound.seconds == pytest.approx(2.0, abs=0.05)
    assert measure.streams(run.mp3, "video") == []


@pytest.mark.parametrize("tag_bytes", [200, 300_000], ids=["small-tag", "big-tag"])
@pytest.mark.parametrize("suffix", [".mp3", ".aac", ".flac"])
def test_id3_tag_in_front(tmp_path: Path, suffix: str, tag_bytes: int) -> None:
    source = synth.write(tmp_path / f"tone{suffix}", SECONDS)
    source.write_bytes(broken.id3v2(tag_bytes) + source.read_bytes())

    run = run_engine(source)

    assert run.converted.source.container == suffix[1:]
    assert run.sound.seconds == pytest.approx(SECONDS, abs=0.1 if suffix == ".aac" else 0.001)


@pytest.mark.parametrize("suffix", [".mp3", ".aac", ".flac", ".ogg", ".m4a", ".wav", ".aiff"])
@pytest.mark.parametrize("tail", [b"TAG".ljust(128, b"\0"), broken.ape_tag()], ids=["id3v1", "ape"])
def test_tags_at_the_end_of_any_file_are_no_damage(tmp_path: Path, suffix: str, tail: bytes) -> None:
    source = synth.write(tmp_path / f"tone{suffix}", SECONDS)
    expected = run_engine(source).converted.result.duration_seconds
    source.write_bytes(source.read_bytes() + tail)

    run = run_engine(source)

    assert run.converted.result.duration_seconds == expected
    assert run.converted.warnings == ()


def _ogg_pages(content: bytes) -> list[bytes]:
    """RFC 3533, section 6: the lengths of a page's segments stand in its header."""
    pages = []
    while content:
        count = content[26]
        size = 27 + count + sum(content[27 : 27 + count])
        pages.append(content[:size])
        content = content[size:]
    return pages


@pytest.mark.parametrize(("suffix", "sample_rate"), [(".ogg", 44_100), (".opus", 48_000)])
def test_a_recording_of_a_broadcast_that_began_long_before(tmp_path: Path, suffix: str, sample_rate: int) -> None:
    source = synth.encode(tmp_path / f"tone{suffix}", synth.tone(12.0, sample_rate=sample_rate))
    pages = _ogg_pages(source.read_bytes())
    source.write_bytes(b"".join([*pages[:2], *pages[len(pages) // 2 :]]))

    run = run_engine(source)

    assert 4.0 < run.sound.seconds < 8.0
    assert run.converted.source.duration_seconds == run.sound.seconds
    assert run.converted.warnings == ()


def test_what_ffmpeg_leaves_out_of_a_chained_ogg_is_told(tmp_path: Path) -> None:
    """It can't go on with another codec, and exits 0."""
    vorbis = synth.write(tmp_path / "tone.ogg", 2 * SECONDS).read_bytes()
    source = tmp_path / "chained.ogg"
    source.write_bytes(vorbis + synth.write(tmp_path / "tone.opus", SECONDS, sample_rate=48_000).read_bytes())

    run = run_engine(source)

    assert run.sound.seconds == pytest.approx(2 * SECONDS, abs=0.01)
    assert [warning.code for warning in run.converted.warnings] == ["decode-errors"]


@pytest.mark.parametrize("front", [b"\0" * 3000, b"\x12\x34\x56" * 300], ids=["zeros", "junk"])
def test_junk_before_the_first_mpeg_frame(tmp_path: Path, front: bytes) -> None:
    arguments = ("-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0")
    source = synth.encode(tmp_path / "tone.mp3", synth.tone(SECONDS), *arguments)
    source.write_bytes(front + source.read_bytes())

    assert run_engine(source).sound.seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("sample_rate", sorted(BIT_RATES))
def test_every_sample_rate_that_mp3_has(tmp_path: Path, sample_rate: int) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(SECONDS, channels=2), channels=2))

    run = run_engine(source, sample_rate=sample_rate)

    assert run.sound.sample_rate == run.converted.result.sample_rate == sample_rate
    assert run.converted.result.bit_rate == max(rate for rate in BIT_RATES[sample_rate] if rate <= 192_000)
    assert_tone(run.sound)


@pytest.mark.parametrize(
    ("sample_rate", "bit_rate"), [(rate, bits) for rate in (8000, 24_000, 32_000) for bits in BIT_RATES[rate]]
)
def test_every_constant_bit_rate(tmp_path: Path, sample_rate: int, bit_rate: int) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(0.3)))

    run = run_engine(source, sample_rate=sample_rate, bit_rate=bit_rate)

    found = _bit_rates(run.mp3)
    assert found == {bit_rate}
    assert run.converted.result.bit_rate == bit_rate


@pytest.mark.parametrize("vbr_quality", [0, 4, 9])
def test_variable_bit_rate(tmp_path: Path, vbr_quality: int) -> None:
    source = synth.write(tmp_path / "tone.wav", SECONDS)

    run = run_engine(source, vbr_quality=vbr_quality)

    rates = _bit_rates(run.mp3)
    assert len(rates) > 1
    assert min(rates) <= run.converted.result.bit_rate <= max(rates)
    assert run.sound.sample_frames == SECONDS * 32_000


def test_result_is_mpeg1_layer3_without_anything_strange(tmp_path: Path) -> None:
    run = run_engine(synth.write(tmp_path / "tone.wav", SECONDS))

    content = run.mp3.read_bytes()
    start = id3v2_bytes(content)
    mpeg_frames = list(iterate_mpeg_frames(content, start))
    assert mpeg_frames[-1].end == len(content)
    assert {(frame.header.version, frame.header.layer) for frame in mpeg_frames} == {(MpegVersion.MPEG1, 3)}
    assert run.converted.result.size_bytes == len(content)
    pydub_sound = AudioSegment.from_file(run.mp3, format="mp3")
    assert (pydub_sound.frame_rate, pydub_sound.channels) == (32_000, 2)
    assert pydub_sound.duration_seconds == pytest.approx(SECONDS, abs=0.001)
    assert pydub_sound.max_dBFS == pytest.approx(-12, abs=0.2)


def _with_cover(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        given = {"title": "Tïtle – 歌", "artist": "Ärtist", "album": "Album", "track": "3/9"}
        return synth.encode(
            folder / name, synth.tone(SECONDS), tags=given, cover=synth.png(folder / "cover.png", noise=b"n" * 100_000)
        )

    return make


@pytest.mark.parametrize("name", ["tone.mp3", "tone.flac", "tone.m4a", "tone.aiff"])
def test_tags_and_cover_survive(tmp_path: Path, name: str) -> None:
    source = _with_cover(name)(tmp_path)

    run = run_engine(source)

    found = measure.tags(run.mp3)
    assert (found["title"], found["artist"], found["album"]) == ("Tïtle – 歌", "Ärtist", "Album")
    assert not {"major_brand", "compatible_brands"} & set(found)
    (picture,) = measure.streams(run.mp3, "video")
    assert (picture["codec_name"], picture["width"]) == ("png", 16)
    assert picture["disposition"]["attached_pic"] == 1
    assert run.sound.seconds == pytest.approx(SECONDS, abs=0.05 if name == "tone.m4a" else 0.001)
    assert (tmp_path / "cover.png").read_bytes() in run.mp3.read_bytes()


@pytest.mark.parametrize("name", ["tone.ogg", "tone.opus", "tone.wav"])
def test_tags_survive(tmp_path: Path, name: str) -> None:
    source = synth.encode(tmp_path / name, synth.tone(SECONDS, sample_rate=48_000), tags={"title": "T", "artist": "A"})

    run = run_engine(source)

    found = measure.tags(run.mp3)
    assert (found["title"], found["artist"]) == ("T", "A")
    assert measure.streams(run.mp3, "video") == []


def test_chapters_survive(tmp_path: Path) -> None:
    script = tmp_path / "chapters.txt"
    script.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1200\ntitle=Two\n"
    )
    plain = synth.write(tmp_path / "plain.m4a", SECONDS)
    book = tmp_path / "book.m4a"
    run_full_ffmpeg("-i", plain, "-i", script, "-map", "0:a", "-map_chapters", "1", "-c", "copy", book)

    run = run_engine(book)

    chapters = measure.probe(run.mp3)["chapters"]
    assert [chapter["tags"]["title"] for chapter in chapters] == ["One", "Two"]
    assert run.sound.seconds == pytest.approx(measure.decode(plain).seconds, abs=0.001)


def test_gaps_between_timestamps_become_silence(tmp_path: Path) -> None:
    plain = synth.write(tmp_path / "plain.m4a", 3.0)
    gap = tmp_path / "gap.mp4"
    cut = "setts=ts=TS+if(gt(N\\,60)\\,5*44100\\,0)"
    run_full_ffmpeg("-i", plain, "-c", "copy", "-bsf:a", cut, gap)

    run = run_engine(gap)

    assert run.sound.seconds == pytest.approx(8.0, abs=0.1)
    assert run.converted.warnings == ()


@pytest.mark.parametrize("sample_frames", [1, 2, 46, 47, 48, 100, 1151, 1152, 1153, 1198, 1199, 1200, 31_999])
def test_short_files_to_the_sample(tmp_path: Path, sample_frames: int) -> None:
    source = tmp_path / "short.wav"
    source.write_bytes(synth.wav_bytes([0.1] * sample_frames, sample_rate=32_000))

    run = run_engine(source)

    assert run.sound.sample_frames == sample_frames


def _bit_rates(mp3: Path) -> set[int]:
    """The bit rates of the audio, the frame of the Info tag left out."""
    content = mp3.read_bytes()
    first, *audio = iterate_mpeg_frames(content, id3v2_bytes(content))
    assert b"Xing" in content[first.offset : first.end] or b"Info" in content[first.offset : first.end]
    return {mpeg_frame.header.bit_rate or 0 for mpeg_frame in audio}
