"""Tables as CSV that a spreadsheet may open: UTF-8 with a mark, and no cell that it would run as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
BYTE_ORDER_MARK = "\ufeff"


def safe_cell(value: object) -> object:
    """Numbers as they are; a text that could start a formula behind an apostrophe."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def csv_answer(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A download called `name`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(BYTE_ORDER_MARK + text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")
