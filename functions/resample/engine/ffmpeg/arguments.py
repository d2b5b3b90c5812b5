"""ffmpeg's argument vectors: pure functions from what is known of a file and what is wanted.

The filter chain is made so that any input gives what the encoder can take:

- Float samples, from float PCM or from a lossy decoder, may be huge, infinite or not a number, and LAME aborts on
  those. They are taken down by 12 dB, go through 32-bit integers, which saturates them, and come up again behind the
  resampler: peaks of up to 4 times full scale pass unharmed, the rest is clipped, and the rounding error lies
  180 dB below full scale.
- The resampler is soxr with 28 bits of precision: no alias above -150 dB. Without it a tone at 17 kHz comes back at
  15 kHz, 26 dB down.
- More than two channels are mixed down with the weights of ITU-R BS.775, and turned down by what clipping demands:
  :mod:`resample.engine.mixdown` measures that.
- LAME turns the volume down at constant bit rates below 256 kbit/s, by up to 0.45 dB (the ``scale`` column of its
  presets.c; there is no option). It is turned up by as much before: the level of a file stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from audiojobs.conversion import Conversion
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.formats.containers import Container

_CLIP = ("volume=0.25:precision=float", "aformat=sample_fmts=s32p")
_UNCLIP_GAIN = 4.0
# Gaps between the timestamps of these become silence, otherwise they would collapse. Before the resampler and not in
# it: together with soxr each gap came out twice as long. Timestamps that run more than ten minutes ahead of the sound
# (N sample frames so far) are held back to that: a few bytes can claim a gap of years, and a gap is filled in memory.
MAX_FILLED_SECONDS = 600
_HOLD_BACK = f"asetpts=if(gt(PTS*TB\\,N/SR+{MAX_FILLED_SECONDS})\\,(N/SR+{MAX_FILLED_SECONDS})/TB\\,PTS)"
_FILL_GAPS = {
    **dict.fromkeys(("mov", "matroska", "mpegts"), (_HOLD_BACK, "aresample=async=1:first_pts=0")),
    # What decoders of Windows Media leave out at the beginning is no gap.
    "asf": (_HOLD_BACK, "aresample=async=1"),
}

_REPORTING = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+verbose", "-max_error_rate", "1")
_HEAD_SECONDS = 0.5

# The layouts of 3 to 8 channels that ffmpeg knows how to mix down.
_MIXABLE_LAYOUTS = re.compile(
    r"2\.1|3\.[01]|3\.0\(back\)|4\.[01]|quad(\(side\))?|5\.[01](\(side\))?|6\.0(\(front\))?|hexagonal"
    r"|6\.1(\((back|front)\))?|7\.0(\(front\))?|7\.1(\((wide|wide-side)\))?|octagonal"
)

_UNLIMITED = 1000  # the weights of ITU-R BS.775 as they are

_UNMIXED = {1: ["c0=c0"], 2: ["c0=c0+1e-20*c1", "c1=c1+1e-20*c0"]}


def input_arguments(source: Path | None, container: Container) -> list[str]:
    """One input file, of one known format, that can't refer to any other; ``None`` is what comes to stdin."""
    return [
        *("-protocol_whitelist", "file,pipe"),
        *("-format_whitelist", container.demuxer),
        *("-f", container.demuxer),
        *(("-skip_initial_bytes", str(container.junk_bytes)) if container.junk_bytes else ()),
        *("-i", "pipe:0" if source is None else f"file:{source}"),
    ]


def larger_packets(container: Container) -> list[str]:
    """WAV in pieces of 64 kB: a fifth less time for decoding."""
    return ["-max_size", "65536"] if container.demuxer == "wav" else []


def encode_command(
    program: str,
    source: Path | None,
    container: Container,
    probed: ProbeResult,
    conversion: Conversion,
    destination: Path,
) -> list[str]:
    """Decode, resample and encode in one process.

    It reports its progress on stdout; on stderr, each line with its level, what went wrong, and at the end how many
    sample frames it encoded.
    """
    return [
        *(program, *_REPORTING, "-progress", "pipe:1", "-stats_period", "0.5"),
        *_decoder_arguments(source, container, probed),
        *_sound_arguments(container, probed, conversion, "encoded"),
        *_mp3_arguments(probed, conversion, destination),
    ]


