"""RFC 2217, the client's side, without I/O: a serial line behind a telnet connection, its settings made there.

    WILL COM-PORT-OPTION -> DO -> set baud, data bits, parity, stop bits, no flow control -> what the server has set

Bytes of the line are escaped (FFH twice) and options travel between them. `settled` is true when the server has
answered all settings; what it answered is what it has, which may not be what was asked. Modem and line states that
it reports are read over. Options beside these are refused.
"""

from dataclasses import dataclass, field

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44
SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL, PURGE_DATA = 1, 2, 3, 4, 5, 12
FROM_SERVER = 100  # what the server answers to a command of ours is numbered this much higher
NO_FLOW_CONTROL, PURGE_RECEIVED = 1, 1
PARITY_CODES = {"N": 1, "O": 2, "E": 3}
PARITY_NAMES = {code: name for name, code in PARITY_CODES.items()} | {4: "mark", 5: "space"}
SETTINGS = (SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE)
SUBNEGOTIATION_MAX = 1024  # a signature may be long; more is no telnet
_WANTED = frozenset((BINARY, SUPPRESS_GO_AHEAD))


@dataclass(frozen=True, slots=True)
class LineMade:
    """The line as the server says it is."""

    baud: int
    data_bits: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits}"


@dataclass(slots=True)
class TelnetLine:
    """One connection. `greet` first, then feed `receive`; write what `outgoing` has gathered."""

    baud: int
    parity: str
    stop_bits: int
    outgoing: bytearray = field(default_factory=bytearray)
    refused: bool = False
    _made: dict[int, int] = field(default_factory=dict)
    _asked: bool = False
    _agreed: bool = False
    _held: bytes = b""

    def greet(self) -> None:
        """Offer what we speak."""
        for verb, option in (
            (WILL, COM_PORT), (DO, SUPPRESS_GO_AHEAD), (WILL, SUPPRESS_GO_AHEAD), (DO, BINARY), (WILL, BINARY),
        ):  # fmt: skip
            self.outgoing += bytes((IAC, verb, option))

    @property
    def settled(self) -> bool:
        """Whether the server has answered every setting."""
        return all(command in self._made for command in SETTINGS)

    @property
    def made(self) -> LineMade:
        """The settled line."""
        parity = self._made[SET_PARITY]
        return LineMade(
            self._made[SET_BAUDRATE],
            self._made[SET_DATASIZE],
            PARITY_NAMES.get(parity, f"?{parity}"),
            self._made[SET_STOPSIZE],
        )

    @staticmethod
    def escaped(data: bytes) -> bytes:
        """Bytes for the line as they travel."""
        return data.replace(b"\xff", b"\xff\xff")

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the connection in any pieces and return those of the line."""
        rest, line = self._held + data, bytearray()
        at = 0
        while at < len(rest):
            mark = rest.find(IAC, at)
            if mark < 0:
                line += rest[at:]
                at = len(rest)
                break
            line += rest[at:mark]
            used = self._option(rest, mark, line)
            if not used:
                at = mark
                break
            at = mark + used
        self._held = rest[at:]
        if len(self._held) > SUBNEGOTIATION_MAX:
            self._held, self.refused = b"", True
        return bytes(line)

    def _option(self, data: bytes, at: int, line: bytearray) -> int:
        """Read what begins with IAC; how many bytes it took, 0 if more must come."""
        verb = data[at + 1] if len(data) > at + 1 else None
        if verb == SB:
            return self._subnegotiation(data, at)
        if verb in (DO, DONT, WILL, WONT):
            if len(data) < at + 3:
                return 0
            self._negotiate(data[at + 1], data[at + 2])
            return 3
        if verb == IAC:
            line.append(IAC)
        return 0 if verb is None else 2

    def _subnegotiation(self, data: bytes, at: int) -> int:
        end = _end_of(data, at + 2)
        if end < 0:
            return 0
        self._answered(data[at + 2 : end].replace(b"\xff\xff", b"\xff"))
        return end + 2 - at

    def _negotiate(self, verb: int, option: int) -> None:
        if option == COM_PORT:
            if verb == DO and not self._asked:
                self._asked = True
                self._ask()
            elif verb == DONT:
                self.refused = True
            elif verb == WILL and not self._agreed:
                self._agreed = True
                self.outgoing += bytes((IAC, DO, COM_PORT))
            return
        if verb == DO and option not in _WANTED:
            self.outgoing += bytes((IAC, WONT, option))
        elif verb == WILL and option not in _WANTED:
            self.outgoing += bytes((IAC, DONT, option))

    def _ask(self) -> None:
        self._command(SET_BAUDRATE, self.baud.to_bytes(4, "big"))
        self._command(SET_DATASIZE, b"\x08")
        self._command(SET_PARITY, bytes((PARITY_CODES[self.parity],)))
        self._command(SET_STOPSIZE, bytes((self.stop_bits,)))
        self._command(SET_CONTROL, bytes((NO_FLOW_CONTROL,)))
        self._command(PURGE_DATA, bytes((PURGE_RECEIVED,)))

    def _command(self, command: int, value: bytes) -> None:
        self.outgoing += bytes((IAC, SB, COM_PORT, command)) + self.escaped(value) + bytes((IAC, SE))

    def _answered(self, said: bytes) -> None:
        if len(said) >= 3 and said[0] == COM_PORT and said[1] - FROM_SERVER in SETTINGS:
            self._made[said[1] - FROM_SERVER] = int.from_bytes(said[2:], "big")


def _end_of(data: bytes, at: int) -> int:
    """Where IAC SE stands that ends a subnegotiation; doubled IACs belong to it. -1 if more must come."""
    while (mark := data.find(IAC, at)) >= 0 and mark + 1 < len(data):
        if data[mark + 1] == SE:
            return mark
        at = mark + 2
    return -1
