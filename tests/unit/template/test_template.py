"""The template's rules that no linter knows."""

from __future__ import annotations

import importlib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiojobs.settings import ApiSettings, PurgeSettings, ResampleSettings, Settings
from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]
FILE = PROJECT / "template.yaml"
TEMPLATE = templates.load(FILE)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: value for name, value in RESOURCES.items() if value["Type"] == "AWS::Serverless::Function"}
SETTINGS: dict[str, type[Settings]] = {
    "ResampleFunction": ResampleSettings,
    "ApiFunction": ApiSettings,
    "PurgeFunction": PurgeSettings,
}

# Read by the libraries, not by our settings.
OTHER_VARIABLES = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "AWS_ENDPOINT_URL"} | {
    "CALL_TIMEOUT_SECONDS",
    "CALL_ATTEMPTS",
}

# Set by Lambda itself.
LAMBDAS_OWN = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}

# What is free text by nature; everything else has a range, a list or a pattern.
NO_LOG_GROUP = "LeaveNoLogGroupBehind"
FREE_PARAMETERS = {"AllowedOrigin", "FfmpegLayerArn", "AlarmEmail"}

every_function = pytest.mark.parametrize("name", FUNCTIONS)


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: value["Properties"] for name, value in RESOURCES.items() if value["Type"] == kind}


STATEMENTS: list[tuple[str, dict[str, Any]]] = [
    (name, statement)
    for name, function in FUNCTIONS.items()
    for policy in function["Properties"]["Policies"]
    for statement in policy["Statement"]
]


def test_it_has_no_yaml_aliases_which_cloudformation_does_not_read() -> None:
    events = list(yaml.parse(FILE.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))

    assert not [event for event in events if getattr(event, "anchor", None)]


class TestParameters:
    @pytest.mark.parametrize("name", TEMPLATE["Parameters"])
    def test_each_says_what_it_is_and_what_it_takes(self, name: str) -> None:
        parameter = TEMPLATE["Parameters"][name]

        assert parameter["Description"].endswith((".", ")"))
        assert "Default" in parameter, "a deployment asks for nothing that it can do without"
        limits = {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter)
        assert limits or name in FREE_PARAMETERS

    def test_each_has_its_place_in_the_console(self) -> None:
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

        placed = [name for group in groups for name in group["Parameters"]]

        assert sorted(placed) == sorted(TEMPLATE["Parameters"])

    def test_each_is_used(self) -> None:
        text = FILE.read_text(encoding="utf-8").split("\nConditions:", 1)[1]

        assert [name for name in TEMPLATE["Parameters"] if name not in text] == []


def test_every_output_says_what_it_is() -> None:
    assert all(output["Description"].endswith(".") for output in TEMPLATE["Outputs"].values())
    assert {"ApiUrl", "UploadBucket", "ResultBucket", "JobsTable"} <= set(TEMPLATE["Outputs"])


class TestPermissions:
    @pytest.mark.parametrize(
        "statement",
        [statement for _, statement in STATEMENTS],
        ids=[f"{name}-{statement.get('Sid')}" for name, statement in STATEMENTS],
    )
    def test_each_is_one_action_on_one_thing_for_one_reason(self, statement: dict[str, Any]) -> None:
        assert statement["Sid"].isalnum()
        assert statement["Effect"] == ("Deny" if statement["Sid"] == NO_LOG_GROUP else "Allow")
        assert isinstance(statement["Action"], str)
        assert "*" not in statement["Action"]
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert statement["Resource"] not in ("*", ["*"])
        assert "Scan" not in statement["Action"]

    @every_function
    def test_reasons_are_given_once(self, name: str) -> None:
        sids = [statement["Sid"] for function, statement in STATEMENTS if function == name]

        assert len(sids) == len(set(sids))

    def test_nobody_but_its_function_reads_or_writes_the_results(self) -> None:
        actions = {
            (function, statement["Action"])
            for function, statement in STATEMENTS
            if "results" in str(statement["Resource"]) or "ResultBucket" in str(statement["Resource"])
        }

        assert ("ApiFunction", "s3:PutObject") not in actions
        assert ("PurgeFunction", "s3:PutObject") not in actions
        assert ("ResampleFunction", "s3:GetObject") not in actions


