"""`estate645 frame HEX...`: say what a DL/T 645 frame means, field by field, in English and Chinese.

With `--json FILE` (`-` is standard input) one frame in hex a line, and one JSON object a line for each. Passwords
are not shown. Exit code 1 when a frame is broken.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TextIO

from core.dlt645.explain import Explanation, Row, explain
from server.errors import EstateError

_SEPARATORS = str.maketrans("", "", " \t,:;-")

_NOT_HEX: dict[str, Any] = {
    **dict.fromkeys(("address", "control", "edition", "identifier")),
    "values": [],
    "err": None,
    "error": None,
    "error_zh": "不是十六进制",
    "checksum_ok": False,
}


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("frame", help="explain a DL/T 645 frame", description=__doc__)
    parser.add_argument("hex", metavar="HEX", nargs="*", help="the bytes of one frame, spaces allowed")
    parser.add_argument("--json", metavar="FILE", help="frames in hex, one a line; - reads standard input")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain one frame for people, or many for programs."""
    if bool(arguments.hex) == bool(arguments.json):
        raise EstateError("give the bytes of one frame in hex, or --json FILE with one frame a line (- for stdin)")
    if arguments.json is None:
        return _explain_one("".join(arguments.hex))
    if arguments.json == "-":
        return _explain_lines(sys.stdin, sys.stdout)
    try:
        with open(arguments.json, encoding="utf-8") as lines:
            return _explain_lines(lines, sys.stdout)
    except OSError as error:
        raise EstateError(f"{arguments.json}: {error.strerror}") from error


def _explain_one(text: str) -> int:
    try:
        explanation = explain(_bytes(text))
    except ValueError as error:
        raise EstateError(str(error)) from error
    for row in explanation.rows:
        print(_line(row))
    for en, zh in explanation.problems:
        print(f"BROKEN: {en} / {zh}")
    if explanation.is_sound and explanation.error_en:
        print(f"{explanation.error_en} / {explanation.error_zh}")
    return 0 if explanation.is_sound else 1


def _explain_lines(lines: Iterable[str], out: TextIO) -> int:
    broken = 0
    for text in lines:
        if not text.strip():
            continue
        try:
            explanation = explain(_bytes(text))
        except ValueError as error:
            told = _NOT_HEX | {"error": str(error)}
            broken += 1
        else:
            told = _as_json(explanation)
            broken += not explanation.is_sound
        out.write(json.dumps(told, ensure_ascii=False) + "\n")
        out.flush()
    return 1 if broken else 0


def _bytes(text: str) -> bytes:
    digits = text.strip().translate(_SEPARATORS)
    wrong = next((character for character in digits if character not in "0123456789abcdefABCDEF"), None)
    if wrong is not None:
        raise ValueError(f"not hexadecimal: {wrong!r}")
    if len(digits) % 2:
        raise ValueError(f"{len(digits)} hexadecimal digits are no whole bytes")
    return bytes.fromhex(digits)


def _line(row: Row) -> str:
    text = " / ".join(dict.fromkeys(text for text in (row.text_en, row.text_zh) if text))
    bytes_hex = row.data.hex(" ").upper()
    if len(bytes_hex) > 35:
        bytes_hex = f"{bytes_hex}\n{'':35}"
    return f"{bytes_hex:35}  {row.name_en} {row.name_zh}" + (f": {text}" if text else "")


def _as_json(told: Explanation) -> dict[str, Any]:
    return {
        "address": told.address,
        "control": None if told.control is None else f"{told.control:02X}",
        "edition": told.edition or None,
        "identifier": told.identifier,
        "values": [
            {
                "name": one.name_en,
                "name_zh": one.name_zh,
                "value": one.value.isoformat() if isinstance(one.value, datetime) else one.value,
                "unit": one.unit,
                "text": one.text_en,
                "text_zh": one.text_zh,
            }
            for one in told.values
        ],
        "err": told.err,
        "error": told.error_en,
        "error_zh": told.error_zh,
        "checksum_ok": told.checksum_ok,
    }
