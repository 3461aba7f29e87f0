"""Checks of the Modbus side as functions that return what failed, so that a planted bug can be put to them.

`load_modbus` makes a private copy of `core.modbus` from its source, with text replaced on demand. Each check judges
such a copy by the vectors or by the oracle only.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import core.modbus
from core.errors import CoreError, FrameError, MeterRefused, ProtocolMisuse, ValueFormatError
from tests.core import modbus_oracle as oracle

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
MODULES = ("rtu", "numbers", "commands", "maps", "meters")
UNIT_FACTOR = {"Wh": 1000, "mV": 1000, "mA": 1000, "mHz": 1000, "permille": 1000, "mW": 1, "mvar": 1}
_serial = count()

Modbus = SimpleNamespace
Check = Callable[[Modbus], Iterator[str]]


def load_modbus(changes: Mapping[str, tuple[str, str]] | None = None) -> Modbus:
    """A copy of the package in which `changes[module] = (old, new)` are made; each old text occurs exactly once."""
    folder = Path(core.modbus.__file__).parent
    sources = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    for name, (old, new) in (changes or {}).items():
        assert sources[name].count(old) == 1, f"{name}.py has {sources[name].count(old)} times: {old}"
        sources[name] = sources[name].replace(old, new)
    package = f"modbus_copy_{next(_serial)}"
    sys.modules[package] = ModuleType(package)
    for name, source in sources.items():
        module = ModuleType(f"{package}.{name}")
        sys.modules[module.__name__] = module
        exec(compile(source.replace("core.modbus", package), f"{name}.py", "exec"), module.__dict__)
    return Modbus(package=package, **{name: sys.modules[f"{package}.{name}"] for name in MODULES})


def forget_modbus(modbus: Modbus) -> None:
    """Take a copy out of the interpreter again."""
    for name in MODULES:
        del sys.modules[f"{modbus.package}.{name}"]
    del sys.modules[modbus.package]


def published() -> list[dict[str, Any]]:
    """The published frames."""
    return json.loads((VECTORS / "modbus_frames.json").read_text(encoding="utf-8"))


def spoken() -> list[dict[str, Any]]:
    """Those that are sound and of functions that we speak."""
    return [one for one in published() if one["decoded"]["crc_ok"] and "unspoken" not in one["decoded"]]


def failures(modbus: Modbus, checks: Mapping[str, Check]) -> list[str]:
    """What the first check that complains complains about; a check that dies has failed too."""
    found: list[str] = []
    for name, check in checks.items():
        if found:
            break
        try:
            found += [f"{name}: {complaint}" for complaint in check(modbus)]
        except (CoreError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            found.append(f"{name}: died of {error!r}")
    return found


def check_frames(modbus: Modbus) -> Iterator[str]:
    """Every published frame: fields as stated, encoded again to the same bytes, found byte by byte; or refused."""
    for vector in published():
        wire, want = bytes.fromhex(vector["hex"]), vector["decoded"]
        try:
            frame = modbus.rtu.parse(wire)
        except FrameError as error:
            named = f"expected {want.get('crc_expected')}H" if not want["crc_ok"] else "is not spoken here"
            if named not in str(error) or (want["crc_ok"] and "unspoken" not in want):
                yield f"{vector['hex']}: {error}"
            continue
        is_reply = vector["direction"] == "response"
        if not want["crc_ok"] or (frame.unit, frame.function) != (want["unit"], int(want["function"], 16)):
            yield f"{vector['hex']}: read as {frame}"
        if (frame.is_reply, frame.exception) != (is_reply, int(want.get("exception", "0"), 16)):
            yield f"{vector['hex']}: read as {frame}"
        yield from _fields(vector, frame)
        if modbus.rtu.encode(frame) != wire:
            yield f"{vector['hex']}: encodes to {modbus.rtu.encode(frame).hex()}"
        decoder = modbus.rtu.RtuDecoder(requests=not is_reply)
        if [one for byte in wire for one in decoder.feed(bytes((byte,)))] != [frame] or decoder.garbage_bytes:
            yield f"{vector['hex']}: byte by byte differs"


def _fields(vector: Mapping[str, Any], frame: Any) -> Iterator[str]:
    want = vector["decoded"]
    if "registers" in want and frame.registers != tuple(int(word, 16) for word in want["registers"]):
        yield f"{vector['hex']}: registers {frame.registers}"
    if "count" in want and frame.count != want["count"]:
        yield f"{vector['hex']}: count {frame.count}"
    placed = "register" in want and ("value" not in want)
    if placed and frame.register != int(want["register"], 16):
        yield f"{vector['hex']}: register {frame.register}"


def check_values(modbus: Modbus) -> Iterator[str]:
    """What the sources say that the registers mean, by the maps and by the bare kinds of number."""
    for vector in spoken():
        wire, want = bytes.fromhex(vector["hex"]), vector["decoded"]
        frame = modbus.rtu.parse(wire)
        if "value" in want:
            yield from _by_map(modbus, frame, vector)
        for text, at in zip(
            want.get("singles", [want["single"]] if "single" in want else []), range(0, 99, 2), strict=False
        ):
            got = modbus.numbers.decode_number("f32", frame.registers[at : at + 2], 10**6)
            places = len(text.partition(".")[2])
            if round(Decimal(got).scaleb(-6), places) != Decimal(text):
                yield f"{vector['hex']}: {got} millionths, stated {text}"
        for text, at in zip(want.get("counts", []), range(0, 99, 2), strict=False):
            got = modbus.numbers.decode_number("u32", frame.registers[at : at + 2], 10)
            if got != int(text) * 10:
                yield f"{vector['hex']}: {got}, stated {text} counts"


def _by_map(modbus: Modbus, frame: Any, vector: Mapping[str, Any]) -> Iterator[str]:
    want = vector["decoded"]
    meter = modbus.meters.METERS[want["map"]]
    function = int(want["function"], 16)
    asked = modbus.commands.ReadRegisters(want["unit"], int(want["register"], 16), frame.count, function)
    got = {one.name_en: (value, one.unit) for one, value in modbus.maps.values_of(meter, asked, frame).items()}
    if set(got) != set(want["value"]):
        yield f"{vector['hex']}: {sorted(got)}"
    for name, text in want["value"].items():
        value, unit = got.get(name, (0, "Wh"))
        exact = Decimal(value) / (UNIT_FACTOR[unit] if unit not in ("mW", "mvar") else 1000)
        if round(exact, want.get("places", 9)) != Decimal(text):
            yield f"{vector['hex']}: {name} is {exact}, stated {text}"


def check_replies(modbus: Modbus) -> Iterator[str]:
    """A reply answers the request of its unit, function and length and no other; a request answers nothing."""
    for vector in spoken():
        if vector["direction"] != "response":
            continue
        frame = modbus.rtu.parse(bytes.fromhex(vector["hex"]))
        unit, function, at, count = frame.unit, frame.function, frame.register, max(frame.count, 1)
        read, write = modbus.commands.ReadRegisters, modbus.commands.WriteRegisters
        if function == 0x10:
            right = write(unit, at, (7,) * count)
            wrong = [write(unit + 1, at, (7,) * count), write(unit, at + 1, (7,) * count)]
            wrong += [write(unit, at, (7,) * (count + 1)), read(unit, at, count)]
        else:
            right = read(unit, 0, count, function)
            wrong = [read(unit + 1, 0, count, function), read(unit, 0, count, 7 - function), write(unit, 0, (1,))]
            wrong += [] if frame.abnormal else [read(unit, 0, count + 1, function)]
        if not right.match(frame) or any(one.match(frame) for one in wrong) or right.match(right.to_frame()):
            yield f"{vector['hex']}: matched wrongly"
        try:
            modbus.commands.reply_registers(right, frame)
        except MeterRefused as refusal:
            if refusal.err != 2 or "illegal data address" not in str(refusal):
                yield f"{vector['hex']}: {refusal}"
            continue
        if frame.abnormal:
            yield f"{vector['hex']}: a refusal was taken for an answer"


def check_against_oracle(modbus: Modbus) -> Iterator[str]:
    """Streams of good, cut, altered and joined frames, whole and split, as a master and as a meter."""
    rng = random.Random(485)
    frames = [bytes.fromhex(vector["hex"]) for vector in published()]
    for round_ in range(150):
        sent = rng.choice(frames) if round_ % 3 == 0 else b""
        stream = b"".join(_damaged(rng, rng.choice([*frames, sent or frames[0]])) for _ in range(rng.randrange(1, 5)))
        replies = bool(sent) or rng.random() < 0.5
        wanted = oracle.frames_in(stream, replies=replies, sent=sent if sent in _echoable(modbus) else b"")
        decoder = modbus.rtu.RtuDecoder(sent=sent if sent in _echoable(modbus) else b"", requests=not replies)
        found, at = [], 0
        while at < len(stream):
            piece = rng.choice((1, 1, 3, 8, 40))
            found += decoder.feed(stream[at : at + piece])
            at += piece
        found += decoder.flush()
        if [modbus.rtu.encode(frame) for frame in found] != [oracle.build(said) for said in wanted]:
            yield f"{stream.hex()}: {found}, the oracle says {wanted}"
        if decoder.pending or sum(len(oracle.build(said)) for said in wanted) + decoder.garbage_bytes != len(stream):
            yield f"{stream.hex()}: bytes are unaccounted for"


def _echoable(modbus: Modbus) -> set[bytes]:
    return {bytes.fromhex(one["hex"]) for one in spoken() if one["direction"] == "request"}


def _damaged(rng: random.Random, wire: bytes) -> bytes:
    at = rng.randrange(len(wire))
    flipped = bytes((wire[at] ^ (1 << rng.randrange(8)),))
    noise = bytes(rng.choice((0x01, 0x03, 0x04, 0x10, 0x83, 0x00, 0xFF, 0x06)) for _ in range(rng.randrange(1, 12)))
    choices = (
        wire, wire, wire, wire[:at], wire[at:], wire[:at] + flipped + wire[at + 1 :], wire[:at] + wire[at + 1 :],
        noise + wire, wire + noise, _forged(rng, wire), _forged(rng, wire),
    )  # fmt: skip
    return rng.choice(choices)


def _forged(rng: random.Random, wire: bytes) -> bytes:
    """A byte that says unit, function, count or address is changed, and the CRC made right for it."""
    body = bytearray(wire[:-2])
    body[rng.randrange(min(7, len(body)))] = rng.choice((0, 1, 2, 3, 4, 5, 0x10, 0x7E, 0xF6, 0xF8, 0xFE, 0xFF, 0x90))
    return bytes(body) + oracle.crc(bytes(body))


def check_malformed(modbus: Modbus) -> Iterator[str]:
    """Frames with a right CRC that nobody may send: refused when alone, and no frame in a stream."""
    said = oracle.Said
    replies = (
        said(1, 3, "03010203"), said(1, 3, "00"), said(1, 4, "fc" + "00" * 252), said(0, 3, "020001"),
        said(1, 0x83, "00"),
        said(248, 3, "020001"), said(1, 0x10, "00000000"), said(1, 0x10, "0000007c"), said(1, 0x10, "ffff0002"),
        said(1, 0x86, "02"), said(1, 6, "00010002"), said(1, 0x80, "01"),
    )  # fmt: skip
    requests = (
        said(1, 3, "00000000"), said(1, 3, "0000007e"), said(1, 4, "ffff0002"), said(0, 3, "00000001"),
        said(1, 0x10, "000000010400010002"), said(1, 0x10, "0000000200"), said(1, 0x10, "0000007cf8" + "00" * 248),
        said(1, 0x10, "ffff00020400010002"), said(0xF8, 3, "00000001"), said(1, 0x83, "02"),
    )  # fmt: skip
    for listed, hears_requests in ((replies, False), (requests, True)):
        for one in listed:
            wire = oracle.build(one)
            decoder = modbus.rtu.RtuDecoder(requests=hears_requests)
            found = decoder.feed(wire) + decoder.flush()
            if found or decoder.garbage_bytes != len(wire):
                yield f"{wire.hex()}: found {found}"
            try:
                parsed = modbus.rtu.parse(wire)
            except FrameError:
                continue
            if not (hears_requests and parsed.is_reply):  # a refusal is no request, and a frame all the same
                yield f"{wire.hex()}: parsed as {parsed}"


def check_numbers(modbus: Modbus) -> Iterator[str]:
    """Registers of every kind, at their edges and at random, against exact fractions; and the way back."""
    rng = random.Random(754)
    edges = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x3F00, 0x3F80, 0x4048, 0x7F7F, 0x7F80, 0xFF80]
    for _ in range(500):
        words = [rng.choice(edges) if rng.random() < 0.5 else rng.randrange(65536) for _ in range(2)]
        scale = rng.choice((1, 10, 1000, 10**6, 2**140))
        value = oracle.single(words)
        wanted = None if value is None else oracle.nearest(value * scale)
        wanted = None if wanted is None or abs(wanted) >= 2**63 else wanted
        yield from _compare(modbus, "f32", words, scale, wanted)
        yield from _compare(modbus, "f32", words[::-1], scale, wanted, high_word_first=False)
        whole = words[0] * 65536 + words[1]
        yield from _compare(modbus, "u32", words, scale, whole * scale)
        yield from _compare(modbus, "s32", words, scale, (whole - 2**32 * (words[0] >= 0x8000)) * scale)
        yield from _compare(modbus, "u16", words[:1], scale, words[0] * scale)
        yield from _compare(modbus, "s16", words[:1], scale, (words[0] - 65536 * (words[0] >= 0x8000)) * scale)
        yield from _compare(modbus, "high", words[:1], scale, words[0] // 256 * scale)
        yield from _compare(modbus, "low", words[:1], scale, words[0] % 256 * scale)
        yield from _nearest_single(modbus, rng.randrange(-(10**12), 10**12) >> rng.randrange(40), min(scale, 10**6))
    for words, name in (((0x7F80, 0), "infinity"), ((0xFF80, 0), "infinity"), ((0x7FC0, 0), "not a number")):
        try:
            yield f"{words} is {modbus.numbers.decode_number('f32', words)}"
        except ValueFormatError as error:
            if name not in str(error):
                yield f"{words}: {error}"


def _compare(
    modbus: Modbus, kind: str, words: list[int], scale: int, wanted: int | None, **order: bool
) -> Iterator[str]:
    try:
        got = modbus.numbers.decode_number(kind, words, scale, **order)
    except ValueFormatError:
        got = None
    if got != wanted:
        yield f"{kind} {words} x {scale}: {got}, the oracle says {wanted}"
    if kind in ("high", "low", "f32") or wanted is None:
        return
    if list(modbus.numbers.encode_number(kind, wanted, scale, **order)) != words:
        yield f"{kind} {wanted} / {scale} does not come back as {words}"


def _nearest_single(modbus: Modbus, value: int, scale: int) -> Iterator[str]:
    """No neighbour of the single that we write is nearer to the value."""
    high, low = modbus.numbers.encode_number("f32", value, scale)
    exact, bits = oracle.Fraction(value, scale), high << 16 | low
    error = abs(oracle.single([high, low]) - exact)
    for near in {max(bits - 1, 0), bits + 1}:
        other = oracle.single([near >> 16, near & 0xFFFF])
        if other is not None and value and abs(other - exact) < error:
            yield f"{value} / {scale}: {near:08X} is nearer than {bits:08X}"


def check_misuse(modbus: Modbus) -> Iterator[str]:
    """What cannot travel is refused before it does."""
    frame = modbus.rtu.RtuFrame
    for wrong in (
        frame(0, 3, count=1), frame(248, 3, count=1), frame(1, 6, count=1), frame(1, 3), frame(1, 3, count=126),
        frame(1, 3, register=0xFFFF, count=2), frame(1, 3, register=-1, count=1), frame(1, 16), frame(1, 3, True),
        frame(1, 16, registers=(1,) * 124), frame(1, 16, registers=(65536,)), frame(1, 16, registers=(-1,)),
        frame(1, 3, True, exception=256), frame(1, 3, True, registers=(1,) * 126),
    ):  # fmt: skip
        try:
            yield f"{wrong}: encoded as {modbus.rtu.encode(wrong).hex()}"
        except ProtocolMisuse:
            continue


CHECKS: dict[str, Check] = {
    "frames": check_frames,
    "values": check_values,
    "replies": check_replies,
    "oracle": check_against_oracle,
    "malformed": check_malformed,
    "numbers": check_numbers,
    "misuse": check_misuse,
}
