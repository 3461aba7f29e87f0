"""Cursors and validators of lists: an opaque cursor names the last row of a page, an ETag the content of an answer."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from starlette.responses import Response

from server.errors import Refused

PAGE_ROWS = 50
PAGE_ROWS_MAX = 200
CURSOR_LENGTH_MAX = 200
INT64_MAX = 2**63 - 1
DIGITS_MAX = 18  # of a number in a cursor, so that it is an int64

Row = TypeVar("Row", bound=BaseModel)
Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="rows of a page")]
Cursor = Annotated[
    str, Query(max_length=CURSOR_LENGTH_MAX, description="`next_cursor` of the page before; empty for the first page")
]


class Page(BaseModel, Generic[Row]):
    """One page of a list."""

    items: list[Row]
    next_cursor: str | None = Field(description="ask with this for the next page; null on the last one")


def encode_cursor(key: str) -> str:
    """The opaque form of a row's key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The key in a cursor, empty for the first page; raises Refused."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refused("cursor: not one that this list gave out") from error
    if "\x00" in key:
        raise Refused("cursor: not one that this list gave out")
    return key


def decode_number(cursor: str) -> int | None:
    """The number in a cursor, None for the first page; raises Refused."""
    key = decode_cursor(cursor)
    if not key:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= DIGITS_MAX):
        raise Refused("cursor: not one that this list gave out")
    return int(key)


def encode_dated(row: Mapping[str, Any] | RowMapping, name: str) -> str:
    """The cursor of a row of a list in order of `created_ms`; its number `name` orders those of one millisecond."""
    return encode_cursor(f"{row['created_ms']}:{row[name]}")


def decode_dated(cursor: str) -> tuple[int, str] | None:
    """Machine time and number in a cursor, None for the first page; raises Refused."""
    key = decode_cursor(cursor)
    if not key:
        return None
    at_ms, colon, number = key.partition(":")
    if not (colon and at_ms.isascii() and at_ms.isdigit() and len(at_ms) <= DIGITS_MAX):
        raise Refused("cursor: not one that this list gave out")
    return int(at_ms), number


def answer(request: Request, content: BaseModel) -> Response:
    """`content` as JSON with an ETag; 304 when the asker has it already."""
    body = content.model_dump_json().encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
