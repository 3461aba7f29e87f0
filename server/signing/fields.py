"""Typed fields of somebody's JSON message: what is missing or of another kind is the sender's fault, never ours.

Read only after the signature over the raw bytes was found good.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from server.errors import CallbackRejected

AMOUNT_FEN_MAX = 10**12
MACHINE_MS_MAX = 10**15
ID_LENGTH_MAX = 64


def object_of(body: bytes) -> dict[str, object]:
    """The JSON object in `body`; raises CallbackRejected."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CallbackRejected("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise CallbackRejected("the body is not a JSON object")
    return fields


def inner(fields: Mapping[str, object], name: str) -> dict[str, object]:
    """The object inside `fields`; raises CallbackRejected."""
    value = fields.get(name)
    if not isinstance(value, dict):
        raise CallbackRejected(f"the field {name} is missing or not an object")
    return value


def text(fields: Mapping[str, object], name: str, *, length_max: int = ID_LENGTH_MAX) -> str:
    """A printable ASCII text of 1 to `length_max` characters; raises CallbackRejected."""
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= length_max or not value.isascii():
        raise CallbackRejected(f"the field {name} is missing or not a short text")
    if not value.isprintable():
        raise CallbackRejected(f"the field {name} holds a control character")
    return value


def number(fields: Mapping[str, object], name: str, maximum: int) -> int:
    """A whole number from 0 to `maximum`; raises CallbackRejected."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise CallbackRejected(f"the field {name} is missing or not a whole number")
    return value


def instant_ms(written: str, name: str) -> int:
    """Epoch milliseconds of an ISO 8601 time with its offset; raises CallbackRejected."""
    try:
        at = datetime.fromisoformat(written)
        if at.tzinfo is None:
            raise ValueError("no offset")
        return int(at.timestamp()) * 1000
    except (ValueError, OverflowError) as error:
        raise CallbackRejected(f"the field {name} is not a time with its offset") from error