def decode_command(
    program: str,
    source: Path | None,
    container: Container,
    probed: ProbeResult,
    conversion: Conversion,
    *,
    pcm: int,
    head: Path,
) -> list[str]:
    """Decode and resample in one process, which leaves the encoding to others.

    Raw PCM (``f32le``) goes to the file descriptor ``pcm``; ``head`` is a short MP3 of the same beginning, with the
    tags and the cover. On stderr, each line with its level, what went wrong.
    """
    return [
        *(program, *_REPORTING),
        *_decoder_arguments(source, container, probed),
        *_sound_arguments(container, probed, conversion, "pcm"),
        *("-codec:a", "pcm_f32le", "-f", "f32le", f"pipe:{pcm}"),
        *_sound_arguments(container, probed, conversion, "head"),
        *("-t", str(_HEAD_SECONDS)),
        *("-flush_packets", "1"),  # it is read while the PCM still comes
        *_mp3_arguments(probed, conversion, head),
    ]


def measure_command(
    program: str, source: Path | None, container: Container, probed: ProbeResult, conversion: Conversion
) -> list[str]:
    """Decode and mix, and tell on stderr how loud the sound is before and after that."""
    channels = output_channels(probed, conversion)
    mix, pan = _mix(probed.channels, probed.channel_layout, channels)
    clip = _CLIP if _is_float(probed) else ()
    gain = probed.sample_gain * (_UNCLIP_GAIN if _is_float(probed) else 1.0)
    unclip = ("aformat=sample_fmts=fltp", f"volume={gain:.9f}:precision=float")
    statistics = "measure_perchannel=none:measure_overall=Peak_level+RMS_level"
    chain = [*clip, *unclip, f"astats@before={statistics}", *pan, ":".join(["aresample=out_sample_fmt=fltp", *mix])]
    return [
        *(program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-max_error_rate", "1"),
        *_decoder_arguments(source, container, probed),
        *_graph_arguments(container, probed, ",".join([*chain, f"astats@after={statistics}"]), "measured"),
        *("-f", "null", "-"),
    ]


def beginning_command(
    program: str, source: Path, container: Container, probed: ProbeResult, *, seconds: float
) -> list[str]:
    """Decode the beginning, and write it to stdout as raw PCM (``s32le``), every bit as it is in the file."""
    return [
        *(program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *_decoder_arguments(source, container, probed),
        *("-map", _track(probed), "-t", str(seconds), "-codec:a", "pcm_s32le", "-f", "s32le", "pipe:1"),
    ]


def _sound_arguments(container: Container, probed: ProbeResult, conversion: Conversion, label: str) -> list[str]:
    return _graph_arguments(container, probed, filter_chain(container, probed, conversion), label)


def _graph_arguments(container: Container, probed: ProbeResult, chain: str, label: str) -> list[str]:
    """The stream through its filters; several mono tracks are merged before, and each has its own gaps filled."""
    if not probed.mono_tracks:
        return ["-map", _track(probed), "-filter:a", chain]
    alike = "aformat=sample_fmts=flt:channel_layouts=mono"  # amerge takes nothing else
    fill = ",".join([*_FILL_GAPS.get(container.demuxer, ()), alike])
    tracks = [f"[0:{index}]{fill}[{label}{index}]" for index in probed.mono_tracks]
    merge = "".join(f"[{label}{index}]" for index in probed.mono_tracks) + f"amerge=inputs={len(probed.mono_tracks)}"
    return ["-filter_complex", ";".join([*tracks, f"{merge},{chain}[{label}]"]), "-map", f"[{label}]"]


def _track(probed: ProbeResult) -> str:
    """The one audio stream that is converted."""
    return "0:a:0" if probed.stream_index is None else f"0:{probed.stream_index}"


def _decoder_arguments(source: Path | None, container: Container, probed: ProbeResult) -> list[str]:
    decoder = ("-codec:a", probed.decoder) if probed.decoder else ()
    # ffprobe has looked for other sound in the clothes of PCM: not again, which takes 8 ms.
    is_probed = container.demuxer == "wav" and probed.codec.startswith("pcm_")
    as_probed = ("-max_probe_packets", "1") if is_probed else ()
    to_the_end = ("-ignore_length", "1") if probed.is_size_stale else ()
    return [
        "-threads",
        "1",
        *decoder,
        *larger_packets(container),
        *as_probed,
        *to_the_end,
        *input_arguments(source, container),
    ]


def _mp3_arguments(probed: ProbeResult, conversion: Conversion, destination: Path) -> list[str]:
    return [
        *cover_arguments(probed),
        *metadata_arguments(probed),
        *encoder_arguments(conversion),
        *("-f", "mp3", "-y", f"file:{destination}"),
    ]


def filter_chain(container: Container, probed: ProbeResult, conversion: Conversion) -> str:
    """From decoded audio to float samples at the rate and with the channels that were asked for."""
    is_float = _is_float(probed)
    channels = output_channels(probed, conversion)
    mix, pan = _mix(probed.channels, probed.channel_layout, channels)
    resample = [f"aresample={conversion.sample_rate}", "resampler=soxr", "precision=28", "out_sample_fmt=fltp", *mix]
    gain = probed.mix_gain * probed.sample_gain * (_UNCLIP_GAIN if is_float else 1.0) / lame_scale(conversion)
    volume = [] if gain == 1.0 else [f"volume={gain:.9f}:precision=float"]
    filters = [*(_CLIP if is_float else ()), *pan, ":".join(resample), *volume]
    return ",".join([*(() if probed.mono_tracks else _FILL_GAPS.get(container.demuxer, ())), *filters])


def _is_float(probed: ProbeResult) -> bool:
    return not probed.sample_format.startswith(("u8", "s16", "s32", "s64"))


def lame_scale(conversion: Conversion) -> float:
    """What LAME 3.100 multiplies samples with before it encodes them."""
    bit_rate = conversion.constant_bit_rate
    if bit_rate is None or bit_rate >= 256_000:
        return 1.0
    return {224_000: 0.98, 192_000: 0.97}.get(bit_rate, 0.95)


def output_channels(probed: ProbeResult, conversion: Conversion) -> int:
    """1 or 2: what was asked for, or as the source has, at most 2."""
    return conversion.channels or min(2, probed.channels)


def cover_arguments(probed: ProbeResult) -> list[str]:
    """The cover picture, if there is one, as it is."""
    if probed.cover_index is None:
        return []
    return ["-map", f"0:{probed.cover_index}", "-codec:v", "copy", "-disposition:v:0", "attached_pic"]


def metadata_arguments(probed: ProbeResult) -> list[str]:
    """Chapters, and room for the tags that :mod:`resample.engine.id3_tag` writes. Every player reads ID3v2.3."""
    room = ["-metadata_header_padding", str(probed.tag_bytes)] if probed.tag_bytes else []
    return ["-map_metadata:g", "-1", "-map_chapters", "0", "-id3v2_version", "3", *room]


def encoder_arguments(conversion: Conversion) -> list[str]:
    """LAME with the constant bit rate, or the VBR quality, that was asked for."""
    rate = conversion.constant_bit_rate
    return ["-codec:a", "libmp3lame", *(("-b:a", str(rate)) if rate else ("-q:a", str(conversion.vbr_quality)))]


def _mix(channels: int, layout: str | None, wanted: int) -> tuple[Sequence[str], Sequence[str]]:
    """Options for the resampler and filters before it that bring ``channels`` to ``wanted`` (1 or 2)."""
    name = "mono" if wanted == 1 else "stereo"
    if channels <= 2:
        if channels == wanted:
            # A layout of its own kind, such as two loudspeakers behind, would be mixed; it is what it is. ffmpeg passes
            # not all of them on, but mixes any: so little of the other channel changes no sample.
            weights = [] if layout in (None, name) else _UNMIXED[wanted]
        elif wanted == 2:
            weights = ["c0=c0", "c1=c0"]
        else:
            weights = ["c0=0.5*c0+0.5*c1"]
    elif channels <= 8 and (layout is None or _MIXABLE_LAYOUTS.fullmatch(layout)):
        return [f"out_chlayout={name}", f"rematrix_maxval={_UNLIMITED}"], []
    else:
        # Nobody knows where these loudspeakers stand: even channels to the left, odd ones to the right.
        weights = [
            f"c{side}<" + "+".join(f"c{index}" for index in range(side, channels, wanted)) for side in range(wanted)
        ]
    # Damaged MPEG audio may begin with fewer channels than it says; what comes out shall not depend on that.
    return [f"out_chlayout={name}"], [
        "aformat=sample_fmts=fltp",
        "|".join([f"pan={name}", *weights]),
    ] if weights else []
