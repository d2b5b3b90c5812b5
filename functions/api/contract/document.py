"""The whole OpenAPI document."""

from __future__ import annotations

from api.contract.errors import ERRORS
from api.contract.examples import Schema
from api.contract.parts import error_example
from api.contract.paths import paths
from api.contract.schemas import schemas

API_VERSION = "1.0.0"


def openapi(server_url: str) -> Schema:
    """The document. ``server_url`` is the API's base address with its stage."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Audio Resampler",
            "version": API_VERSION,
            "description": "Converts audio to 32 kHz MP3. Each result can be downloaded once; nothing is kept.",
        },
        "servers": [{"url": server_url}],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "examples": {kind.code: error_example(kind) for kind in ERRORS},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4 for execute-api. The caller needs execute-api:Invoke.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }
