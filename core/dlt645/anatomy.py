"""The parts of the bytes that should be one frame, and what is wrong with them, in English and Chinese.

`anatomy` cuts the bytes as well as they allow, so that a broken frame can still be explained; `problems` names every
defect that the cut shows. There is none exactly when `frame.parse` accepts the bytes; what it says is said here.
"""

from dataclasses import dataclass

Text = tuple[str, str]

START = 0x68
END = 0x16
WAKE = 0xFE
OFFSET = 0x33  # added to each byte of the data field
HEADER = 10  # bytes from the first 68H to L
OVERHEAD = 12  # two 68H, six address bytes, C, L, CS, 16H


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The bytes of one frame as far as they go; `data` as on the wire, `trailing` what follows the end mark."""

    preamble: int
    body: bytes
    data: bytes
    trailing: bytes

    @property
    def has_header(self) -> bool:
        """Whether both 68H, address, control code and length are there."""
        return len(self.body) >= HEADER and self.body[0] == START and self.body[7] == START

    @property
    def size(self) -> int:
        """Bytes that a frame of the stated length has."""
        return OVERHEAD + self.body[9]

    @property
    def is_complete(self) -> bool:
        """Whether as many bytes are there as the length asks for."""
        return self.has_header and len(self.body) == self.size

    @property
    def checksum(self) -> int | None:
        """The sum that the bytes have, or None where they are not all there."""
        return sum(self.body[:-2]) & 0xFF if self.is_complete else None

    @property
    def checksum_ok(self) -> bool:
        """Whether the sum that was sent is the sum of the bytes."""
        return self.is_complete and self.body[-2] == self.checksum

    @property
    def ends_as_stated(self) -> bool:
        """Whether the bytes stop with 16H exactly where the length says."""
        return self.is_complete and self.body[-1] == END and not self.trailing

    @property
    def plain(self) -> bytes:
        """The data field without the offset."""
        return bytes((byte - OFFSET) & 0xFF for byte in self.data)


def anatomy(wire: bytes) -> Anatomy:
    """Cut the bytes of one frame; never fails."""
    body = wire.lstrip(bytes((WAKE,)))
    preamble = len(wire) - len(body)
    if len(body) < HEADER:
        return Anatomy(preamble, body, b"", b"")
    size = OVERHEAD + body[9]
    return Anatomy(preamble, body[:size], body[HEADER : min(size - 2, len(body))], body[size:])


def problems(parts: Anatomy, *, hidden: bool = False) -> tuple[Text, ...]:
    """Everything that is wrong, most telling first; empty for a sound frame. `hidden` bytes at the end stay unnamed."""
    body = parts.body
    if not body:
        return (("no bytes of a frame", "没有帧数据"),)
    if body[0] != START:
        return (_wrong_start(body),)
    if len(body) >= 8 and body[7] != START:
        return (
            (f"second 68H missing: {body[7]:02X}H after the address", f"地址域后缺少第二个68H，收到{body[7]:02X}H"),
        )
    if len(body) < OVERHEAD:
        text = f"short: {len(body)} bytes after the preamble, a frame has at least {OVERHEAD}"
        return ((text, f"帧太短：{len(body)}字节，至少{OVERHEAD}字节"),)
    if len(body) < parts.size:
        missing = parts.size - len(body)
        text = f"length: L = {body[9]} needs {parts.size} bytes, {missing} missing"
        return ((text, f"长度不符：L={body[9]}应有{parts.size}字节，缺{missing}字节"),)
    found = _hidden_end(parts) if hidden else _wrong_end(parts)
    if parts.trailing:
        count = len(parts.trailing)
        found.append((f"{count} trailing bytes after the frame", f"帧后多出{count}字节"))
    return tuple(found)


def _wrong_start(body: bytes) -> Text:
    where = body.find(START)
    text, text_zh = f"does not start with 68H but with {body[0]:02X}H", f"起始符不是68H而是{body[0]:02X}H"
    if where > 0:
        return f"{text}; the first 68H is byte {where + 1}", f"{text_zh}；第一个68H在第{where + 1}字节"
    return text, text_zh


def _wrong_end(parts: Anatomy) -> list[Text]:
    body, found = parts.body, []
    if not parts.checksum_ok:
        en = f"checksum: expected {parts.checksum:02X}H, got {body[-2]:02X}H"
        zh = f"校验和错：应为{parts.checksum:02X}H，收到{body[-2]:02X}H"
        if parts.preamble and body[-2] == (sum(body[:-2]) + parts.preamble * WAKE) & 0xFF:
            en, zh = f"{en} (the waking FE bytes were counted)", f"{zh}（误将前导FE计入）"
        elif body[-2] == sum(body[1:-2]) & 0xFF:
            en, zh = f"{en} (the first 68H was left out)", f"{zh}（漏计第一个68H）"
        found.append((en, zh))
    if body[-1] != END:
        found.append((f"missing 16H at the end: got {body[-1]:02X}H", f"结束符不是16H而是{body[-1]:02X}H"))
    return found


def _hidden_end(parts: Anatomy) -> list[Text]:
    found = [] if parts.checksum_ok else [("checksum: wrong", "校验和错")]
    return found if parts.body[-1] == END else [*found, ("missing 16H at the end", "结束符不是16H")]
