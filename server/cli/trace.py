"""`estate645 trace BUS`: every frame on a bus as it goes by, in hex and in words, until Ctrl-C.

BUS is a bus of the running server (its id or url), whose line is then heard through the admin socket, or a port of
one's own, which is opened and only listened to. Passwords are shown as zeros. Bytes that belong to no frame are shown
as such. `--json` prints an object a line.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import ceil
from typing import Any

from core.dlt645.explain import explain
from core.dlt645.frame import Frame, FrameDecoder, encode
from core.dlt645.masking import Masker
from core.modbus.explain import explain_rtu
from server.admin.client import ServedBus
from server.cli.languages import LANGUAGES, heard, said
from server.cli.languages import mark as _
from server.cli.languages import told as in_words
from server.cli.lines import add_server_options, running_bus, told_of
from server.collect.port import LineSettings, PortError
from server.collect.ports import open_port
from server.collect.serial_port import BAUDS, PARITY_FLAGS
from server.config import load

GAP_MS = 500  # Tb: after such a silence what is left is no frame any more


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("trace", help="show the frames on a bus", description=__doc__)
    parser.add_argument("port", metavar="BUS", help="a bus of the running server, /dev/ttyUSB0, or tcp://host:port")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=2400, help="default 2400")
    parser.add_argument("--parity", choices=tuple(PARITY_FLAGS), default="E", help="default E")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end by itself after this time")
    parser.add_argument("--lang", choices=LANGUAGES, default="both", help="both unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON object a frame")
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Listen until Ctrl-C or until the time is over."""
    tracer = Tracer(arguments.lang, as_json=arguments.json)
    until = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    served = running_bus(arguments)
    try:
        if served is None:
            asyncio.run(_listen(arguments, tracer))
        else:
            for chunk in served.admin.stream("trace", bus=served.bus_id):
                tracer.take(chunk["ms"] or _now_ms(), bool(chunk["sent"]), bytes.fromhex(chunk["bytes"]))
                if until is not None and time.monotonic() >= until:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        tracer.finish()
        if served is not None:
            served.admin.close()
    if not tracer.heard:
        print(_silence(arguments, served), file=sys.stderr)
    return 0


def _silence(arguments: argparse.Namespace, served: ServedBus | None) -> str:
    """Why nothing was heard, as far as that is known."""
    lang = arguments.lang
    if served is None:
        return in_words(_("nothing was heard: nobody asks on this line, or baud, parity or wires are wrong"), lang)
    message, fields = _quiet(told_of(arguments.database or load(arguments.config).database_url, served.bus_id))
    return in_words(message, lang, bus=served.bus_id, **fields)


