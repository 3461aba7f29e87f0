"""What to ask a meter for a quantity, in its own protocol, and how to read the answer.

One vocabulary for all: the identifiers of DL/T 645-2007 with their units. A dialect turns an identifier into a request
(None: this meter has no such quantity) and the payload of the answer into values; relay commands likewise, where the
protocol can do them at all. Status word 3 stands for every relay: bit 4 open, bit 6 told to open.

A Modbus write carries no deadline: a converter that holds it back delivers it at any time, long after the debt is paid.
So trips over it, and closes that nobody stands by, are refused unless the estate has chosen them.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from core.dlt645 import identifiers as di
from core.dlt645 import profiles
from core.dlt645.commands import Password, Read, RelayAction, RelayControl, error_names, reply_value
from core.dlt645.edition1997 import TO_2007, Read97, Write97, decode_value_97, error_names_97, reply_value_97
from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN, Value
from core.errors import ProtocolMisuse, ValueFormatError
from core.framing import Command
from core.modbus.commands import ReadRegisters, exception_names, reply_registers
from core.modbus.maps import MeterMap, Quantity, read_of, reads, switch_relay
from core.modbus.meters import COMBINED, FORWARD, METERS
from core.modbus.rtu import RtuFrame
from server.collect.work import Action, MeterPlan

RATES = 5  # a block is the total and four rates
NO_SUCH_DATA = 0x02  # of the error byte, in both editions
WRONG_PASSWORD = 0x04  # likewise; a meter that has locked itself says it of the right one
MODBUS_LACKS = frozenset((0x01, 0x02, 0x03))  # illegal function, address or value: asking again brings no other answer

ACTIONS: Mapping[Action, RelayAction] = MappingProxyType(
    {
        "trip": RelayAction.TRIP, "allow": RelayAction.ALLOW_CLOSE, "close": RelayAction.CLOSE,
        "keep": RelayAction.KEEP_POWER, "free": RelayAction.CANCEL_KEEP_POWER,
    }
)  # fmt: skip
# The reverse of what the core knows, without the words that no meter of 1997 is known to have.
FROM_2007: Mapping[int, int] = MappingProxyType(
    {new: old for old, new in TO_2007.items() if old >> 8 != 0xD1}
    | {di.DATE: 0xC010, di.TIME: 0xC011, di.REVERSE_TOTAL: 0x9020}
)


class Dialect(Protocol):
    """How one meter is spoken to."""

    has_deadline: bool  # whether the meter itself refuses a relay command that comes too late
    names_replies: bool  # whether a reply says what it is about

    def command(self, identifier: int) -> Command[Any] | None:
        """The request for a quantity, or None when the meter has none."""
        ...

    def values(self, identifier: int, data: bytes) -> tuple[Value, ...]:
        """The values in an answer's payload; `ValueFormatError` for what is none."""
        ...

    def lacks(self, err: int) -> bool:
        """Whether a refusal means that the meter has no such quantity and never will."""
        ...

    def refuses_password(self, err: int) -> bool:
        """Whether a refusal counts for the meter as a wrong password."""
        ...

    def refusal(self, err: int) -> str:
        """What a refusal means, in the words of the protocol."""
        ...

    def cannot_switch(self, action: Action) -> str:
        """Why this action is not sent to this meter, or nothing."""
        ...

    def switch(self, action: Action, deadline: datetime, secret: Password) -> Command[Any]:
        """The relay command; `deadline` is the meter's own civil time and ignored where the protocol has none."""
        ...


class Dialect2007:
    """DL/T 645-2007, the vocabulary itself."""

    has_deadline = True
    names_replies = True

    def __init__(self, address: str) -> None:
        self._address = address

    def command(self, identifier: int) -> Command[Any]:
        """Read by identifier; the meter says if it has none."""
        return Read(self._address, identifier)

    def values(self, identifier: int, data: bytes) -> tuple[Value, ...]:
        """As the table says."""
        return di.decode_value(identifier, data)

    def lacks(self, err: int) -> bool:
        """ERR bit 1."""
        return bool(err & NO_SUCH_DATA)

    def refuses_password(self, err: int) -> bool:
        """ERR bit 2."""
        return bool(err & WRONG_PASSWORD)

    def refusal(self, err: int) -> str:
        """The names of the bits."""
        return f"ERR {err:02X}: {', '.join(en for en, _ in error_names(err)) or 'no reason given'}"

    def cannot_switch(self, action: Action) -> str:
        """Nothing stands against it."""
        return ""

    def switch(self, action: Action, deadline: datetime, secret: Password) -> Command[Any]:
        """Command 1CH."""
        return RelayControl(self._address, ACTIONS[action], deadline, secret)


