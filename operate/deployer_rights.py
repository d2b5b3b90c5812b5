"""What a deployer may not do, by IAM's own simulator: a call for each statement of docs/deployer-policy.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

POLICY = Path(__file__).resolve().parent.parent / "docs" / "deployer-policy.json"
NOT_FOR_A_DEPLOYMENT = {"EmptyBuckets", "UseALayerOfOthers"}
ANY_NAME = "any"


def missing_actions(iam: Any, caller_arn: str, *, stack_name: str, region: str) -> list[str]:
    """The actions of a deployment that the caller may not do, sorted; none where the caller is no user or role.

    Raises ClientError where the caller may not simulate (`iam:SimulatePrincipalPolicy`, and `iam:GetRole` for a role).
    """
    principal = _principal(iam, caller_arn)
    if principal is None:
        return []
    _, partition, _, _, account, _ = caller_arn.split(":", 5)
    names = {"STACK": stack_name, "REGION": region, "ACCOUNT": account, "arn:aws:": f"arn:{partition}:"}
    found = set()
    for question in questions(names):
        pages = iam.get_paginator("simulate_principal_policy").paginate(PolicySourceArn=principal, **question)
        results = (result for page in pages for result in page["EvaluationResults"])
        found |= {result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed"}
    return sorted(found)


def questions(names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What to simulate: actions, the resources that a deployment would name, and what it says beside."""
    text = POLICY.read_text(encoding="utf-8")
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    for statement in json.loads(text)["Statement"]:
        if statement["Sid"] not in NOT_FOR_A_DEPLOYMENT:
            yield {
                "ActionNames": _listed(statement["Action"]),
                "ResourceArns": [_one(resource) for resource in _listed(statement["Resource"])],
                "ContextEntries": [
                    {
                        "ContextKeyName": key,
                        "ContextKeyType": "string",
                        "ContextKeyValues": [_one(_listed(values)[0])],
                    }
                    for condition in statement.get("Condition", {}).values()
                    for key, values in condition.items()
                ],
            }


def _principal(iam: Any, caller_arn: str) -> str | None:
    """The user or role behind a caller. Root may do everything, and a federated user has no policies to read."""
    kind, _, name = caller_arn.rpartition(":")[2].partition("/")
    if kind == "user":
        return caller_arn
    if kind == "assumed-role":
        arn: str = iam.get_role(RoleName=name.partition("/")[0])["Role"]["Arn"]
        return arn
    return None


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _one(pattern: str) -> str:
    """A name that the pattern matches; the simulator wants names."""
    return pattern if pattern == "*" else pattern.replace("*", ANY_NAME)
