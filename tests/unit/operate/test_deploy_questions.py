"""`make deploy` asks little, takes only what AWS will take, and keeps the answers where `sam` looks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from local import template as templates
from operate.deploy_questions import QUESTIONS, answers_so_far, ask, default_answers, with_answers

PROJECT = Path(__file__).resolve().parents[3]
SAMCONFIG = (PROJECT / "samconfig.toml").read_text()
DEFAULTS = {"stack_name": "audio-resampler", "region": "us-east-1", "Architecture": "x86_64", "LinkHours": "24"}


def asked(*typed: str, defaults: dict[str, str] = DEFAULTS) -> tuple[dict[str, str], list[str]]:
    """The answers, and what was complained about."""
    remaining, said = list(typed), list[str]()
    answers = ask(defaults, lambda _: remaining.pop(0) if remaining else "", said.append)
    assert not remaining
    return answers, said


def test_return_takes_every_default() -> None:
    answers, said = asked()

    assert answers == {**DEFAULTS, "AlarmEmail": ""}
    assert not said


@pytest.mark.parametrize(
    ("position", "wrong", "right"),
    [
        (0, "My_Stack", "my-stack"),
        (0, "a" * 28, "a" * 27),
        (1, "frankfurt", "us-gov-east-1"),
        (1, "eu_central_1", "eusc-de-east-1"),
        (2, "arm", "arm64"),
        (3, "25", "12"),
        (4, "me", "me@example.com"),
    ],
)
def test_a_wrong_answer_is_asked_again(position: int, wrong: str, right: str) -> None:
    answers, said = asked(*[""] * position, wrong, right)

    assert len(said) == 1
    assert answers[QUESTIONS[position].name] == right


def test_a_bucket_name_of_the_longest_answers_is_legal() -> None:
    assert len(f"{'a' * 27}-uploads-{'1' * 12}-ap-northeast-1") == 63


@pytest.mark.parametrize("environment", ["default", "prod", "another"])
def test_build_and_deploy_find_the_answers(environment: str) -> None:
    answers, _ = asked("mine", "eu-central-1", "arm64", "12", "me@example.com")

    written = with_answers(SAMCONFIG, environment, answers)

    before, after = tomllib.loads(SAMCONFIG), tomllib.loads(written)
    table = after[environment].pop("global")["parameters"]
    assert (table["stack_name"], table["region"]) == ("mine", "eu-central-1")
    assert {"Architecture=arm64", "LinkHours=12", "AlarmEmail=me@example.com"} <= set(table["parameter_overrides"])
    assert ("LogRetentionDays=90" in table["parameter_overrides"]) == (environment == "prod")
    before.get(environment, {}).pop("global", None)
    after = {name: section for name, section in after.items() if section}
    assert after == before, "nothing else has changed"
    assert answers_so_far(written, environment, {}) == answers | (
        {"LogRetentionDays": "90"} if environment == "prod" else {}
    )
    assert with_answers(written, environment, answers) == written


def test_an_address_can_be_taken_back() -> None:
    known, _ = asked("", "", "", "", "me@example.com")

    answers, _ = asked("", "", "", "", "-", defaults=known)

    written = with_answers(with_answers(SAMCONFIG, "default", known), "default", answers)
    assert 'AlarmEmail=""' in tomllib.loads(written)["default"]["global"]["parameters"]["parameter_overrides"]
    assert answers_so_far(written, "default", {})["AlarmEmail"] == "", "what is left out, the stack would keep"


def test_comments_stay() -> None:
    written = with_answers(SAMCONFIG, "default", asked()[0])

    assert [line for line in SAMCONFIG.splitlines() if line.startswith("#")] == [
        line for line in written.splitlines() if line.startswith("#")
    ]


def test_parameters_are_the_templates() -> None:
    declared = templates.load(PROJECT / "template.yaml")["Parameters"]
    names = {question.name for question in QUESTIONS} - {"stack_name", "region"}

    assert names <= set(declared)
    for environment in tomllib.loads(SAMCONFIG).values():
        if isinstance(environment, dict):
            overrides = environment["global"]["parameters"].get("parameter_overrides", [])
            assert {pair.partition("=")[0] for pair in overrides} <= set(declared)


def test_the_region_of_the_session_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    assert default_answers()["region"] == "eu-north-1"

    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert default_answers()["region"] == "eu-west-3"
