"""CloudFormation makes resources in the order of their references, so these must not go in a circle.

Neither cfn-lint nor `sam validate` sees one that runs through SAM's own resources, and the embedded AWS gives functions
variables of its own in place of references. AWS would refuse the stack.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform

from local import template as templates

PROJECT = Path(__file__).resolve().parents[3]


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The template's resources after SAM's transform."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    source = templates.load(PROJECT / "template.yaml")
    source["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = "s3://bucket/key"
    found: dict[str, dict[str, Any]] = transform(source, {}, _NoManagedPolicies())["Resources"]
    return found


def references(value: Any) -> Iterator[str]:
    """The names that `Ref`, `Fn::GetAtt`, `Fn::Sub` and `DependsOn` tell of, anywhere in a resource."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        match key:
            case "Ref":
                yield item
            case "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.partition(".")[0]
            case "Fn::Sub":
                text, variables = (item, {}) if isinstance(item, str) else item
                yield from (name.partition(".")[0] for name in re.findall(r"\$\{([^!}][^}]*)\}", text))
                yield from references(variables)
            case "DependsOn":
                yield from [item] if isinstance(item, str) else item
            case _:
                yield from references(item)


def in_order(resources: dict[str, dict[str, Any]]) -> list[str]:
    """The resources, each after those that it refers to. Raises graphlib.CycleError, which names the circle."""
    graph = {name: set(references(resource)) & set(resources) for name, resource in resources.items()}
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_resources_can_be_made_in_order(resources: dict[str, dict[str, Any]]) -> None:
    order = in_order(resources)

    assert set(order) == set(resources)
    assert order.index("RestApi") < order.index("ResampleFunction") < order.index("UploadBucket"), (
        "as the links need it"
    )


def test_a_reference_to_the_upload_bucket_would_close_the_circle(resources: dict[str, dict[str, Any]]) -> None:
    resources["ApiFunction"]["Properties"]["Description"] = {"Fn::Sub": "of ${UploadBucket.Arn}"}

    with pytest.raises(graphlib.CycleError):
        in_order(resources)
