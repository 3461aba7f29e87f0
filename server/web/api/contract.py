"""The OpenAPI document: what the signatures say, with how to sign in, which right it takes, and what can go wrong.

Every error is a problem document (RFC 9457), so each is described once and referred to by the operations that give it.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from server.web.deps import CSRF_HEADER, SAFE_METHODS, access_rules
from server.web.errors import PROBLEM
from server.web.principal import COOKIE

SIGNED_SCHEME = "signature"
SCHEMES: Mapping[str, Mapping[str, str]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"The session of a person, `__Host-{COOKIE}` behind TLS. Changes also take `{CSRF_HEADER}`, "
        "the token of the page that they come from.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer CLIENT:SECRET` of an `[[api_client]]`; its scopes are the rights.",
    },
    SIGNED_SCHEME: {
        "type": "apiKey",
        "in": "header",
        "name": "X-Estate645-Signature",
        "description": "HMAC-SHA256 with the client's secret over `X-Estate645-Timestamp`, a dot and the raw body, "
        "hexadecimal.",
    },
}
ERRORS: Mapping[str, tuple[str, str, str]] = {  # status: name, when, an example of `detail`
    "401": (
        "NotSignedIn",
        "Nobody is signed in, or the key or the signature does not fit.",
        "sign in, or send an API key as Authorization: Bearer",
    ),
    "403": (
        "NotAllowed",
        "The right is missing, the CSRF token is, or the password must be given once more (`reason` is `stale_login`).",
        "the role cashier lacks the right supply.close",
    ),
    "404": ("NotFound", "There is no such thing, or not for whoever asks.", "no household H10101"),
    "409": (
        "OutOfDate",
        "It has changed meanwhile, or the key came with another request before. Nothing was done.",
        "this key was used for another request; nothing was done",
    ),
    "413": ("TooLarge", "The body is too large. Nothing was done.", "the body is larger than 65536 bytes"),
    "422": (
        "NotAccepted",
        "A field is wrong (`errors` names each), or a rule forbids it. Nothing was done.",
        "body.amount_fen: Input should be greater than 0",
    ),
    "503": (
        "Unavailable",
        "The database, a meter or a provider cannot be asked now; `Retry-After` says when to try again.",
        "too many writes are waiting; nothing was done, try again in a minute",
    ),
}
PROBLEM_SHAPE = {
    "title": "Problem",
    "description": "What went wrong, by RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "plain English, for the developer who reads it"},
        "instance": {"type": "string", "description": "the path that was asked for"},
        "reason": {"type": "string", "description": "`stale_login`: give the password at `confirm`, then repeat"},
        "confirm": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
OF_THE_FRAMEWORK = ("HTTPValidationError", "ValidationError")  # its own shape of a 422, which nobody is ever sent


def described(document: Mapping[str, Any], routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """A copy of FastAPI's document with errors, security and rights of every operation."""
    full: dict[str, Any] = deepcopy(dict(document))
    parts = full.setdefault("components", {})
    shapes = parts.setdefault("schemas", {})
    for name in OF_THE_FRAMEWORK:
        shapes.pop(name, None)
    shapes["Problem"] = deepcopy(PROBLEM_SHAPE)
    parts["securitySchemes"] = {name: dict(scheme) for name, scheme in SCHEMES.items()}
    parts["responses"] = {name: _response(status, when, detail) for status, (name, when, detail) in ERRORS.items()}
    for route in routes:
        if isinstance(route, APIRoute) and route.path_format in full["paths"]:
            [rule] = access_rules(route)
            for method in route.methods or ():
                _complete(full["paths"][route.path_format][method.lower()], route.path_format, method, rule)
    return full


def _complete(operation: dict[str, Any], path: str, method: str, rule: str) -> None:
    """Say of one operation who may ask, and what can go wrong."""
    said = {one: answer for one, answer in operation["responses"].items() if one not in ERRORS}
    for status in _statuses(operation, path, method, rule):
        said[status] = {"$ref": f"#/components/responses/{ERRORS[status][0]}"}
    operation["responses"] = said
    if rule == "public":
        operation["security"] = []
    elif rule == "signed_message":
        operation["security"] = [{SIGNED_SCHEME: []}]
    else:
        operation["security"] = [{"session": []}, {"key": []}]
    if "." in rule:
        operation["description"] += f"\n\nRight: `{rule}`."


def _statuses(operation: Mapping[str, Any], path: str, method: str, rule: str) -> list[str]:
    changes = method not in SAFE_METHODS
    asked = {
        "401": rule != "public",
        "403": rule != "public" and (changes or rule != "signed_in"),
        "404": "{" in path,
        "409": changes,
        "413": "requestBody" in operation,
        "422": changes or bool(operation.get("parameters")),
        "503": True,
    }
    return [status for status, may_come in asked.items() if may_come]


def _response(status: str, when: str, detail: str) -> dict[str, Any]:
    example = {
        "type": "about:blank", "title": HTTPStatus(int(status)).phrase, "status": int(status), "detail": detail,
        "instance": "/api/v1/...",
    }  # fmt: skip
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": when, "content": {PROBLEM: content}}
