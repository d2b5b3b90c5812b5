"""What is changed in the template before the deployment, because it cannot hold on loopback."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

TIMEOUT_SECONDS = 300


def adapted(
    template: Mapping[str, Any], locations: Mapping[str, str], environments: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The template to deploy here. Four things differ from what AWS gets, and nothing else:

    - the sources of functions and layers are what was uploaded (`locations`, by logical id);
    - functions get further environment variables (`environments`, by logical id);
    - functions have at least `TIMEOUT_SECONDS`, because this machine may be far slower than Lambda, and busy;
    - bucket policies do not refuse plain http, which is all that there is on loopback.
    """
    result = copy.deepcopy(dict(template))
    resources = result["Resources"]
    for logical_id, resource in list(resources.items()):
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                properties["CodeUri"] = locations[logical_id]
                variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
                variables.update(environments.get(logical_id, {}))
                properties["Timeout"] = max(TIMEOUT_SECONDS, properties.get("Timeout", 0))
            case "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = locations[logical_id]
            case "AWS::S3::BucketPolicy":
                document = properties["PolicyDocument"]
                document["Statement"] = [item for item in document["Statement"] if not refuses_plain_http(item)]
                if not document["Statement"]:
                    del resources[logical_id]
    return result


def layers_of(function: Mapping[str, Any], template: Mapping[str, Any]) -> list[str]:
    """Logical ids of the template's layers that a function may get, in its order, conditions aside."""
    listed = [
        *template.get("Globals", {}).get("Function", {}).get("Layers", []),
        *function.get("Properties", {}).get("Layers", []),
    ]
    return [
        name
        for name in _references(listed)
        if template["Resources"].get(name, {}).get("Type") == "AWS::Serverless::LayerVersion"
    ]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def refuses_plain_http(statement: Mapping[str, Any]) -> bool:
    """Whether a policy statement does nothing but deny requests without TLS."""
    return statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