def _quiet(bus: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    """Why a bus of the running server is quiet, from what the server tells of it; an older one tells less."""
    last_ms, next_s = bus.get("last_reply_ms"), ceil(bus.get("next_s") or 0)
    if bus.get("waiting"):
        return _("nothing was heard: the DTU of bus %(bus)s has not dialled in"), {}
    if not bus.get("open", True):
        why = heard(str(bus.get("trouble", "")) or "not connected")
        return _("nothing was heard: the server has not opened bus %(bus)s: %(why)s"), {"why": why}
    if not bus.get("meters", 1):
        return _("nothing was heard: the server has no meter to read on bus %(bus)s"), {}
    if bus.get("next_s") is None:
        return _("nothing was heard: bus %(bus)s rests until its next cycle, in the running server"), {}
    if last_ms is None:
        text = _(
            "nothing was heard: the running server asks on bus %(bus)s next in %(next_s)d s; no meter has answered it "
            "since it started"
        )
        return text, {"next_s": next_s}
    text = _(
        "nothing was heard: bus %(bus)s rests between two cycles; the running server asks next in %(next_s)d s, and "
        "the last answer came at %(at)s"
    )
    return text, {"next_s": next_s, "at": f"{datetime.fromtimestamp(last_ms / 1000).astimezone():%H:%M:%S}"}


async def _listen(arguments: argparse.Namespace, tracer: "Tracer") -> None:
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    port = open_port(arguments.port, LineSettings(arguments.baud, arguments.parity))
    await port.open(lambda data: tracer.take(_now_ms(), False, data), lost.set_result)
    print(in_words(_("listening on %(port)s"), arguments.lang, port=arguments.port), file=sys.stderr)
    try:
        async with asyncio.timeout(arguments.seconds):
            while not lost.done():
                await asyncio.wait([lost], timeout=GAP_MS / 1000)
                tracer.take(_now_ms(), False, b"")
            raise PortError(lost.result())
    except TimeoutError:
        return
    finally:
        port.close()
        await asyncio.sleep(0)


class Tracer:
    """Cuts the bytes of both directions into frames and prints them."""

    def __init__(self, lang: str, *, as_json: bool) -> None:
        self._lang = lang
        self._as_json = as_json
        self.heard = False
        self._pieces = {True: _Piece(), False: _Piece()}
        self._masks = {True: Masker(), False: Masker()}

    def take(self, ms: int, sent: bool, data: bytes) -> None:
        """Bytes that went by; with none, time has passed."""
        self.heard = self.heard or bool(data)
        piece = self._pieces[sent]
        for one in self._pieces.values():
            if one.is_over(ms):
                self._print(one.at_ms, one is self._pieces[True], one.rest())
        self._print(ms, sent, piece.take(ms, self._masks[sent].feed(data)))

    def finish(self) -> None:
        """Print what is left."""
        for sent, one in self._pieces.items():
            self._print(one.at_ms, sent, one.rest())

    def _print(self, ms: int, sent: bool, wires: Iterator[bytes]) -> None:
        for wire in wires:
            explained = explain(wire)
            if not explained.is_sound:
                explained = explain_rtu(wire) or explained
            en = explained.error_en or "; ".join(f"{one.name_en} {one.text_en}" for one in explained.values)
            zh = explained.error_zh or "；".join(f"{one.name_zh} {one.text_zh}" for one in explained.values)
            kind = next((row for row in explained.rows if row.name_en in ("control code", "function")), None)
            if self._as_json:
                shown = {
                    "ms": ms, "sent": sent, "bytes": wire.hex(), "sound": explained.is_sound,
                    "address": explained.address, "identifier": explained.identifier, "text": en, "text_zh": zh,
                }  # fmt: skip
                print(json.dumps(shown, ensure_ascii=False), flush=True)
                continue
            what = said(kind.text_en, kind.text_zh, self._lang) if kind is not None else ""
            at = f"{datetime.fromtimestamp(ms / 1000).astimezone():%H:%M:%S.%f}"[:-3]
            print(f"{at} {'>' if sent else '<'} {wire.hex(' ').upper()}", flush=True)
            words = "  ".join(filter(None, (explained.address, explained.identifier, what, said(en, zh, self._lang))))
            print(f"{'':15}{words}", flush=True)


class _Piece:
    """What one direction has sent and is not printed yet."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.at_ms = 0

    def is_over(self, ms: int) -> bool:
        """Whether nothing more will come of what is held."""
        return bool(self._held) and ms - self.at_ms > GAP_MS

    def take(self, ms: int, data: bytes) -> Iterator[bytes]:
        """Add bytes; gives what is whole: frames, with the bytes before each that belong to none."""
        self._held += data
        if data:
            self.at_ms = ms
        while (cut := _first_frame(self._held)) is not None:
            start, end = cut
            if start:
                yield bytes(self._held[:start])
            yield bytes(self._held[start:end])
            del self._held[:end]
        if explain_rtu(bytes(self._held)) is not None:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """What is held, as it is."""
        if self._held:
            yield bytes(self._held)
            self._held.clear()


def _first_frame(held: bytearray) -> tuple[int, int] | None:
    """Where the first sound frame of DL/T 645 begins, waking bytes included, and where it ends."""
    decoder = FrameDecoder()
    for end in range(1, len(held) + 1):
        found: list[Frame] = list(decoder.feed(bytes(held[end - 1 : end])))
        if found:
            start = end - len(encode(found[0], 0))
            while start and held[start - 1] == 0xFE:
                start -= 1
            return start, end
    return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