class TestFunctions:
    @every_function
    def test_the_handler_is_there(self, name: str) -> None:
        module, _, handler = FUNCTIONS[name]["Properties"]["Handler"].rpartition(".")

        assert callable(getattr(importlib.import_module(module), handler))

    @every_function
    def test_the_environment_is_what_its_settings_read(self, name: str) -> None:
        variables = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
        variables |= set(FUNCTIONS[name]["Properties"].get("Environment", {}).get("Variables", {}))

        assert variables - OTHER_VARIABLES == {field.name.upper() for field in fields(SETTINGS[name])} - LAMBDAS_OWN

    @pytest.mark.parametrize("kind", SETTINGS.values(), ids=lambda kind: kind.__name__)
    def test_settings_and_parameters_have_the_same_defaults(self, kind: type[Settings]) -> None:
        defaults = {field.name: field.default for field in fields(kind) if field.default is not MISSING}

        for name, default in defaults.items():
            parameter = TEMPLATE["Parameters"].get("".join(word.capitalize() for word in name.split("_")))
            if parameter:
                assert str(parameter["Default"]).lower() == str(default).lower(), name

    @every_function
    def test_the_log_has_a_group_of_its_own_that_forgets(self, name: str) -> None:
        group = FUNCTIONS[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]

        assert RESOURCES[group]["Type"] == "AWS::Logs::LogGroup"
        assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        others = [value["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for value in FUNCTIONS.values()]
        assert others.count(group) == 1

    def test_attempts_are_counted_as_lambda_makes_them(self) -> None:
        function = FUNCTIONS["ResampleFunction"]["Properties"]

        retries = function["EventInvokeConfig"]["MaximumRetryAttempts"]

        assert int(function["Environment"]["Variables"]["MAX_ATTEMPTS"]) == retries + 1

    def test_an_upload_of_the_largest_size_and_its_result_fit_into_the_scratch_space(self) -> None:
        megabytes = TEMPLATE["Parameters"]["MaxUploadMegabytes"]["MaxValue"]

        assert 2 * megabytes < FUNCTIONS["ResampleFunction"]["Properties"]["EphemeralStorage"]["Size"]

    def test_a_purge_message_is_hidden_long_enough(self) -> None:
        timeout = FUNCTIONS["PurgeFunction"]["Properties"]["Timeout"]

        assert RESOURCES["PurgeQueue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout

    def test_failed_purges_come_back_alone(self) -> None:
        event = FUNCTIONS["PurgeFunction"]["Properties"]["Events"]["DuePurge"]["Properties"]

        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def lifecycle_days(value: Any, link_hours: str) -> int:
    """What nested conditions on LinkHours say."""
    while isinstance(value, dict):
        condition, then, otherwise = value["Fn::If"]
        wanted = TEMPLATE["Conditions"][condition]["Fn::Equals"]
        value = then if wanted == [{"Ref": "LinkHours"}, link_hours] else otherwise
    return int(value)


class TestStorage:
    @pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
    def test_buckets_are_private_encrypted_unversioned_and_forget(self, name: str) -> None:
        bucket = of_type("AWS::S3::Bucket")[name]

        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert "BucketEncryption" in bucket
        assert "VersioningConfiguration" not in bucket
        rules = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "Prefix" not in rule]
        assert {rule["Status"] for rule in rules} == {"Enabled"}
        days = [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule]
        assert [lifecycle_days(days[0], hours) for hours in ("0.25", "24", "48", "72", "168")] == [1, 1, 2, 3, 7]
        half = [rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") for rule in rules]
        assert 1 in half

    @pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
    def test_buckets_are_spoken_to_over_tls_only(self, name: str) -> None:
        (policy,) = [p for p in of_type("AWS::S3::BucketPolicy").values() if p["Bucket"] == {"Ref": name}]

        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_records_of_jobs_go_too(self) -> None:
        table = RESOURCES["JobsTable"]["Properties"]

        assert table["TimeToLiveSpecification"] == {"AttributeName": "delete_at", "Enabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"

    @pytest.mark.parametrize("name", of_type("AWS::SQS::Queue"))
    def test_queues_are_encrypted(self, name: str) -> None:
        assert of_type("AWS::SQS::Queue")[name]["SqsManagedSseEnabled"] is True


class TestSilence:
    """The path of a one-time link holds its secret, so nothing may write paths down."""

    def test_the_api_has_no_access_log(self) -> None:
        assert "AccessLogSetting" not in RESOURCES["RestApi"]["Properties"]

    def test_the_api_has_no_execution_log(self) -> None:
        for setting in RESOURCES["RestApi"]["Properties"]["MethodSettings"]:
            assert "LoggingLevel" not in setting
            assert "DataTraceEnabled" not in setting

    def test_the_api_is_not_traced_because_traces_hold_whole_urls(self) -> None:
        assert not RESOURCES["RestApi"]["Properties"].get("TracingEnabled")
        assert "Api" not in TEMPLATE["Globals"]

    def test_events_are_not_logged(self) -> None:
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]

        assert "POWERTOOLS_LOGGER_LOG_EVENT" not in variables
        assert "POWERTOOLS_DEV" not in variables
