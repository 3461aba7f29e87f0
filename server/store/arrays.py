"""A column as an array in PostgreSQL's binary form: numbers as bigint[], texts as text[], put together at once.

The form (`array_send`, `int8send` and `textsend` of its source): dimensions, whether something is NULL, type of the
elements, length and lower bound, each of 4 bytes; then each element behind its length of 4 bytes, -1 for NULL. All
numbers are big-endian.
"""

import struct

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from server.domain.columns import Column, Int64s, Texts
from server.domain.line_words import ABSENT

INT8, INT8_ARRAY, TEXT, TEXT_ARRAY = 20, 1016, 25, 1009  # from pg_type
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])
_NULL = struct.pack(">i", -1)


class Int8s(bytes):
    """A bigint[] in binary form."""


class TextsArray(bytes):
    """A text[] in binary form."""


class _Int8sDumper(Dumper):
    format = Format.BINARY
    oid = INT8_ARRAY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _TextsDumper(_Int8sDumper):
    oid = TEXT_ARRAY


psycopg.adapters.register_dumper(Int8s, _Int8sDumper)
psycopg.adapters.register_dumper(TextsArray, _TextsDumper)


def as_parameter(column: Column) -> object:
    """What the driver takes for a column: an array, or the one value for all rows."""
    if isinstance(column, Texts):
        return _texts(column)
    return _numbers(column) if isinstance(column, np.ndarray) else column


def _head(kind: int, rows: int, *, nulls: bool) -> bytes:
    return struct.pack(">5i", 1, nulls, kind, rows, 1) if rows else struct.pack(">3i", 0, 0, kind)


def _numbers(words: Int64s) -> Int8s:
    elements = np.empty(len(words), _ELEMENT)
    elements["length"], elements["value"] = 8, words
    absent = words == ABSENT
    if not absent.any():
        return Int8s(_head(INT8, len(words), nulls=False) + elements.tobytes())
    elements["length"][absent] = -1
    kept = np.ones((len(words), _ELEMENT.itemsize), np.bool_)
    kept[absent, 4:] = False
    given = elements.view(np.uint8).reshape(kept.shape)[kept]
    return Int8s(_head(INT8, len(words), nulls=True) + given.tobytes())


def _texts(column: Texts) -> TextsArray:
    stored = [one.encode() for one in column.texts]
    known = [*(struct.pack(">i", len(one)) + one for one in stored), _NULL]  # the last one is at -1
    places = column.places.tolist()
    return TextsArray(_head(TEXT, len(places), nulls=-1 in places) + b"".join([known[place] for place in places]))
