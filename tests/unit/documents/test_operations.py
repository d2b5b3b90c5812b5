"""docs/operations.md says what each alarm means, and each alarm and the dashboard watch what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
RESOURCES: dict[str, dict[str, Any]] = templates.load(PROJECT / "template.yaml")["Resources"]
ALARMS = {name: value["Properties"] for name, value in RESOURCES.items() if value["Type"] == "AWS::CloudWatch::Alarm"}
QUEUES = {name for name, value in RESOURCES.items() if value["Type"] == "AWS::SQS::Queue"}
DASHBOARD = RESOURCES["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
LOGGED_AND_COUNTED = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("functions", "layers/shared/audiojobs")
    for path in (PROJECT / folder).rglob("*.py")
)

RING_WITHOUT_DATA = {"SweepLateAlarm"}
"""The sweep runs every few minutes and always reports: silence means that it does not run."""

every_alarm = pytest.mark.parametrize("name", ALARMS)


def sections() -> dict[str, str]:
    """What is said of each alarm."""
    chapter = OPERATIONS.partition("\n## The alarms\n")[2].partition("\n## ")[0]
    _, *parts = re.split(r"^### (\w+)\n", chapter, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_alarm_is_explained_and_nothing_else() -> None:
    assert list(sections()) == list(ALARMS)


@every_alarm
def test_it_is_said_what_an_alarm_means_where_to_look_and_what_to_do(name: str) -> None:
    section = sections()[name]

    assert [section.count(f"**{word}**") for word in ("Means", "Look", "Do")] == [1, 1, 1]


@every_alarm
def test_every_alarm_is_mailed_and_knows_what_silence_means(name: str) -> None:
    alarm = ALARMS[name]

    assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    assert alarm["TreatMissingData"] == ("breaching" if name in RING_WITHOUT_DATA else "notBreaching")
    assert alarm["AlarmDescription"].endswith(".")


def test_what_must_not_go_unnoticed_has_an_alarm() -> None:
    watched = {(namespace(alarm).removeprefix("AWS/"), alarm["MetricName"]) for alarm in ALARMS.values()}

    assert watched >= {
        ("AudioResampler/${AWS::StackName}", "SweepLag"),
        ("AudioResampler/${AWS::StackName}", "SweepFailed"),
        ("SQS", "ApproximateNumberOfMessagesVisible"),
        ("SQS", "ApproximateAgeOfOldestMessage"),
        ("Lambda", "Errors"),
        ("Lambda", "Duration"),
        ("Lambda", "Throttles"),
        ("Lambda", "AsyncEventsDropped"),
        ("Lambda", "DestinationDeliveryFailures"),
        ("ApiGateway", "5XXError"),
        ("DynamoDB", "ReadThrottleEvents"),
        ("DynamoDB", "WriteThrottleEvents"),
    }
    in_alarms = json.dumps(list(ALARMS.values()))
    assert all(f'["{queue}", "QueueName"]' in in_alarms for queue in QUEUES)


def namespace(alarm: dict[str, Any]) -> str:
    """AWS's, or the stack's own, which has its name in it."""
    value = alarm["Namespace"]
    return str(value["Fn::Sub"] if isinstance(value, dict) else value)


def test_the_slow_alarm_comes_before_the_function_is_killed() -> None:
    timeout_milliseconds = 1000 * RESOURCES["ResampleFunction"]["Properties"]["Timeout"]

    assert ALARMS["ResampleSlowAlarm"]["Threshold"] == 0.8 * timeout_milliseconds


def test_the_late_alarm_leaves_time_for_the_longest_delay_and_two_attempts() -> None:
    visibility_seconds = RESOURCES["PurgeQueue"]["Properties"]["VisibilityTimeout"]

    assert ALARMS["PurgeLateAlarm"]["Threshold"] > 900 + 2 * visibility_seconds


def test_the_dashboard_shows_every_alarm_queue_function_and_log() -> None:
    shown = {name.partition(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", DASHBOARD)}
    kinds = {"AWS::CloudWatch::Alarm", "AWS::SQS::Queue", "AWS::Serverless::Function", "AWS::Logs::LogGroup"}

    assert {name for name, value in RESOURCES.items() if value["Type"] in kinds} <= shown


def test_the_dashboard_is_json_whose_widgets_do_not_overlap() -> None:
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", DASHBOARD))["widgets"]

    taken = [
        (column, row)
        for widget in widgets
        for column in range(widget["x"], widget["x"] + widget["width"])
        for row in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < 24


def test_the_metrics_of_the_service_are_those_that_it_writes() -> None:
    written = set(re.findall(r'add_metric\("(\w+)"', LOGGED_AND_COUNTED))
    listed = OPERATIONS.partition("**Metrics** of the service")[2].partition("\n\n")[0]

    assert set(re.findall(r"`(\w+)`", listed)) == written
    assert all(f'"{name}"' in DASHBOARD for name in written)


@pytest.mark.parametrize("message", sorted(set(re.findall(r'message = "([^"]+)"', OPERATIONS))))
def test_queries_ask_for_messages_that_are_logged(message: str) -> None:
    assert f'"{message}"' in LOGGED_AND_COUNTED


def test_the_limit_of_the_costs_is_what_it_multiplies() -> None:
    [(factors, result)] = re.findall(r"^  (10 x .*) = ([\d.]+) USD an hour", OPERATIONS, re.MULTILINE)
    product = 1.0
    for factor in factors.split(" x "):
        product *= float(factor.split()[0])

    assert f"{product:.2f}" == result
