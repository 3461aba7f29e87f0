"""A number that is one of thousands, said to either database in one value."""

import json
from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Text, any_, cast, func, literal, select

from server.store.direct import array_text


def among(connection: Connection, column: ColumnElement[int], values: Sequence[int]) -> ColumnElement[bool]:
    """Whether a column is one of `values`."""
    if connection.dialect.name == "postgresql":
        return column == any_(cast(literal(array_text(values), Text), ARRAY(BigInteger)))
    return column.in_(select(func.json_each(json.dumps(values)).table_valued("value").c.value))
