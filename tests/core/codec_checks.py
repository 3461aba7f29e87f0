"""Checks of the DL/T 645 codec as functions that return what failed, so that a planted bug can be put to them.

`load_codec` makes a private copy of `core.dlt645` from its source, with text replaced on demand. Each check takes
such a copy and judges it by the vectors or by the oracle only, never by the codec itself.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import core.dlt645
from core.errors import CoreError, FrameError, MeterRefused, ValueFormatError
from tests.core import frame_oracle as oracle

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
OUR_FUNCTIONS = {0x08, 0x11, 0x12, 0x13, 0x14, 0x1C}
UNIT_FACTOR = {
    "kWh": 1000, "kvarh": 1000, "V": 1000, "A": 1000, "kW": 10**6, "kvar": 10**6, "kVA": 10**6,
    "yuan": 100, "": 1000, "min": 1, "imp/kWh": 1, "imp/kvarh": 1,
}  # fmt: skip

_TYPED = ("service", "requests", "prepaid", "replies")
_TABLES = (
    "entry", "security", "catalogue_records", "catalogue_events", "catalogue_loads", "catalogue_parameters",
    "catalogue_freezes", "catalogue", "catalogue_1997",
)  # fmt: skip
_MODULES = (
    "values",
    "anatomy",
    "frame",
    *_TABLES,
    "identifiers",
    "blocks",
    "commands",
    *_TYPED,
    "edition1997",
    "follow",
    "profiles",
    "detection",
)
_COPY = "codec_copy"
_COMPILED = "from core._frame import read_frame, write_frame\n"
_THE_LONG_WAY = "def read_frame(*_): return None\nwrite_frame = read_frame\n"

Codec = SimpleNamespace
Check = Callable[[Codec], Iterator[str]]


def load_codec(changes: Mapping[str, tuple[str, str]] | None = None) -> Codec:
    """A copy of the codec in which `changes[module] = (old, new)` are made; each old text occurs exactly once.

    Frames go the long way in it, since nothing can be planted into compiled code; `test_frame_ways` compares both.
    """
    folder = Path(core.dlt645.__file__).parent
    sources = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}
    assert _COMPILED in sources["frame"]
    sources["frame"] = sources["frame"].replace(_COMPILED, _THE_LONG_WAY)
    for name, (old, new) in (changes or {}).items():
        assert sources[name].count(old) == 1, f"{name}.py has {sources[name].count(old)} times: {old}"
        sources[name] = sources[name].replace(old, new)
    assert _COPY not in sys.modules, "forget the copy before"
    parent = ModuleType(_COPY)
    sys.modules[_COPY] = parent
    for name, source in sources.items():
        module = ModuleType(f"{_COPY}.{name}")
        sys.modules[module.__name__] = module
        exec(_compiled(name, source), module.__dict__)
        setattr(parent, name, module)
    return Codec(**{name: getattr(parent, name) for name in _MODULES})


@cache
def _compiled(name: str, source: str) -> CodeType:
    return compile(source.replace("core.dlt645", _COPY), f"{name}.py", "exec")


def forget_codec() -> None:
    """Take the copy out of the interpreter again."""
    for name in [_COPY, *(f"{_COPY}.{name}" for name in _MODULES)]:
        sys.modules.pop(name, None)


def real_codec() -> Codec:
    """The codec as it is imported by everybody."""
    return Codec(**{name: import_module(f"core.dlt645.{name}") for name in _MODULES})


def captured() -> list[dict[str, Any]]:
    """The real and published frames."""
    return json.loads((VECTORS / "dlt645_frames.json").read_text(encoding="utf-8"))


def synthetic() -> list[dict[str, Any]]:
    """The frames built for cases that nobody has captured."""
    return json.loads((VECTORS / "dlt645_synthetic.json").read_text(encoding="utf-8"))


def in_scope(vector: dict[str, Any]) -> bool:
    """Whether a captured frame is of the 2007 edition, sound, and of a command that we speak."""
    decoded = vector["decoded"]
    spoken = int(decoded["control"], 16) & 0x1F in OUR_FUNCTIONS
    return spoken and decoded["checksum_ok"] and "protocol" not in decoded and "client_bug" not in decoded


def failures(codec: Codec, checks: Mapping[str, Check]) -> Iterator[str]:
    """What the checks complain about, one after the other; a check that dies has failed too."""
    for name, check in checks.items():
        try:
            for complaint in check(codec):
                yield f"{name}: {complaint}"
        except (CoreError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            yield f"{name}: died of {error!r}"


def check_frames(codec: Codec) -> Iterator[str]:
    """Every captured frame at frame level, of whatever edition: fields, re-encoding, or refusal."""
    for vector in captured():
        wire, want = bytes.fromhex(vector["hex"]), vector["decoded"]
        decoder = codec.frame.FrameDecoder()
        streamed = [frame for byte in wire for frame in decoder.feed(bytes((byte,)))] + decoder.flush()
        try:
            frame = codec.frame.parse(wire)
        except FrameError as error:
            wrong = f"expected {want.get('checksum_expected')}H, got {want['checksum']}H"
            if want["checksum_ok"] or wrong not in str(error) or streamed or decoder.bad_sums != 1:
                yield f"{vector['hex']}: {error}; decoder found {streamed}"
            continue
        control = int(want["control"], 16)
        stated = (want["address"], control, bytes.fromhex(want["data_minus33"]))
        if not want["checksum_ok"] or (frame.address, frame.control, frame.data) != stated:
            yield f"{vector['hex']}: read as {frame}"
        is_reply = vector["direction"] == "response"
        bits = (frame.is_reply, frame.abnormal, frame.follow, frame.function)
        if bits != (is_reply, want["abnormal"], want["follow"], control & 0x1F):
            yield f"{vector['hex']}: bits {bits}"
        if streamed != [frame]:
            yield f"{vector['hex']}: byte by byte gives {streamed}"
        if codec.frame.encode(frame, want["preamble_fe"]) != wire:
            yield f"{vector['hex']}: encodes differently"


def check_identifiers(codec: Codec) -> Iterator[str]:
    """Identifiers and errors of the captured frames in scope; mistaken clients name nothing that exists."""
    for vector in captured():
        want = vector["decoded"]
        if not want["checksum_ok"] or "protocol" in want:
            continue
        frame = codec.frame.parse(bytes.fromhex(vector["hex"]))
        stated = int(want["di"], 16) if "di" in want else None
        if frame.identifier != stated:
            yield f"{vector['hex']}: identifier {frame.identifier}, stated {want.get('di')}"
        if "client_bug" in want and codec.identifiers.lookup(frame.identifier) is not None:
            yield f"{vector['hex']}: a mistaken client was understood"


def stated_values(vector: dict[str, Any]) -> tuple[Any, ...] | None:
    """The values that a vector states, scaled by its own units; None when it states none that we decode."""
    rows = vector["decoded"].get("value")
    if isinstance(rows, dict):
        return (rows["ascii_reversed"].rstrip("."),) if "ascii_reversed" in rows else None
    if not rows or any(isinstance(row, dict) and "raw" in row for row in rows):
        return None
    stated: list[Any] = []
    for row in rows:
        if isinstance(row, str):
            stated.append(int(row, 16))
        elif "demand" in row:
            text = row["time_YYMMDDhhmm"]
            blank = not int(text)
            at = None if blank else datetime.strptime("20" + text, "%Y%m%d%H%M")  # noqa: DTZ007 civil time
            stated += [scaled(row["demand"]), at]
        else:
            stated.append(scaled(row))
    return tuple(stated)


def scaled(row: Mapping[str, str]) -> int:
    """A stated number in the project's unit."""
    exact = Decimal(row["value"]) * UNIT_FACTOR[row["unit"]]
    assert exact == int(exact)
    return int(exact)


