"""Says what one DL/T 645 frame means, field by field, in English and Chinese, and what is wrong with a broken one.

`explain` never fails: whatever can be cut from the bytes is explained and every defect is named. Both editions are
read; a code of neither is shown as a vendor's. The bytes of a password are not shown: neither where they belong nor
behind a length that cuts them off. What no frame can be found in is shown as it came.
"""

from dataclasses import dataclass, field

from core.dlt645.anatomy import HEADER, Anatomy, Text, anatomy, problems
from core.dlt645.diagnosis import suspicions
from core.dlt645.display import Reading
from core.dlt645.explain_data import explain_data
from core.dlt645.explain_told import Row
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.layouts import FUNCTIONS_1997, FUNCTIONS_2007, edition_of
from core.dlt645.values import address_from_bytes

__all__ = ["Explanation", "Reading", "Row", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One frame explained. `error_en` is the meter's refusal or, first, what is wrong with the bytes."""

    rows: tuple[Row, ...]
    address: str | None = None
    control: int | None = None
    edition: str = ""
    identifier: str | None = None
    values: tuple[Reading, ...] = ()
    err: str | None = None
    error_en: str | None = None
    error_zh: str | None = None
    checksum_ok: bool = False
    problems: tuple[Text, ...] = field(default=())

    @property
    def is_sound(self) -> bool:
        """Whether the bytes are one whole frame."""
        return not self.problems


def explain(wire: bytes) -> Explanation:
    """Explain the bytes of one frame, waking bytes allowed in front."""
    parts = anatomy(wire)
    if not parts.has_header:
        nothing = Row(parts.body, "bytes", "数据", "no frame can be read", "无法识别为帧")
        wrong = problems(parts)
        return Explanation((nothing,), problems=wrong, error_en=_joined(wrong, 0), error_zh=_joined(wrong, 1))
    body = parts.body
    frame = Frame(address_from_bytes(body[1:7]), body[8], parts.plain)
    edition = edition_of(frame.control, frame.data)
    told = explain_data(frame, edition)
    hidden = told.holds_password and not parts.ends_as_stated
    wrong = problems(parts, hidden=hidden)
    rows = (*_head(parts, frame, edition), *told.rows, *_tail(parts, hidden=hidden))
    found = (*told.refusal, *told.problems)
    complaints = wrong or found or (suspicions(frame) if edition == "2007" else ())
    return Explanation(
        rows=rows,
        address=frame.address,
        control=frame.control,
        edition=edition,
        identifier=told.identifier,
        values=told.values,
        err=(frame.data[::-1].hex().upper() or None) if told.refusal else None,
        error_en=_joined(complaints, 0),
        error_zh=_joined(complaints, 1),
        checksum_ok=parts.checksum_ok,
        problems=wrong,
    )


def _joined(texts: tuple[Text, ...], language: int) -> str | None:
    return ("; ", "；")[language].join(text[language] for text in texts) or None


def _head(parts: Anatomy, frame: Frame, edition: str) -> list[Row]:
    body, rows = parts.body, []
    if parts.preamble:
        count = parts.preamble
        rows.append(Row(b"\xfe" * count, "waking bytes", "前导字节", str(count), str(count)))
    rows.append(Row(body[0:1], "start", "起始符"))
    rows.append(Row(body[1:7], "address", "地址域", *_address(frame.address)))
    rows.append(Row(body[7:8], "start", "起始符"))
    rows.append(Row(body[8:9], "control code", "控制码", *_control(frame, edition)))
    count = body[9]
    rows.append(Row(body[9:10], "length", "数据域长度", f"{count} bytes", f"{count}字节"))
    return rows


def _tail(parts: Anatomy, *, hidden: bool) -> list[Row]:
    rows = []
    rest = parts.body[HEADER + len(parts.data) :]
    if rest:
        verdict = ("right", "正确") if parts.checksum_ok else ("WRONG", "错误")
        if not parts.is_complete:
            verdict = ("cannot be checked, bytes are missing", "字节不全，无法校验")
        rows.append(Row(rest[:1], "checksum", "校验码", *verdict))
    if len(rest) > 1:
        rows.append(Row(rest[1:2], "end", "结束符"))
    if parts.trailing:
        rows.append(Row(parts.trailing, "trailing bytes", "多余字节"))
    if hidden:  # a wrong length has made these of pieces of a password
        return [Row(b"", row.name_en, row.name_zh, "not shown", "不显示") for row in rows]
    return rows


def _address(address: str) -> Text:
    if address == "9" * 12:
        return f"{address} (broadcast)", f"{address}（广播）"
    if address == "A" * 12:
        return f"{address} (any meter)", f"{address}（通配）"
    if address.startswith("AA"):
        return f"{address} (shortened: any meter ending in the digits)", f"{address}（缩位寻址）"
    if not address.isdecimal():
        return f"{address} (not BCD)", f"{address}（非BCD）"
    return address, address


def _control(frame: Frame, edition: str) -> Text:
    table = FUNCTIONS_1997 if edition == "1997" else FUNCTIONS_2007
    known = table.get(frame.function) if edition else None
    en, zh = (known.name_en, known.name_zh) if known else ("vendor code", "厂家自定义")
    who = ("reply", "从站应答") if frame.control & REPLY_BIT else ("request", "主站请求")
    en, zh = f"{en}, {who[0]}", f"{zh}，{who[1]}"
    if frame.control & ABNORMAL_BIT:
        en, zh = f"{en}, abnormal", f"{zh}，异常"
    if frame.control & FOLLOW_BIT:
        en, zh = f"{en}, more follows", f"{zh}，有后续"
    return (f"{en} ({edition})", f"{zh}（{edition}）") if edition else (en, zh)
