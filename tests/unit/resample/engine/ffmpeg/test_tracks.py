"""Which of several audio tracks is converted."""

from __future__ import annotations

from typing import Any

import pytest

from resample.engine.ffmpeg.tracks import choose_track


def _track(index: int, codec: str = "aac", channels: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "index": index,
        "codec_type": "audio",
        "codec_name": codec,
        "sample_rate": "48000",
        "channels": channels,
        "duration": "2.000000",
        **more,
    }


VIDEO = {"index": 0, "codec_type": "video", "codec_name": "h264"}
DEFAULT: dict[str, Any] = {"disposition": {"default": 1}}


def _chosen(*tracks: dict[str, Any]) -> tuple[int | None, tuple[int, ...], list[str]]:
    choice = choose_track([VIDEO, *tracks], is_decodable=lambda codec: codec in ("aac", "pcm_s16le"))
    assert choice is not None
    return choice.index, choice.mono_tracks, [warning.code for warning in choice.warnings]


ONE_OF_SEVERAL = ["one-of-several-tracks"]


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([_track(1)], (None, (), [])),
        ([_track(1), _track(2)], (None, (), ONE_OF_SEVERAL)),
        ([_track(1), _track(2, **DEFAULT)], (2, (), ONE_OF_SEVERAL)),
        ([_track(1, "tak", **DEFAULT), _track(2)], (2, (), ONE_OF_SEVERAL)),
        ([_track(1, disposition={"visual_impaired": 1, "default": 1}), _track(2)], (2, (), ONE_OF_SEVERAL)),
        ([_track(1, "tak"), _track(2, "tak")], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, channels=1)], (None, (1, 2), ["tracks-merged"])),
        ([_track(1, channels=1, **DEFAULT), _track(2, channels=1)], (None, (1, 2), ["tracks-merged"])),
        ([_track(index, channels=1) for index in range(1, 5)], (None, (1, 2, 3, 4), ["tracks-merged"])),
        ([_track(1, channels=1), _track(2, channels=1, duration="9.0")], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, channels=1, duration="2.09")], (None, (1, 2), ["tracks-merged"])),
        ([_track(1, channels=1), _track(2, channels=1, duration="2.11")], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, channels=1, duration="0.0")], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, channels=1, duration="N/A")], (None, (), ONE_OF_SEVERAL)),
        ([_track(index, channels=1) for index in range(1, 33)], (None, tuple(range(1, 33)), ["tracks-merged"])),
        ([_track(index, channels=1) for index in range(1, 34)], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, channels=1, disposition={"comment": 1})], (None, (), ONE_OF_SEVERAL)),
        ([_track(1, sample_rate="N/A"), _track(2)], (2, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=0), _track(2)], (2, (), ONE_OF_SEVERAL)),
        ([_track(1, channels=1), _track(2, "pcm_s16le", channels=1)], (None, (), ONE_OF_SEVERAL)),
        (
            [_track(1, channels=1, tags={"language": "eng"}), _track(2, channels=1, tags={"language": "fra"})],
            (None, (), ONE_OF_SEVERAL),
        ),
    ],
)
def test_the_choice(tracks: list[dict[str, Any]], expected: tuple[int | None, tuple[int, ...], list[str]]) -> None:
    assert _chosen(*tracks) == expected


@pytest.mark.parametrize(
    ("tracks", "words"),
    [
        ([_track(1), _track(2)], "has 2 audio tracks; track 1 was converted"),
        ([_track(1), _track(2), _track(3, **DEFAULT)], "has 3 audio tracks; track 3 was converted"),
        ([_track(1, channels=1), _track(2, channels=1), _track(3, channels=1)], "has 3 mono tracks of one recording"),
    ],
)
def test_what_was_chosen_is_told(tracks: list[dict[str, Any]], words: str) -> None:
    choice = choose_track([VIDEO, *tracks], is_decodable=lambda _: True)

    assert choice is not None
    (warning,) = choice.warnings
    assert words in warning.detail


@pytest.mark.parametrize(
    "name", ["comment", "hearing_impaired", "visual_impaired", "karaoke", "clean_effects", "dub", "lyrics"]
)
def test_tracks_for_some_come_last(name: str) -> None:
    assert _chosen(_track(1, disposition={name: 1}), _track(2), _track(3))[0] == 2
    assert _chosen(_track(1, disposition={name: 0}), _track(2), _track(3))[0] is None


def test_tracks_that_tell_less_than_they_should() -> None:
    nameless = {name: value for name, value in _track(1, channels=1).items() if name != "index"}

    assert _chosen(nameless, nameless) == (None, (), ONE_OF_SEVERAL), "nobody could say which to merge"
    assert _chosen(_track(1, "tak"), {**nameless, "channels": 2}) == (None, (), ONE_OF_SEVERAL)
    for name in ("channels", "sample_rate"):
        assert _chosen({**_track(1), name: None}, _track(2)) == (2, (), ONE_OF_SEVERAL)
        without = {key: value for key, value in _track(1).items() if key != name}
        assert _chosen(without, _track(2)) == (2, (), ONE_OF_SEVERAL)
    assert _chosen(_track(1, disposition="none", tags="none"), _track(2)) == (None, (), ONE_OF_SEVERAL)
    assert _chosen(*[_track(index, channels=1, tags="none") for index in (1, 2)])[1] == (1, 2)


def test_a_file_without_sound_has_no_choice() -> None:
    assert choose_track([VIDEO], is_decodable=lambda _: True) is None
    assert choose_track([], is_decodable=lambda _: True) is None
