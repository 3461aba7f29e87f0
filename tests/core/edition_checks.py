"""Checks of the 1997 edition and of the rarer 2007 commands by vectors and oracle, same shape as `codec_checks`."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from core.errors import CoreError, MeterRefused
from tests.core import frame_oracle as oracle
from tests.core.codec_checks import Codec, captured, scaled, synthetic


def frames_1997() -> list[dict[str, Any]]:
    """The captured frames that name an identifier of two bytes, sound ones only."""
    return [v for v in captured() if v["decoded"].get("protocol") == "1997" and v["decoded"]["checksum_ok"]]


def check_1997_replies(codec: Codec) -> Iterator[str]:
    """Identifier, value and matching of each captured reply; the number again by the oracle."""
    old = codec.edition1997
    for vector in frames_1997():
        if vector["direction"] != "response":
            continue
        want, frame = vector["decoded"], codec.frame.parse(bytes.fromhex(vector["hex"]))
        di = int(want["di97"], 16)
        if old.identifier_97(frame) != di:
            yield f"{vector['hex']}: identifier {old.identifier_97(frame)}"
        payload = old.reply_value_97(old.Read97(want["address"], di), frame)
        got = old.decode_value_97(di, payload)
        stated = want["value"] if isinstance(want["value"], str) else scaled(want["value"][0])
        if got != (stated,):
            yield f"{vector['hex']}: {got}, stated {stated}"
        if isinstance(stated, int):
            shown = want["value"][0]["value"]
            decimals = len(shown.partition(".")[2])
            if oracle.number(bytes.fromhex(want["data_minus33"])[2:], decimals, signed=False) != Decimal(shown):
                yield f"{vector['hex']}: the oracle reads another number"
        for wrong in (old.Read97(want["address"], di ^ 1), old.Read97("000000000009", di), old.Write97(want["address"],
                      di, b"")):  # fmt: skip
            if wrong.match(frame):
                yield f"{vector['hex']}: answers {wrong}"
        if not old.Read97("9" * 12, di).match(frame):
            yield f"{vector['hex']}: does not answer a broadcast read"


def check_1997_requests(codec: Codec) -> Iterator[str]:
    """Each captured request is what our command would send."""
    old = codec.edition1997
    for vector in frames_1997():
        want = vector["decoded"]
        if vector["direction"] != "request" or "client_bug" in want:
            continue
        address, di = want["address"], int(want["di97"], 16)
        command = old.Read97(address, di)
        if want["control"] == "04":
            # Identifier, password of four bytes, value; both captured passwords are zero.
            command = old.Write97(address, di, bytes.fromhex(want["payload"])[4:])
        if codec.frame.encode(command.to_frame(), want["preamble_fe"]) != bytes.fromhex(vector["hex"]):
            yield f"{vector['hex']}: we would send {command.to_frame()}"


def check_1997_refusals(codec: Codec) -> Iterator[str]:
    """The two captured refusals carry the bits of 1997, not those of 2007."""
    old = codec.edition1997
    for vector in captured():
        want = vector["decoded"]
        if want["control"] not in {"C1", "C4"}:
            continue
        frame = codec.frame.parse(bytes.fromhex(vector["hex"]))
        read, write = old.Read97(want["address"], 0x9010), old.Write97(want["address"], 0xC010, b"")
        try:
            old.reply_value_97(read if want["control"] == "C1" else write, frame)
            yield f"{vector['hex']}: not refused"
        except MeterRefused as refusal:
            named = {"data identifier error": "identifier error"}.get(want["err_bits"][0], want["err_bits"][0])
            if refusal.err != int(want["err"], 16) or named not in str(refusal):
                yield f"{vector['hex']}: {refusal}"


def check_service_requests(codec: Codec) -> Iterator[str]:
    """Synthetic and captured requests of the rarer commands, read into commands and sent again; no field lost."""
    service, meter = codec.service, "201412345678"
    stated = {
        "broadcast instantaneous freeze": service.Freeze("9" * 12),
        "change baud to 9600 (word 20H)": service.ChangeBaud(meter, 9600),
        "recharge 50.00 yuan (5000 fen), purchase no. 3, dummy MACs, customer 000000123456": service.Authenticate(
            meter, 0x070102FF, bytes.fromhex("88130000 03000000 DDCCBBAA 563412000000 44332211"), "00000001"
        ),
    }
    found = 0
    for vector in synthetic():
        command = stated.get(vector["meaning"])
        if command is None:
            continue
        found += 1
        frame = codec.frame.parse(bytes.fromhex(vector["hex"]))
        if command.to_frame() != frame or codec.requests.parse_request(frame) != command:
            yield f"{vector['meaning']}: {codec.requests.parse_request(frame)}, we would send {command.to_frame()}"
    daily, monthly = service.Freeze(meter, hour=23, minute=5), service.Freeze(meter, day=1, hour=0, minute=0)
    if (daily.body().hex(), monthly.body().hex()) != ("05239999", "00000199"):
        yield f"freeze times go as {daily.body().hex()} and {monthly.body().hex()}"
    if found != len(stated):
        yield f"only {found} of the stated requests are there"
    (vector,) = [v for v in captured() if v["decoded"]["control"] == "17"]
    baud = codec.requests.parse_request(codec.frame.parse(bytes.fromhex(vector["hex"]))).baud
    if baud != 2400:
        yield f"{vector['hex']}: baud {baud}"


def check_prepaid_requests(codec: Codec) -> Iterator[str]:
    """The synthetic recharge as amount, count, MACs and customer, and sent again from these."""
    prepaid, meter = codec.prepaid, "201412345678"
    (vector,) = [v for v in synthetic() if v["meaning"].startswith("recharge 50.00 yuan")]
    frame = codec.frame.parse(bytes.fromhex(vector["hex"]))
    credit = prepaid.Credit(5000, 3, "000000123456")
    stated = prepaid.Recharge(meter, credit, bytes.fromhex("DDCCBBAA"), bytes.fromhex("44332211"), operator="00000001")
    if prepaid.read_request(codec.requests.parse_request(frame)) != stated:
        yield f"{vector['meaning']}: read as {prepaid.read_request(codec.requests.parse_request(frame))}"
    if codec.frame.encode(stated.to_frame(), 0) != bytes.fromhex(vector["hex"]):
        yield f"{vector['meaning']}: we would send {stated.to_frame()}"
    accepted = codec.frame.parse(bytes.fromhex("687856341214206883043235343A7416"))
    if not stated.match(accepted) or prepaid.OpenAccount(meter, credit, bytes(4), bytes(4)).match(accepted):
        yield "the reply to a recharge is taken for another"


def check_typed_replies(codec: Codec) -> Iterator[str]:
    """What the vectors state of replies, read without their requests."""
    replies = codec.replies
    for vector in synthetic():
        if vector["direction"] != "response":
            continue
        want, got = vector["decoded"], replies.parse_reply(codec.frame.parse(bytes.fromhex(vector["hex"])))
        error = want.get("err", int(want["serr"], 16) if "serr" in want else None)
        if isinstance(got, replies.Refused):
            words = {2: {"no such data", "repeated recharge"}, 0x20: {"wrong recharge count"}}
            words |= {4: {"wrong password or not authorised"}, 8: {"baud rate cannot be changed"}}
            if got.err != error or not {en for en, _ in got.reasons} & words[got.err]:
                yield f"{vector['meaning']}: {got}"
        elif error is not None:
            yield f"{vector['meaning']}: not refused but {got}"
        elif _said(replies, got) not in (None, (want.get("seq"), want.get("follow", False)), 9600):
            yield f"{vector['meaning']}: {got}"


def _said(replies: Any, got: Any) -> Any:
    if isinstance(got, replies.Data):
        return got.seq, got.more
    return got.baud if isinstance(got, replies.Baud) else None


def check_joined_answers(codec: Codec) -> Iterator[str]:
    """An answer cut into frames of any size comes back whole, with the events of a meter kept apart."""
    meter, di, head = "201412345678", 0x03300201, bytes.fromhex("01023003")
    whole = bytes(range(200))
    for size in (7, 60, 150):
        reading, parts = codec.follow.LongRead(meter, di), [whole[i : i + size] for i in range(0, 200, size)]
        for seq, part in enumerate(parts):
            more = 0x20 if part is not parts[-1] else 0
            tail = bytes((seq,)) if seq else b""
            try:
                reading.take(codec.frame.Frame(meter, (0x92 if seq else 0x91) | more, head + part + tail))
            except CoreError as error:
                yield f"part {seq} of {size} bytes: {error}"
                break
        if reading.data != whole or reading.next_command() is not None:
            yield f"{len(reading.data)} bytes of {len(whole)} in parts of {size}"
    reading = codec.follow.LongRead(meter, 0x00010000)
    reading.take(codec.frame.Frame(meter, 0xB1, bytes.fromhex("00000100 78563412")))
    reading.take(codec.frame.Frame(meter, 0x92, bytes.fromhex("01150004 07 01")))
    if (reading.data, reading.report) != (bytes.fromhex("78563412"), b"\x07"):
        yield f"pending events: {reading.data.hex()}, {reading.report}"