def check_values(codec: Codec) -> Iterator[str]:
    """Values of the captured frames in scope, and what the vectors state of refused ones."""
    for vector in filter(in_scope, captured()):
        frame = codec.frame.parse(bytes.fromhex(vector["hex"]))
        stated = stated_values(vector)
        if stated is None or not frame.is_reply:
            continue
        got = codec.identifiers.decode_value(frame.identifier, frame.data[4:])
        if got != stated:
            yield f"{vector['hex']}: {got}, stated {stated}"


def check_replies(codec: Codec) -> Iterator[str]:
    """Each captured reply in scope answers the request that it names, and no other."""
    commands = codec.commands
    for vector in filter(in_scope, captured()):
        frame, want = codec.frame.parse(bytes.fromhex(vector["hex"])), vector["decoded"]
        address, function = want["address"], frame.control & 0x1F
        if vector["direction"] != "response" or function not in (0x11, 0x13, 0x1C):
            continue
        di = int(want.get("di", "00010000"), 16)
        right = _asking(commands, function, address, di)
        other = f"{(int(address) + 1) % 10**12:012d}"
        wrong = [_asking(commands, function, other, di), _asking(commands, 0x14, address, di)]
        if "di" in want:
            wrong.append(_asking(commands, function, address, di ^ 0x100))
        if not right.match(frame) or any(command.match(frame) for command in wrong):
            yield f"{vector['hex']}: matched wrongly"
        request = codec.frame.Frame(frame.address, frame.control & 0x1F, frame.data)
        if right.match(request):
            yield f"{vector['hex']}: a request was taken for its reply"
        yield from _check_outcome(commands, right, frame, vector)


