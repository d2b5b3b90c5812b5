"""The API's contract as an OpenAPI 3.1 document, made from the code: the error tree, the states, the options.

``docs/openapi.yaml`` and ``docs/api.md`` are this document written down (``make openapi``); tests hold them to the
routes in the code and in the template, and every example here to its schema.
"""

from api.contract.document import openapi

__all__ = ["openapi"]
