"""`estate645 frame HEX...`: say what a DL/T 645 frame means, field by field, in English and Chinese.

What is no frame of DL/T 645 and is one of Modbus RTU, CRC included, is explained as that; what only looks like one is
said to, with what keeps it from being read.
With `--json FILE` (`-` is standard input) one frame in hex a line, and one JSON object a line for each. Blanks,
commas, colons, dashes and 0x are allowed between bytes. Passwords are not shown. Exit code 1 when a frame is broken.
"""

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, TextIO

from core.dlt645.explain import Explanation, Row, explain
from core.dlt645.identifiers import Value, lookup
from core.dlt645.profiles import EDITION_2007
from server.cli.languages import LANGUAGES, said
from server.errors import EstateError

LINE_MAX = 8192  # characters; a frame of 267 bytes written as 0xNN with two separators has 1602
EXACT_BYTES = 6  # a JSON reader with floats alone keeps integers up to 2^53

_SEPARATORS = str.maketrans("", "", " \t\r\n,:;-\ufeff")  # the last begins text files of some editors
_PREFIX = re.compile(r"(?<![0-9A-Fa-f])0[xX]")

_NOT_HEX: dict[str, Any] = {
    **dict.fromkeys(("address", "control", "edition", "identifier")),
    "values": [],
    "err": None,
    "checksum_ok": False,
}


class _NoBytes(EstateError):
    """Text that is no bytes: why, in English (the message) and in Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.zh = zh


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("frame", help="explain a DL/T 645 or Modbus RTU frame", description=__doc__)
    parser.add_argument("hex", metavar="HEX", nargs="*", help="the bytes of one frame, spaces allowed")
    parser.add_argument(
        "--lang", choices=LANGUAGES, default="both", help="language of the explanation; both unless given"
    )
    parser.add_argument("--json", metavar="FILE", help="frames in hex, one a line; - reads standard input")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain one frame for people, or many for programs."""
    if bool(arguments.hex) == bool(arguments.json):
        raise EstateError("give the bytes of one frame in hex, or --json FILE with one frame a line (- for stdin)")
    if arguments.json is None:
        return _explain_one(" ".join(arguments.hex), arguments.lang)
    try:
        return _explain_file(arguments.json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: end without a complaint
        return 1


def _explain_file(name: str) -> int:
    if name == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # whatever the bytes are, they get an object and not a crash
        return _explain_lines(sys.stdin, sys.stdout)
    try:
        with open(name, encoding="utf-8", errors="replace") as lines:
            return _explain_lines(lines, sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise EstateError(f"{name}: {error.strerror}") from error


def _explain_one(text: str, lang: str) -> int:
    explanation = _explanation(_bytes(text))
    for row in explanation.rows:
        print(_line(row, lang))
    for problem in explanation.problems:
        print(f"{said('BROKEN', '错误', lang) if lang != 'both' else 'BROKEN'}: {said(*problem, lang)}")
    if explanation.is_sound and explanation.error_en and explanation.error_zh:
        print(said(explanation.error_en, explanation.error_zh, lang))
    return 0 if explanation.is_sound else 1


def _explain_lines(stream: TextIO, out: TextIO) -> int:
    broken = 0
    for text in _lines(stream):
        try:
            explanation = _explanation(_bytes(text))
        except _NoBytes as error:
            told = _NOT_HEX | {"error": str(error), "error_zh": error.zh}
            broken += 1
        else:
            told = _as_json(explanation)
            broken += not explanation.is_sound
        out.write(json.dumps(told, ensure_ascii=False) + "\n")
        out.flush()
    return 1 if broken else 0


def _lines(stream: TextIO) -> Iterator[str]:
    """Lines that are not blank, however long the stream; of a line longer than `LINE_MAX` only so much is kept."""
    while text := stream.readline(LINE_MAX):
        rest = text
        while rest and not rest.endswith("\n"):
            rest = stream.readline(LINE_MAX)
        if text.strip():
            yield text


def _explanation(wire: bytes) -> Explanation:
    told = explain(wire)
    if told.is_sound:
        return told
    from core.modbus.explain import explain_rtu, suspected_rtu

    hint = suspected_rtu(wire) if told.address is None else None
    if hint is None:
        return explain_rtu(wire) or told
    said_en, said_zh = f"{told.error_en}; {hint[0]}", f"{told.error_zh}；{hint[1]}"
    return replace(told, problems=(*told.problems, hint), error_en=said_en, error_zh=said_zh)


def _bytes(text: str) -> bytes:
    if len(text) >= LINE_MAX:
        raise _NoBytes(f"more than {LINE_MAX - 1} characters are no frame", f"超过{LINE_MAX - 1}个字符，不是一帧")
    digits = _PREFIX.sub("", text).translate(_SEPARATORS)
    wrong = next((character for character in digits if character not in "0123456789abcdefABCDEF"), None)
    if wrong is not None:
        raise _NoBytes(f"not hexadecimal: {wrong!r}", f"不是十六进制：{wrong!r}")
    if len(digits) % 2:
        raise _NoBytes(
            f"{len(digits)} hexadecimal digits are no whole bytes", f"{len(digits)}个十六进制数字，不是整字节"
        )
    return bytes.fromhex(digits)


def _line(row: Row, lang: str) -> str:
    text = said(row.text_en, row.text_zh, lang)
    bytes_hex = row.data.hex(" ").upper()
    if len(bytes_hex) > 35:
        bytes_hex = f"{bytes_hex}\n{'':35}"
    name = {"en": row.name_en, "zh": row.name_zh}.get(lang, f"{row.name_en} {row.name_zh}")
    return f"{bytes_hex:35}  {name}" + (f": {text}" if text else "")


def _as_json(told: Explanation) -> dict[str, Any]:
    """What `--json` says of one frame; words wider than the integers that every JSON reader keeps are strings."""
    as_text = told.edition == EDITION_2007 and told.identifier is not None and _is_wide(int(told.identifier, 16))
    return {
        "address": told.address,
        "control": None if told.control is None else f"{told.control:02X}",
        "edition": told.edition or None,
        "identifier": told.identifier,
        "values": [
            {
                "name": one.name_en,
                "name_zh": one.name_zh,
                "value": _json_value(one.value, as_text),
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


def _json_value(value: Value, as_text: bool) -> str | int | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if as_text and isinstance(value, int) else value


def _is_wide(di: int) -> bool:
    """Whether the identifier holds words of bits beyond 2^53, for which a JSON reader may have only a float."""
    entry = lookup(di)
    return entry is not None and entry.kind == "bits" and entry.item_length > EXACT_BYTES
