"""Writes docs/openapi.yaml anew from the code: ``make openapi``. A test tells when that is due."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
SERVER_URL = "https://api-id.execute-api.region.amazonaws.com/v1"


class _Dumper(yaml.SafeDumper):
    """Writes out what is used twice: not every reader of OpenAPI knows YAML's aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def document() -> str:
    """The text of docs/openapi.yaml."""
    sys.path[:0] = [str(PROJECT / "functions"), str(PROJECT / "layers" / "shared")]
    from api.contract import openapi

    head = "# Made from functions/api/contract.py by `make openapi`; changes belong there.\n"
    return head + yaml.dump(openapi(SERVER_URL), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    Path(__file__).with_suffix(".yaml").write_text(document(), encoding="utf-8")
