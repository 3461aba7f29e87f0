"""Says what one Modbus RTU frame means, field by field, in English and Chinese.

Only a whole frame with the right CRC, of a function that we speak, is explained: without start and end marks nothing
less can be told from noise, and a frame of DL/T 645 comes first. Of bytes that look like one, `suspected_rtu` says what
is wrong with them. Registers are shown as they are, for no frame names
its meter; two that make a plausible single are shown as one too.
"""

from core._crc import crc16_modbus
from core.dlt645.display import Reading
from core.dlt645.explain import Explanation, Row
from core.errors import FrameError, ValueFormatError
from core.modbus.commands import exception_names
from core.modbus.numbers import scaled_float32
from core.modbus.rtu import (
    EXCEPTION_BIT,
    FIXED,
    FRAME_MAX,
    READ_HOLDING,
    READ_INPUT,
    SHORTEST,
    SPOKEN,
    UNIT_MAX,
    WRITE_REGISTERS,
    RtuFrame,
    is_sound,
    parse,
)

EDITION = "modbus-rtu"
SINGLE_MAX_THOUSANDTHS = 10**15

_FUNCTIONS = {
    READ_HOLDING: ("read holding registers", "读保持寄存器"),
    READ_INPUT: ("read input registers", "读输入寄存器"),
    WRITE_REGISTERS: ("write registers", "写多个寄存器"),
}


def explain_rtu(wire: bytes) -> Explanation | None:
    """Explain the bytes of one frame; None for what is none, beyond doubt."""
    try:
        frame = parse(wire)
    except FrameError:
        return None
    values = _values(frame)
    error = _error(frame)
    return Explanation(
        rows=(*_head(frame, wire), *_body(frame, wire, values), Row(wire[-2:], "CRC", "校验码", "right", "正确")),
        address=frame.address,
        control=wire[1],
        edition=EDITION,
        identifier=f"{frame.register:04X}" if _names_register(frame) else None,
        values=values,
        err=f"{frame.exception:02X}" if frame.exception else None,
        error_en=error[0],
        error_zh=error[1],
        checksum_ok=True,
    )


def suspected_rtu(wire: bytes) -> tuple[str, str] | None:
    """What keeps bytes from being a frame that `explain_rtu` reads, though they look like one; else None."""
    if not SHORTEST <= len(wire) <= FRAME_MAX:
        return None
    unit, function = wire[0], wire[1] & ~EXCEPTION_BIT
    if not is_sound(wire):
        if not (1 <= unit <= UNIT_MAX and function in SPOKEN and len(wire) in _sizes(wire)):
            return None
        due, got = crc16_modbus(wire[:-2]), int.from_bytes(wire[-2:], "little")
        en = f"it could be Modbus RTU with a wrong CRC: expected {due:04X}H, got {got:04X}H"
        return en, f"可能是CRC错误的Modbus RTU帧：应为{due:04X}H，收到{got:04X}H"
    if not 1 <= unit <= UNIT_MAX:
        en = f"the CRC is that of Modbus RTU, but unit {unit} is not within 1..{UNIT_MAX}"
        return en, f"CRC符合Modbus RTU，但从站地址{unit}不在1..{UNIT_MAX}之内"
    if function not in SPOKEN:
        en = f"the CRC is that of Modbus RTU, but function {function:02X}H is not read here"
        return en, f"CRC符合Modbus RTU，但不支持功能码{function:02X}H"
    return None


def _sizes(wire: bytes) -> tuple[int, ...]:
    """Bytes that requests and replies of the function in `wire` have."""
    if wire[1] & EXCEPTION_BIT:
        return (SHORTEST,)
    if wire[1] == WRITE_REGISTERS:
        return FIXED, FIXED + 1 + (wire[6] if len(wire) > FIXED else 0)
    return FIXED, SHORTEST + wire[2]


def _head(frame: RtuFrame, wire: bytes) -> list[Row]:
    en, zh = _FUNCTIONS[frame.function]
    who = ("reply", "从站应答") if frame.is_reply else ("request", "主站请求")
    en, zh = f"{en}, {who[0]}", f"{zh}，{who[1]}"
    if frame.exception:
        en, zh = f"{en}, refused", f"{zh}，异常"
    return [
        Row(wire[:1], "unit", "从站地址", frame.address, frame.address),
        Row(wire[1:2], "function", "功能码", f"{en} (Modbus RTU)", f"{zh}（Modbus RTU）"),
    ]


def _body(frame: RtuFrame, wire: bytes, values: tuple[Reading, ...]) -> list[Row]:
    if frame.exception:
        return [Row(wire[2:3], "exception", "异常码", *exception_names(frame.exception))]
    rows, at = [], 2
    if _names_register(frame):
        register = f"{frame.register:04X}H"
        rows.append(Row(wire[2:4], "first register", "起始寄存器", register, register))
        rows.append(Row(wire[4:6], "registers", "寄存器数量", str(frame.count), str(frame.count)))
        at = 6
    if frame.registers:
        count = wire[at]
        rows.append(Row(wire[at : at + 1], "length", "数据长度", f"{count} bytes", f"{count}字节"))
        at += 1
    for one in values:
        rows.append(Row(wire[at : at + 2], one.name_en, one.name_zh, one.text_en, one.text_zh))
        at += 2
    return rows


def _names_register(frame: RtuFrame) -> bool:
    """Whether the register travels in this frame: in all but replies to reads, and refusals."""
    return not frame.exception and not (frame.is_reply and frame.function != WRITE_REGISTERS)


def _values(frame: RtuFrame) -> tuple[Reading, ...]:
    found = []
    for at, word in enumerate(frame.registers):
        if _names_register(frame):
            place = f"{frame.register + at:04X}H"
            names = f"register {place}", f"寄存器{place}"
        else:
            names = f"register {at + 1} of the answer", f"应答中第{at + 1}个寄存器"
        single = _single(frame.registers[at : at + 2])
        text_en, text_zh = str(word), str(word)
        if single is not None:
            text_en, text_zh = f"{word}; with the next a single of {single}", f"{word}；与下一个合为单精度数{single}"
        found.append(Reading(*names, word, "", text_en, text_zh))
    return tuple(found)


def _single(words: tuple[int, ...]) -> str | None:
    """Two registers as a single in thousandths, where that is a number that a meter might show."""
    if len(words) < 2:
        return None
    try:
        thousandths = scaled_float32(words[0] << 16 | words[1], 1000)
    except ValueFormatError:
        return None
    whole, rest = divmod(abs(thousandths), 1000)
    if not 0 < abs(thousandths) <= SINGLE_MAX_THOUSANDTHS:
        return None
    return f"{'-' if thousandths < 0 else ''}{whole}.{rest:03d}"


def _error(frame: RtuFrame) -> tuple[str | None, str | None]:
    if not frame.exception:
        return None, None
    en, zh = exception_names(frame.exception)
    return f"exception {frame.exception:02X}H: {en}", f"异常{frame.exception:02X}H：{zh}"
