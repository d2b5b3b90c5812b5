"""The adapter: what it changes in the template, what it reapplies, and that it overlooks no difference."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from local import template as templates
from local.adapter import api_words, comparison, reapply, template_changes
from local.deployment import Aws, Stack
from local.errors import TemplateMismatch
from local.template import Deployment

PROJECT = Path(__file__).resolve().parents[3]

TLS_ONLY = {
    "Sid": "TlsOnly",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
OTHER_DENIAL = {**TLS_ONLY, "Sid": "Other", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "1"}}}


# ---------------------------------------------------------------- before the deployment


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": "b", "PolicyDocument": {"Statement": list(statements)}},
    }


def test_only_sources_environment_timeouts_and_the_refusal_of_plain_http_differ_from_the_template() -> None:
    template = templates.load(PROJECT / "template.yaml")
    untouched = copy.deepcopy(template)
    built = [logical_id for logical_id, resource in template["Resources"].items() if "Serverless::" in resource["Type"]]
    locations = {logical_id: f"s3://artefacts/{logical_id}.zip" for logical_id in built}

    result = template_changes.adapted(template, locations, {"ApiFunction": {"TMPDIR": "/somewhere"}})

    assert template == untouched
    changed = {name for name in untouched["Resources"] if result["Resources"].get(name) != untouched["Resources"][name]}
    functions_and_layers = {name for name in changed if "Serverless::" in untouched["Resources"][name]["Type"]}
    assert changed - functions_and_layers == {"UploadBucketPolicy", "ResultBucketPolicy"}
    for name in functions_and_layers:
        before, after = untouched["Resources"][name], result["Resources"][name]
        after["Properties"].pop("CodeUri", None)
        after["Properties"].pop("ContentUri", None)
        after["Properties"].get("Environment", {}).get("Variables", {}).pop("TMPDIR", None)
        before["Properties"].pop("ContentUri", None)
        if after["Properties"].get("Timeout") == template_changes.TIMEOUT_SECONDS > before["Properties"]["Timeout"]:
            after["Properties"]["Timeout"] = before["Properties"]["Timeout"]
        assert after == before


def test_functions_get_their_artefact_and_keep_their_own_variables() -> None:
    function = {
        "Type": "AWS::Serverless::Function",
        "Properties": {"Environment": {"Variables": {"A": "1", "PUBLIC_URL": "https://x"}}},
    }

    result = template_changes.adapted(
        {"Resources": {"F": function}}, {"F": "s3://a/F.zip"}, {"F": {"PUBLIC_URL": "http://127.0.0.1:1/v1"}}
    )

    assert result["Resources"]["F"]["Properties"] == {
        "CodeUri": "s3://a/F.zip",
        "Timeout": template_changes.TIMEOUT_SECONDS,
        "Environment": {"Variables": {"A": "1", "PUBLIC_URL": "http://127.0.0.1:1/v1"}},
    }


def test_a_bucket_policy_keeps_what_is_not_about_plain_http() -> None:
    result = template_changes.adapted({"Resources": {"P": policy(TLS_ONLY, OTHER_DENIAL)}}, {}, {})

    assert result["Resources"]["P"]["Properties"]["PolicyDocument"]["Statement"] == [OTHER_DENIAL]


def test_a_bucket_policy_that_only_refuses_plain_http_is_not_deployed() -> None:
    result = template_changes.adapted({"Resources": {"P": policy(TLS_ONLY)}}, {}, {})

    assert result["Resources"] == {}


def test_a_function_gets_the_layers_that_it_lists_and_no_other() -> None:
    template: dict[str, Any] = {
        "Globals": {"Function": {"Layers": [{"Ref": "Everywhere"}]}},
        "Resources": {
            "Everywhere": {"Type": "AWS::Serverless::LayerVersion"},
            "Conditional": {"Type": "AWS::Serverless::LayerVersion"},
            "Unused": {"Type": "AWS::Serverless::LayerVersion"},
            "F": {"Properties": {"Layers": [{"Fn::If": ["Builds", {"Ref": "Conditional"}, {"Ref": "LayerArn"}]}]}},
        },
    }

    assert template_changes.layers_of(template["Resources"]["F"], template) == ["Everywhere", "Conditional"]


# ---------------------------------------------------------------- in the API's words


def test_lifecycle_rules_are_translated() -> None:
    rules = [
        {"Id": "a", "Status": "Enabled", "ExpirationInDays": "1", "Prefix": "jobs/"},
        {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
    ]

    assert api_words.lifecycle_rules({"Rules": rules}) == {
        "Rules": [
            {"Status": "Enabled", "Filter": {"Prefix": "jobs/"}, "ID": "a", "Expiration": {"Days": 1}},
            {
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
            },
        ]
    }


def test_an_unknown_lifecycle_element_is_refused_by_name() -> None:
    with pytest.raises(TemplateMismatch, match="NoncurrentVersionExpiration"):
        api_words.lifecycle_rules({"Rules": [{"Status": "Enabled", "NoncurrentVersionExpiration": {}}]})


def test_who_may_call_what_is_read_from_the_openapi_body() -> None:
    body: dict[str, Any] = {
        "paths": {
            "/jobs": {"post": {"security": [{"AWS_IAM": []}]}},
            "/d/{token}": {"get": {"security": [{"NONE": []}]}, "head": {}},
        }
    }

    assert api_words.method_authorization(body) == {
        "POST /jobs": "AWS_IAM",
        "GET /d/{token}": "NONE",
        "HEAD /d/{token}": "NONE",
    }


def test_method_settings_get_the_key_that_a_stage_keeps_them_under() -> None:
    settings = [{"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": 100}]

    assert api_words.method_settings(settings) == {"*/*": {"throttlingRateLimit": 100}}


# ---------------------------------------------------------------- comparing


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ({"a": 1}, {"a": 1, "default": 2}),
        ({"a": True}, {"a": "true"}),
        ({"a": "360"}, {"a": 360}),
        ({"a": 50}, {"a": 50.0}),
        (["x", "y"], ["y", "x"]),
        ([{"ID": "b", "n": 1}, {"ID": "a", "n": 2}], [{"ID": "a", "n": 2}, {"ID": "b", "n": 1}]),
    ],
    ids=str,
)
def test_the_same_in_another_spelling_is_no_difference(wanted: Any, actual: Any) -> None:
    assert list(comparison.compare(wanted, actual, "X")) == []


@pytest.mark.parametrize(
    ("wanted", "actual", "place"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "X.a.b"),
        ({"a": 1}, {}, "X.a"),
        ({"a": 1}, None, "X"),
        ({"a": True}, {"a": False}, "X.a"),
        (["x"], ["x", "y"], "X"),
        ([{"ID": "a", "n": 1}], [{"ID": "a", "n": 2}], r"X\[0\].n"),
        ({"a": "1"}, {"a": None}, "X.a"),
    ],
    ids=str,
)
def test_a_difference_is_named_with_its_place(wanted: Any, actual: Any, place: str) -> None:
    with pytest.raises(AssertionError, match=f"^{place}: the template says"):
        raise AssertionError(*comparison.compare(wanted, actual, "X"))


# ---------------------------------------------------------------- after the deployment


class ForgetfulS3:
    """A bucket service whose CloudFormation has dropped the lifecycle, and that has no other setting."""

    def __init__(self) -> None:
        self.lifecycle: dict[str, Any] | None = None

    def put_bucket_lifecycle_configuration(self, **request: Any) -> None:
        self.lifecycle = request["LifecycleConfiguration"]

    def get_bucket_lifecycle_configuration(self, **_: Any) -> dict[str, Any]:
        if self.lifecycle is None:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "GetBucketLifecycleConfiguration")  # type: ignore[typeddict-item]
        return self.lifecycle

    def __getattr__(self, operation: str) -> Any:
        return lambda **_: {}


class OneService:
    def __init__(self, client: Any) -> None:
        self.client = lambda _: client


def stack_of(resource: dict[str, Any], **conditions: Any) -> Stack:
    deployment = Deployment({"Thing": "thing-1"}, {}, conditions)
    return Stack(name="s", template={"Resources": {"Thing": resource}}, deployment=deployment, outputs={})


LIFECYCLE = {"Rules": [{"Id": "a", "Status": "Enabled", "ExpirationInDays": 1}]}


def test_what_was_dropped_is_reapplied_and_then_no_difference_is_left() -> None:
    aws = cast(Aws, OneService(ForgetfulS3()))
    stack = stack_of({"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": LIFECYCLE}})
    with pytest.raises(TemplateMismatch, match=r"Thing\.LifecycleConfiguration"):
        comparison.check(aws, stack)

    reapply.reapply(aws, stack)

    comparison.check(aws, stack)


@pytest.mark.parametrize(
    "resource",
    [
        {"Type": "AWS::S3::Bucket", "Properties": {"ReplicationConfiguration": {}}},
        {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}},
    ],
    ids=["property", "type"],
)
def test_what_nobody_taught_the_adapter_to_check_is_a_difference(resource: dict[str, Any]) -> None:
    with pytest.raises(TemplateMismatch, match="cannot be checked; teach it"):
        comparison.check(cast(Aws, OneService(ForgetfulS3())), stack_of(resource))


def test_a_resource_that_was_not_deployed_is_a_difference() -> None:
    stack = Stack("s", {"Resources": {"Thing": {"Type": "AWS::S3::Bucket"}}}, Deployment({}, {}, {}), {})

    with pytest.raises(TemplateMismatch, match=r"Thing .* was not deployed"):
        comparison.check(cast(Aws, OneService(ForgetfulS3())), stack)


def test_a_resource_whose_condition_does_not_hold_is_not_expected() -> None:
    resource = {"Type": "AWS::Kinesis::Stream", "Condition": "Never", "Properties": {"ShardCount": 1}}
    stack = stack_of(resource, Never={"Fn::Equals": ["a", "b"]})

    comparison.check(cast(Aws, OneService(ForgetfulS3())), stack)