def _asking(commands: ModuleType, function: int, address: str, di: int) -> Any:
    if function == 0x11:
        return commands.Read(address, di)
    if function == 0x13:
        return commands.ReadAddress(address if "9" * 12 not in address else "A" * 12)
    if function == 0x14:
        return commands.Write(address, di, b"\0", commands.Password())
    when = datetime(2026, 1, 1)  # noqa: DTZ001 civil time
    return commands.RelayControl(address, commands.RelayAction.TRIP, when, commands.Password())


def _check_outcome(commands: ModuleType, command: Any, frame: Any, vector: dict[str, Any]) -> Iterator[str]:
    want = vector["decoded"]
    try:
        payload = commands.reply_value(command, frame)
    except MeterRefused as refusal:
        if want.get("err") != f"{refusal.err:02X}":
            yield f"{vector['hex']}: refused with {refusal.err}"
        return
    if "err" in want:
        yield f"{vector['hex']}: a refusal was taken for an answer"
    shown = payload[::-1].hex()
    if "meter_address" in want and shown != want["meter_address"]:
        yield f"{vector['hex']}: address {shown}"


def check_requests(codec: Codec) -> Iterator[str]:
    """Each captured request in scope is what our command with the stated fields would send."""
    for vector in filter(in_scope, captured()):
        if vector["direction"] == "request":
            sent = rebuilt(codec, vector)
            if sent is not None and sent != bytes.fromhex(vector["hex"]):
                yield f"{vector['hex']}: we would send {sent.hex().upper()}"


def rebuilt(codec: Codec, vector: dict[str, Any]) -> bytes | None:
    """The wire bytes that our own command gives for the stated fields; None if no command may say that."""
    commands, want = codec.commands, vector["decoded"]
    address, control = want["address"], int(want["control"], 16)
    try:
        if control == 0x11:
            command = commands.Read(address, int(want["di"], 16))
        elif control == 0x13:
            command = commands.ReadAddress(address)
        elif control == 0x08:
            command = commands.BroadcastTime(_civil(want["time_YYMMDDhhmmss"]), address)
        else:
            who = _password(commands, want), want["operator"]
            if control == 0x14:
                payload = bytes.fromhex(want["payload"])
                command = commands.Write(address, int(want["di"], 16), payload, *who)
            else:
                action = commands.RelayAction(int(want["n1"], 16))
                deadline = _civil(want["deadline_YYMMDDhhmmss"])
                command = commands.RelayControl(address, action, deadline, *who)
    except (ValueError, OverflowError):
        return None  # an impossible date: no command of ours can carry it
    return codec.frame.encode(command.to_frame(), want["preamble_fe"])


