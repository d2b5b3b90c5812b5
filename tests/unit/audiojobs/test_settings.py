"""The environment of the functions."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from audiojobs.settings import ApiSettings, PurgeSettings, ResampleSettings, Settings, SettingsError

NEEDED = {"JOBS_TABLE": "jobs", "UPLOAD_BUCKET": "uploads", "RESULT_BUCKET": "results"}


def test_the_optional_ones_have_the_templates_defaults() -> None:
    settings = ResampleSettings.from_environment(NEEDED | {"PUBLIC_URL": "https://audio.example.com"})

    assert settings.link_hours == 24
    assert settings.link_seconds == 24 * 3600
    assert settings.download_window_seconds == 300
    assert settings.max_upload_bytes == 2_048_000_000
    assert not settings.keep_originals
    assert settings.max_attempts == 3


def test_the_optional_ones_of_the_other_functions_too() -> None:
    environment = NEEDED | {"PURGE_QUEUE_URL": "queue"}

    api, purge = ApiSettings.from_environment(environment), PurgeSettings.from_environment(environment)

    assert (api.upload_url_seconds, api.public_url) == (3600, "")
    assert (purge.keep_originals, purge.public_url) == (False, "")


@pytest.mark.parametrize(
    ("size_bytes", "seconds"),
    [(0, 300), (28_125_000, 300), (28_125_001, 301), (170_000_000, 1814), (10**12, 10_800)],
)
def test_the_download_window_is_long_enough_for_a_line_of_one_megabit_a_second(size_bytes: int, seconds: int) -> None:
    settings = ResampleSettings.from_environment(NEEDED | {"PUBLIC_URL": "https://audio.example.com"})

    assert settings.download_window_for(size_bytes) == seconds


def test_what_is_given_is_read_by_its_type() -> None:
    environment = NEEDED | {"PURGE_QUEUE_URL": "queue", "LINK_HOURS": "2", "UPLOAD_URL_SECONDS": "60", "PATH": "/bin"}

    settings = ApiSettings.from_environment(environment)

    assert settings == ApiSettings(
        jobs_table="jobs",
        upload_bucket="uploads",
        result_bucket="results",
        purge_queue_url="queue",
        link_hours=2,
        upload_url_seconds=60,
    )


@pytest.mark.parametrize(("text", "kept"), [("true", True), ("false", False)])
def test_switches_are_true_or_false(text: str, kept: bool) -> None:
    environment = NEEDED | {"PUBLIC_URL": "https://audio.example.com", "KEEP_ORIGINALS": text}

    assert ResampleSettings.from_environment(environment).keep_originals is kept


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        (Settings, ["JOBS_TABLE", "UPLOAD_BUCKET", "RESULT_BUCKET"]),
        (ResampleSettings, ["JOBS_TABLE", "UPLOAD_BUCKET", "RESULT_BUCKET", "PUBLIC_URL"]),
        (ApiSettings, ["JOBS_TABLE", "UPLOAD_BUCKET", "RESULT_BUCKET", "PURGE_QUEUE_URL"]),
        (PurgeSettings, ["JOBS_TABLE", "UPLOAD_BUCKET", "RESULT_BUCKET", "PURGE_QUEUE_URL"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_lists_every_missing_name(kind: type[Settings], missing: list[str]) -> None:
    with pytest.raises(SettingsError) as refusal:
        kind.from_environment({"UPLOAD_BUCKET": ""})

    assert [name for name in missing if name not in str(refusal.value)] == []


def test_an_error_lists_what_is_missing_and_what_is_malformed() -> None:
    environment = {"UPLOAD_BUCKET": "uploads", "LINK_HOURS": "soon", "KEEP_ORIGINALS": "yes", "MAX_ATTEMPTS": "3.5"}

    with pytest.raises(SettingsError) as refusal:
        ResampleSettings.from_environment(environment)

    assert "missing: JOBS_TABLE, RESULT_BUCKET, PUBLIC_URL" in str(refusal.value)
    assert "malformed: LINK_HOURS, KEEP_ORIGINALS, MAX_ATTEMPTS" in str(refusal.value)


def test_settings_do_not_change() -> None:
    settings = Settings.from_environment(NEEDED)

    with pytest.raises(FrozenInstanceError):
        settings.jobs_table = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("megabytes", "encoders"),
    [
        ("512", 1),
        ("1769", 1),
        ("2653", 1),
        ("2654", 2),
        ("3538", 2),
        ("4422", 2),
        ("4423", 3),
        ("7076", 4),
        ("10240", 6),
    ],
)
def test_an_encoder_runs_on_each_vcpu_that_lambda_gives(megabytes: str, encoders: int) -> None:
    environment = {
        "JOBS_TABLE": "jobs",
        "UPLOAD_BUCKET": "uploads",
        "RESULT_BUCKET": "results",
        "PUBLIC_URL": "https://api.example.com/v1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": megabytes,
    }

    settings = ResampleSettings.from_environment(environment)

    assert settings.encoders == encoders
