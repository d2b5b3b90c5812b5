"""Before a deployment the account is looked at: what would hurt is said, and a stack that is stuck is deleted."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operate.deployer_rights import questions
from operate.preflight import Account, prepare, template_indexes

INDEXES = frozenset({"by-name", "by-date", "by-place"})


def error(code: str, status: int, message: str = "") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Call")


class Aws:
    """One client for all services, of an account in which all is well unless told otherwise."""

    def __init__(self, **state: Any) -> None:
        self.stack = state.get("stack", "")
        self.concurrency, self.unreserved = state.get("concurrency", (1000, 1000))
        self.buckets: set[str] = state.get("buckets", set())
        self.groups: list[str] = state.get("groups", [])
        self.dashboards: int = state.get("dashboards", 0)
        self.caller: str = state.get("caller", "arn:aws:iam::111122223333:root")
        self.denied: set[str] = state.get("denied", set())
        self.simulated: list[dict[str, Any]] = []
        self.code_bytes: int = state.get("code_bytes", 0)
        self.layer: dict[str, Any] = state.get("layer", {})
        self.deleted: list[str] = []
        self.indexes: frozenset[str] = frozenset(state.get("indexes", INDEXES))

    def describe_stacks(self, **_: Any) -> Any:
        if not self.stack:
            raise error("ValidationError", 400, "Stack with id audio-resampler does not exist")
        return {"Stacks": [{"StackStatus": self.stack}]}

    def describe_stack_resources(self, **_: Any) -> Any:
        return {"StackResources": [{"PhysicalResourceId": "jobs"}]}

    def describe_table(self, **request: Any) -> Any:
        assert request == {"TableName": "jobs"}
        indexes = [{"IndexName": name} for name in self.indexes]
        return {"Table": {"GlobalSecondaryIndexes": indexes} if indexes else {}}

    def delete_stack(self, **request: Any) -> None:
        self.deleted.append(request["StackName"])

    def get_waiter(self, _: str) -> Any:
        return self

    def wait(self, **_: Any) -> None:
        assert self.deleted

    def get_account_settings(self) -> Any:
        return {
            "AccountLimit": {
                "ConcurrentExecutions": self.concurrency,
                "UnreservedConcurrentExecutions": self.unreserved,
                "TotalCodeSize": 75_000_000_000,
            },
            "AccountUsage": {"TotalCodeSize": self.code_bytes},
        }

    def get_layer_version_by_arn(self, **_: Any) -> Any:
        return self.layer

    def get_caller_identity(self) -> Any:
        return {"Account": "111122223333", "Arn": self.caller}

    def get_role(self, **request: Any) -> Any:
        return {"Role": {"Arn": f"arn:aws:iam::111122223333:role/with/a/path/{request['RoleName']}"}}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "simulate_principal_policy"
        return self

    def paginate(self, **request: Any) -> Any:
        if self.caller.endswith("user/nobody"):
            raise error("AccessDenied", 403, "not authorized to perform: iam:SimulatePrincipalPolicy")
        self.simulated.append(request)
        decisions = {name: "implicitDeny" if name in self.denied else "allowed" for name in request["ActionNames"]}
        results = [{"EvalActionName": name, "EvalDecision": decision} for name, decision in decisions.items()]
        return [{"EvaluationResults": results[:1]}, {"EvaluationResults": results[1:]}]

    def head_bucket(self, **request: Any) -> None:
        if request["Bucket"] not in self.buckets:
            raise error("404", 404)

    def describe_log_groups(self, **_: Any) -> Any:
        return {"logGroups": [{"logGroupName": name} for name in self.groups]}

    def list_dashboards(self) -> Any:
        return {"DashboardEntries": [{}] * self.dashboards}


def prepared(aws: Aws, *typed: str, terminal: bool = True, **parameters: str) -> tuple[bool, str]:
    """Whether the deployment can begin, and all that was said."""
    said: list[str] = []
    answers = list(typed)
    account = Account("eu-central-1", "audio-resampler", parameters, lambda _: aws, INDEXES)
    ready = prepare(account, (lambda _: answers.pop(0) if answers else "") if terminal else None, said.append)
    return ready, "\n".join(said)


def test_a_sound_account_is_silent() -> None:
    assert prepared(Aws()) == (True, "")
    assert prepared(Aws(stack="CREATE_COMPLETE", groups=["/audio-resampler/audio-resampler/api"])) == (True, "")


@pytest.mark.parametrize("state", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stack_that_takes_no_deployment_is_deleted_if_wanted(state: str) -> None:
    aws = Aws(stack=state)

    ready, said = prepared(aws, "y")

    assert ready
    assert aws.deleted == ["audio-resampler"]
    assert state in said


@pytest.mark.parametrize("terminal", [True, False])
def test_and_kept_with_the_command_to_type_otherwise(terminal: bool) -> None:
    aws = Aws(stack="ROLLBACK_COMPLETE")

    ready, said = prepared(aws, "", terminal=terminal)

    assert not ready
    assert aws.deleted == []
    assert "aws cloudformation delete-stack --stack-name audio-resampler --region eu-central-1" in said


def test_a_new_account_is_told_the_quota_to_ask_for() -> None:
    ready, said = prepared(Aws(concurrency=(10, 10)))

    assert ready
    assert "L-B99A9384" in said
    assert "--region eu-central-1" in said
    assert "MaxConcurrentJobs" not in said, "nothing can be reserved"


def test_where_something_can_be_reserved_a_limit_is_suggested() -> None:
    assert "MaxConcurrentJobs=25" in prepared(Aws(concurrency=(50, 50)))[1]
    assert prepared(Aws(concurrency=(50, 50)), MaxConcurrentJobs="25") == (True, "")


def test_a_limit_that_lambda_will_refuse_is_named() -> None:
    assert "At most 40" in prepared(Aws(concurrency=(50, 50)), MaxConcurrentJobs="45")[1]


def test_names_that_are_taken_are_said_for_a_new_stack() -> None:
    taken = "audio-resampler-uploads-111122223333-eu-central-1"
    group = "/audio-resampler/audio-resampler/api"

    said = prepared(Aws(buckets={taken}, groups=[group], dashboards=3))[1]

    assert taken in said
    assert f"delete-log-group --log-group-name {group} --region eu-central-1" in said
    assert "3 USD" in said
    assert "3 USD" not in prepared(Aws(dashboards=3), Dashboard="false")[1]


def test_an_update_that_changes_several_indexes_is_told_of() -> None:
    update = {"stack": "CREATE_COMPLETE"}

    ready, said = prepared(Aws(**update, indexes={"by-name", "by-age"}))

    assert ready
    assert "the indexes by-age, by-date, by-place of the table change" in said
    assert prepared(Aws(**update, indexes=set())) != (True, "")
    assert prepared(Aws(**update, indexes=INDEXES - {"by-name"})) == (True, ""), "one at a time is taken"
    assert prepared(Aws(indexes=set())) == (True, ""), "a new table has all at once"


def test_the_indexes_are_those_of_the_template() -> None:
    assert "by-upload-key" in template_indexes()


USER = "arn:aws:iam::111122223333:user/deployer"
ROLE_SESSION = "arn:aws-cn:sts::111122223333:assumed-role/deployer/me@example.com"


def test_rights_that_lack_are_named() -> None:
    ready, said = prepared(Aws(caller=USER, denied={"sqs:CreateQueue", "iam:PassRole"}))

    assert ready
    assert "iam:PassRole, sqs:CreateQueue." in said
    assert "docs/deployer-policy.json" in said


def test_a_caller_with_no_rights_gets_no_long_list() -> None:
    aws = Aws(caller=USER)
    aws.denied = {action for question in questions({}) for action in question["ActionNames"]}

    said = prepared(aws)[1]

    assert f"and {len(aws.denied) - 8} more" in said


def test_the_simulator_is_asked_for_the_very_stack() -> None:
    aws = Aws(caller=ROLE_SESSION)

    assert prepared(aws) == (True, "")

    assert {question["PolicySourceArn"] for question in aws.simulated} == {
        "arn:aws:iam::111122223333:role/with/a/path/deployer"
    }
    resources = {arn for question in aws.simulated for arn in question["ResourceArns"]}
    assert "arn:aws-cn:s3:::audio-resampler-uploads-111122223333-eu-central-1" in resources
    assert not [arn for arn in resources if re.search(r"STACK|REGION|ACCOUNT|.\*", arn)]
    [pass_role] = [question for question in aws.simulated if question["ActionNames"] == ["iam:PassRole"]]
    assert pass_role["ContextEntries"] == [
        {
            "ContextKeyName": "iam:PassedToService",
            "ContextKeyType": "string",
            "ContextKeyValues": ["lambda.amazonaws.com"],
        }
    ]


def test_who_may_not_simulate_deploys_all_the_same() -> None:
    ready, said = prepared(Aws(caller="arn:aws:iam::111122223333:user/nobody"))

    assert ready
    assert "Not looked at" in said


def test_full_code_storage_is_said() -> None:
    assert "75 GB" in prepared(Aws(code_bytes=74_990_000_000))[1]
    assert prepared(Aws(code_bytes=10_000_000_000)) == (True, "")


@pytest.mark.parametrize(
    ("size_bytes", "processors", "told"),
    [
        (5_000_000, ["x86_64"], ""),
        (5_000_000, None, ""),
        (5_000_000, ["arm64"], "Architecture is x86_64"),
        (230_000_000, ["x86_64"], "230 MB"),
    ],
)
def test_a_layer_of_ones_own_fits_the_functions(size_bytes: int, processors: list[str] | None, told: str) -> None:
    layer = {"Content": {"CodeSize": size_bytes}, **({"CompatibleArchitectures": processors} if processors else {})}

    said = prepared(Aws(layer=layer), FfmpegLayerArn="arn:aws:lambda:eu-central-1:1:layer:ffmpeg:1")[1]

    assert told in said
    assert bool(told) == bool(said)