def _password(commands: ModuleType, want: Mapping[str, str]) -> Any:
    wire = want["password_wire"]
    return commands.Password(int(want["pa"]), wire[4:6] + wire[2:4] + wire[0:2])


def _civil(text: str) -> datetime:
    pairs = [int(text[i : i + 2]) for i in range(0, 12, 2)]
    year = 2000 + pairs[0]
    return datetime(year, *pairs[1:])  # noqa: DTZ001 civil time


def check_against_oracle(codec: Codec) -> Iterator[str]:
    """Streams of good, cut, altered and joined frames, whole and split, against the oracle."""
    rng = random.Random(645)
    frames = [bytes.fromhex(vector["hex"]) for vector in captured() + synthetic()]
    for _ in range(150):
        stream = b"".join(_damaged(rng, rng.choice(frames)) for _ in range(rng.randrange(1, 5)))
        wanted = oracle.frames_in(stream)
        decoder, found, at = codec.frame.FrameDecoder(), [], 0
        while at < len(stream):
            piece = rng.choice((1, 1, 3, 8, 40))
            found += decoder.feed(stream[at : at + piece])
            at += piece
        found += decoder.flush()
        got = [oracle.Seen(frame.address.lower(), frame.control, frame.data.hex()) for frame in found]
        if got != wanted:
            yield f"{stream.hex()}: {got}, the oracle says {wanted}"
        if [codec.frame.encode(frame, 2) for frame in found] != [oracle.build(seen, 2) for seen in wanted]:
            yield f"{stream.hex()}: encodes differently from the oracle"


def _damaged(rng: random.Random, wire: bytes) -> bytes:
    """The frame as it is, cut, with one byte changed, lost or doubled, or with noise in front."""
    at = rng.randrange(len(wire))
    flipped = bytes((wire[at] ^ (1 << rng.randrange(8)),))
    noise = bytes(rng.choice((0x68, 0xFE, 0x16, 0x00, 0x91)) for _ in range(rng.randrange(1, 12)))
    choices = (
        wire, wire, wire[:at], wire[at:], wire[:at] + flipped + wire[at + 1 :], wire[:at] + wire[at + 1 :],
        wire[: at + 1] + wire[at:], noise + wire, wire + noise, _wrapped(wire), _forged(wire),
    )  # fmt: skip
    return rng.choice(choices)


def _wrapped(wire: bytes) -> bytes:
    """A frame whose data on the wire is a whole frame: what is inside must not be found."""
    plain = "".join(f"{(byte - 0x33) % 256:02x}" for byte in wire)
    return oracle.build(oracle.Seen("000000000001", 0x91, plain))


def _forged(wire: bytes) -> bytes:
    """A frame without its second 68H, the sum being right all the same."""
    body = bytearray(wire.lstrip(b"\xfe"))
    body[7] ^= 0x01
    body[-2] = sum(body[:-2]) % 256
    return bytes(body)


def check_numbers(codec: Codec) -> Iterator[str]:
    """BCD fields of two to four bytes, signed and plain, against the oracle."""
    rng = random.Random(2007)
    for _ in range(400):
        data = bytes(rng.choice((0x00, 0x12, 0x79, 0x80, 0x99, 0x9A, 0xA1)) for _ in range(rng.randrange(2, 5)))
        for signed, read in ((False, codec.values.bcd_to_int), (True, codec.values.bcd_to_signed)):
            wanted = oracle.number(data, 0, signed=signed)
            try:
                got = read(data)
            except ValueFormatError:
                got = None
            if got != wanted:
                yield f"{data.hex()} signed={signed}: {got}, the oracle says {wanted}"