class Dialect1997:
    """DL/T 645-1997: registers, variables and a clock; no relay command that a source knows."""

    has_deadline = False
    names_replies = True

    def __init__(self, address: str) -> None:
        self._address = address

    def command(self, identifier: int) -> Command[Any] | None:
        """Read by the older identifier, where there is one."""
        older = FROM_2007.get(identifier)
        return None if older is None else Read97(self._address, older)

    def values(self, identifier: int, data: bytes) -> tuple[Value, ...]:
        """As the older table says, in the same units."""
        return decode_value_97(FROM_2007[identifier], data)

    def lacks(self, err: int) -> bool:
        """Error bit 1: no such identifier."""
        return bool(err & NO_SUCH_DATA)

    def refuses_password(self, err: int) -> bool:
        """Error bit 2."""
        return bool(err & WRONG_PASSWORD)

    def refusal(self, err: int) -> str:
        """The names of the bits."""
        return f"ERR {err:02X}: {', '.join(name for name, _ in error_names_97(err)) or 'no reason given'}"

    def cannot_switch(self, action: Action) -> str:
        """No relay command is known."""
        return "meters of DL/T 645-1997 have no relay command"

    def switch(self, action: Action, deadline: datetime, secret: Password) -> Command[Any]:
        """Refused."""
        raise ProtocolMisuse(self.cannot_switch(action))


class DialectModbus:
    """A Modbus RTU meter of a known model; `may_trip` is the estate's choice to switch without a deadline."""

    has_deadline = False
    names_replies = False

    def __init__(self, unit: int, meter: MeterMap, *, may_trip: bool = False) -> None:
        self._unit = unit
        self._map = meter
        self._may_trip = may_trip
        self._by_di = {one.di: one for one in meter.quantities if one.di is not None}
        self._rows = self._registers()

    def _registers(self) -> dict[int, tuple[Quantity, ...]]:
        """What stands for each identifier that is read: a register, or those of the total and its rates."""
        total = FORWARD if FORWARD in self._by_di else COMBINED
        rows: dict[int, tuple[Quantity, ...]] = {identifier: (one,) for identifier, one in self._by_di.items()}
        if total in self._by_di:
            rows[di.ENERGY_TOTAL] = (self._by_di[total],)
        block = tuple(self._by_di[total | rate << 8] for rate in range(RATES) if total | rate << 8 in self._by_di)
        if len(block) == RATES and len(reads(self._unit, self._map, block)) == 1:
            rows[di.ENERGY_BLOCK] = block
        if self._map.relay is not None:
            rows[di.STATUS_WORD_3] = (self._map.relay,)
        return rows

    def command(self, identifier: int) -> ReadRegisters | None:
        """One read of the registers, where the model's map has them."""
        row = self._rows.get(identifier)
        if row is None:
            return None
        return read_of(self._unit, row[0]) if len(row) == 1 else reads(self._unit, self._map, row)[0]

    def values(self, identifier: int, data: bytes) -> tuple[Value, ...]:
        """The registers as the map says; the relay's as status word 3."""
        row = self._rows[identifier]
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        first = min(one.register for one in row)
        found = tuple(one.decode(words[one.register - first :][: one.count]) for one in row)
        return (_status(found[0]),) if identifier == di.STATUS_WORD_3 else found

    def lacks(self, err: int) -> bool:
        """Exceptions that stay; a busy meter is asked again."""
        return err in MODBUS_LACKS

    def refuses_password(self, err: int) -> bool:
        """It has none."""
        return False

    def refusal(self, err: int) -> str:
        """The exception by name."""
        return f"Modbus exception {err:02X}: {exception_names(err)[0]}"

    def cannot_switch(self, action: Action) -> str:
        """A model without a known relay register; or without the estate's word that no deadline is needed."""
        if self._map.relay is None:
            return f"no register of the {self._map.model} is known to switch a relay"
        if action in ("keep", "free"):
            return "no register of a Modbus meter is known that keeps the power on"
        if action != "close" and not self._may_trip:
            return "a Modbus command has no deadline; set trips_without_deadline of the estate to send it all the same"
        return ""

    def switch(self, action: Action, deadline: datetime, secret: Password) -> Command[Any]:
        """Write the relay's register; there is no button, so permission to close is closing."""
        if reason := self.cannot_switch(action):
            raise ProtocolMisuse(reason)
        return switch_relay(self._unit, self._map, closed=action != "trip")


def _status(relay: int) -> int:
    if relay not in (0, 1):
        raise ValueFormatError(f"the relay's register holds {relay}, neither 1 (closed) nor 0 (open)")
    return 0 if relay else RELAY_OPEN | COMMAND_OPEN


def dialect_of(plan: MeterPlan) -> Dialect:
    """How the meter of a plan is spoken to; `ProtocolMisuse` for a protocol or model that nobody knows."""
    match plan.protocol:
        case profiles.EDITION_2007:
            return Dialect2007(plan.meter_id)
        case profiles.EDITION_1997:
            return Dialect1997(plan.meter_id)
        case "modbus" if plan.model in METERS and plan.unit is not None:
            return DialectModbus(plan.unit, METERS[plan.model], may_trip=plan.trips_without_deadline)
    raise ProtocolMisuse(f"meter {plan.meter_id}: protocol {plan.protocol!r}, model {plan.model!r} are not known")


def payload(command: Command[Any], frame: Any) -> bytes:
    """What a reply brings besides its identifier, of any protocol; registers as they travel.

    `MeterRefused` for an abnormal reply, with the reason in words.
    """
    if isinstance(frame, RtuFrame):
        return b"".join(word.to_bytes(2, "big") for word in reply_registers(command, frame))  # type: ignore[arg-type]
    if isinstance(command, Read97 | Write97):
        return reply_value_97(command, frame)
    return reply_value(command, frame)
