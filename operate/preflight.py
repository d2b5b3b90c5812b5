"""`python -m operate.preflight CONFIG_ENV`: look at the account before a deployment, and say what will hurt.

Only one finding stops the deployment: a stack that can't be deployed to, because its first deployment failed. The
others are sentences, with what to do. What the caller may not look at is left out, and said.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from operate.deploy_questions import SAMCONFIG, answers_so_far, default_answers
from operate.deployer_rights import missing_actions

TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"
JOBS_TABLE = "JobsTable"

CONCURRENCY_QUOTA = "L-B99A9384"
ALWAYS_UNRESERVED = 10
"""Concurrent executions that Lambda keeps for functions without a reservation; new accounts often have no more."""
ENOUGH_CONCURRENCY = 100
FREE_DASHBOARDS = 3
CODE_BYTES = 60_000_000
"""Functions and layers of one deployment, unpacked and rounded up. SAM keeps the layers of earlier ones."""
MOST_UNPACKED_BYTES = 262_144_000
NAMED_ACTIONS = 8

UNUSABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
"""States of a stack in which CloudFormation takes nothing but its deletion."""

Ask = Callable[[str], str]
Say = Callable[[str], None]


@dataclass(slots=True)
class Account:
    """The account and region that is deployed to; `indexes` are those that the table is to have."""

    region: str
    stack_name: str
    parameters: Mapping[str, str]
    client: Callable[[str], Any] = field(default=lambda _: None)
    indexes: frozenset[str] = frozenset()

    def status(self) -> str:
        """The stack's status, or "" where there is none."""
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return ""
            raise
        return str(stacks[0]["StackStatus"])

    def delete_stack(self) -> None:
        """Delete the stack, and wait until it is gone."""
        formation = self.client("cloudformation")
        formation.delete_stack(StackName=self.stack_name)
        formation.get_waiter("stack_delete_complete").wait(StackName=self.stack_name)

    def findings(self, *, is_new: bool) -> Iterator[str]:
        """What will hurt, a sentence each. `is_new` says that there is no such stack yet."""
        looks = [self._rights, self._concurrency, self._code, self._layer]
        looks += [self._buckets, self._log_groups, self._dashboards] if is_new else [self._indexes]
        for look in looks:
            try:
                yield from look()
            except (ClientError, BotoCoreError) as error:
                yield f"Not looked at, because AWS refused: {error}"

    def _concurrency(self) -> Iterator[str]:
        limits = self.client("lambda").get_account_settings()["AccountLimit"]
        most, free = int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"])
        wanted = int(self.parameters.get("MaxConcurrentJobs") or 0)
        if wanted and free - wanted < ALWAYS_UNRESERVED:
            yield (
                f"MaxConcurrentJobs={wanted} will be refused: of {free} concurrent executions, Lambda keeps"
                f" {ALWAYS_UNRESERVED} unreserved. At most {max(0, free - ALWAYS_UNRESERVED)} can be reserved here."
            )
        elif not wanted and most < ENOUGH_CONCURRENCY:
            suggested = min(most // 2, free - ALWAYS_UNRESERVED)
            yield (
                f"This account runs {most} functions at a time. As many long conversions shut out the API, the links"
                f" and the deletions until one ends. "
                + (f"Set MaxConcurrentJobs={suggested}, or ask" if suggested > 0 else "Ask")
                + f" for more: aws service-quotas request-service-quota-increase --service-code lambda"
                f" --quota-code {CONCURRENCY_QUOTA} --desired-value 1000 --region {self.region}"
            )

    def _rights(self) -> Iterator[str]:
        caller = self.client("sts").get_caller_identity()["Arn"]
        missing = missing_actions(self.client("iam"), caller, stack_name=self.stack_name, region=self.region)
        if missing:
            more = f" and {len(missing) - NAMED_ACTIONS} more" if len(missing) > NAMED_ACTIONS else ""
            yield (
                "By IAM's simulator you may not do all that a deployment takes:"
                f" {', '.join(missing[:NAMED_ACTIONS])}{more}. docs/deployer-policy.json has all of it."
            )

    def _code(self) -> Iterator[str]:
        settings = self.client("lambda").get_account_settings()
        most = settings["AccountLimit"].get("TotalCodeSize")
        used = settings.get("AccountUsage", {}).get("TotalCodeSize", 0)
        if most is not None and most - used < CODE_BYTES:
            yield (
                f"Lambda keeps at most {most / 1e9:.0f} GB of code here, and {used / 1e9:.1f} GB are there: delete old"
                f" layer versions and functions (aws lambda list-layers --region {self.region})."
            )

    def _layer(self) -> Iterator[str]:
        arn = self.parameters.get("FfmpegLayerArn")
        if not arn:
            return
        layer = self.client("lambda").get_layer_version_by_arn(Arn=arn)
        processors, wanted = layer.get("CompatibleArchitectures"), self.parameters.get("Architecture", "x86_64")
        if processors and wanted not in processors:
            yield f"The layer {arn} is for {', '.join(processors)}, and Architecture is {wanted}."
        # Packed, which is less than it takes: what does not even fit so is refused for certain.
        if (size := layer["Content"]["CodeSize"]) + CODE_BYTES > MOST_UNPACKED_BYTES:
            yield (
                f"The layer {arn} has {size / 1e6:.0f} MB packed. With the functions' own code that is more than the"
                f" {MOST_UNPACKED_BYTES / 1e6:.0f} MB that Lambda unpacks."
            )

    def _buckets(self) -> Iterator[str]:
        account = self.client("sts").get_caller_identity()["Account"]
        for kind in ("uploads", "results"):
            name = f"{self.stack_name}-{kind}-{account}-{self.region}"
            try:
                self.client("s3").head_bucket(Bucket=name)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    continue
            yield f"The bucket {name} exists already, and blocks the stack: delete it, or choose another stack name."

    def _log_groups(self) -> Iterator[str]:
        prefix = f"/audio-resampler/{self.stack_name}/"
        for group in self.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
            yield (
                f"The log group {group['logGroupName']} is left of an earlier stack, and blocks this one:"
                f" aws logs delete-log-group --log-group-name {group['logGroupName']} --region {self.region}"
            )

    def _dashboards(self) -> Iterator[str]:
        if self.parameters.get("Dashboard", "true") != "true":
            return
        there = len(self.client("cloudwatch").list_dashboards()["DashboardEntries"])
        if there >= FREE_DASHBOARDS:
            yield f"The account has {there} dashboards: one more costs 3 USD a month. Dashboard=false makes none."

    def _indexes(self) -> Iterator[str]:
        """CloudFormation adds or removes one index of a table at a time, and rolls an update back that has more."""
        resources = self.client("cloudformation").describe_stack_resources(
            StackName=self.stack_name, LogicalResourceId=JOBS_TABLE
        )
        table = resources["StackResources"][0]["PhysicalResourceId"]
        described = self.client("dynamodb").describe_table(TableName=table)["Table"]
        there = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", [])}
        changed = sorted(there ^ self.indexes)
        if len(changed) > 1:
            yield (
                f"The update will be rolled back: the indexes {', '.join(changed)} of the table change, and"
                " CloudFormation changes one at a time. When the stack's jobs are over, delete it, and deploy anew:"
                " docs/deploy.md."
            )


def template_indexes(template: Path = TEMPLATE) -> frozenset[str]:
    """The names of the table's indexes in the template that will be deployed."""
    table = yaml_parse(template.read_text(encoding="utf-8"))["Resources"][JOBS_TABLE]
    return frozenset(index["IndexName"] for index in table["Properties"]["GlobalSecondaryIndexes"])


def prepare(account: Account, ask: Ask | None, say: Say) -> bool:
    """Say what will hurt. Returns whether the deployment can begin; `ask` is None where nobody can answer."""
    status = account.status()
    if status in UNUSABLE:
        say(f"The stack {account.stack_name} is {status}: its deployment failed, and it can only be deleted.")
        if ask is None or ask("Delete it now, with what little it holds? [y/N]: ").strip().lower() not in {"y", "yes"}:
            say(f"aws cloudformation delete-stack --stack-name {account.stack_name} --region {account.region}")
            return False
        account.delete_stack()
        say("It is deleted.")
        status = ""
    for finding in account.findings(is_new=not status):
        say(f"- {finding}")
    return True


def main(environment: str) -> int:
    answers = answers_so_far(SAMCONFIG.read_text(), environment, default_answers())
    region = answers["region"]
    session = boto3.Session()
    account = Account(
        region,
        answers["stack_name"],
        answers,
        lambda name: session.client(name, region_name=region),  # type: ignore[call-overload]
        template_indexes(),
    )
    try:
        ready = prepare(account, input if sys.stdin.isatty() else None, print)
    except (ClientError, BotoCoreError) as error:
        print(f"The account can't be looked at before the deployment: {error}")
        return 0
    except (EOFError, KeyboardInterrupt):
        return 130
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "default"))
