"""Requests of a Modbus master and how to know their replies.

A reply belongs to a request when unit, function and number of registers match; a reply to a write also names where
it wrote. Nothing in a reply to a read names its register: a late one to a read of the same length is taken for the
answer, so a caller waits out the longest delay before it asks the same meter for another block of the same length.

There is no deadline in a Modbus write, as there is in a relay command of DL/T 645: a write that a converter holds
back is carried out whenever it arrives. Read the relay back, and know that silence means nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.errors import MeterRefused, ProtocolMisuse
from core.modbus.rtu import READ_HOLDING, WRITE_REGISTERS, RtuFrame

# Code: English, Chinese.
EXCEPTIONS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        0x01: ("illegal function", "非法功能"),
        0x02: ("illegal data address", "非法数据地址"),
        0x03: ("illegal data value", "非法数据值"),
        0x04: ("device failure", "从站设备故障"),
        0x05: ("acknowledge, still working", "确认，处理中"),
        0x06: ("device busy", "从站设备忙"),
        0x07: ("negative acknowledge", "否定确认"),
        0x08: ("memory parity error", "存储奇偶性差错"),
        0x0A: ("gateway path unavailable", "网关路径不可用"),
        0x0B: ("gateway target did not respond", "网关目标设备未响应"),
    }
)


@dataclass(frozen=True, slots=True)
class ReadRegisters:
    """Functions 03 (holding registers) and 04 (input registers): read `count` registers from `register` on."""

    unit: int
    register: int
    count: int
    function: int = READ_HOLDING

    @property
    def address(self) -> str:
        """The unit as text."""
        return str(self.unit)

    @property
    def expects_reply(self) -> bool:
        """Always: the broadcast unit is refused."""
        return True

    def to_frame(self) -> RtuFrame:
        """The request."""
        return RtuFrame(self.unit, self.function, False, self.register, self.count)

    def match(self, reply: RtuFrame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        return _answers(self.unit, self.function, reply) and (reply.abnormal or reply.count == self.count)


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Function 10H: write registers from `register` on. The broadcast unit is refused: nobody would confirm."""

    unit: int
    register: int
    values: tuple[int, ...]

    @property
    def address(self) -> str:
        """The unit as text."""
        return str(self.unit)

    @property
    def expects_reply(self) -> bool:
        """Always: the broadcast unit is refused."""
        return True

    def to_frame(self) -> RtuFrame:
        """The request."""
        return RtuFrame(self.unit, WRITE_REGISTERS, False, self.register, len(self.values), self.values)

    def match(self, reply: RtuFrame) -> bool:
        """Whether `reply` answers this request, normally or not; a refusal does not say where."""
        same = (reply.register, reply.count) == (self.register, len(self.values))
        return _answers(self.unit, WRITE_REGISTERS, reply) and (reply.abnormal or same)


def reply_registers(command: ReadRegisters | WriteRegisters, reply: RtuFrame) -> tuple[int, ...]:
    """The registers of a reply, none for a write.

    `MeterRefused` for an exception, `ProtocolMisuse` for a reply that belongs to another request.
    """
    if not command.match(reply):
        raise ProtocolMisuse(f"reply {reply!r} does not answer {command!r}")
    if reply.abnormal:
        name, _ = exception_names(reply.exception)
        raise MeterRefused(
            reply.exception, f"unit {reply.unit} refused with Modbus exception {reply.exception:02X}H: {name}"
        )
    return reply.registers


def exception_names(code: int) -> tuple[str, str]:
    """English and Chinese name of an exception code."""
    return EXCEPTIONS.get(code, ("a code of the vendor", "厂家自定义代码"))


def _answers(unit: int, function: int, reply: RtuFrame) -> bool:
    return reply.is_reply and reply.unit == unit and reply.function == function
