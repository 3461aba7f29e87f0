"""What goes wrong between meters and master: silence, loss, noise, late and broken answers, wrong settings.

Most kinds are quirks (`sim.wire.quirks`) of one meter or, given a bus, of every answer on it. Frames that are broken
keep what a real one has: a sum over what was meant, bytes that never came. Draws follow the fault's own stream, one
after the other, so that the same questions in the same order meet the same faults.
"""

from dataclasses import replace
from typing import Any, ClassVar

from core.dlt645.frame import PREAMBLE_MAX, Frame
from sim.estate import BAUDS, PARITIES
from sim.faults.fault import ANY_METER, BUS, COMMUNICATION, DLT645_KINDS, Fault, Key, WrongPlace
from sim.kinds import KIND_1997, KIND_2007
from sim.loads.laws import between
from sim.timing.spans import MINUTE_MS
from sim.vendors import VENDOR_NAMES, VENDORS_1997
from sim.wire.ear import Reply
from sim.wire.listening import ear_alone
from sim.wire.quirks import Part, Quirk, Stranger
from sim.wire.uart import LineSettings, from_bits, to_bits

MS = 1000


class LinkFault(Fault, Quirk):
    """A quirk of a meter or of a line."""

    group = COMMUNICATION
    where: ClassVar[tuple[str, ...]] = (*ANY_METER, BUS)
    alarm: ClassVar[str | None] = "poor_link"
    also: ClassVar[tuple[str, ...]] = ("silent", "poor_link")
    _draws = 0

    def begin(self, at_ms: int) -> None:
        """From now on."""
        self.place.bus.odd.add(self, self.place.index)

    def end(self, at_ms: int) -> None:
        """No more."""
        self.place.bus.odd.remove(self, self.place.index)

    def draw(self, least: int, most: int) -> int:
        """The next number from [least, most]."""
        self._draws += 1
        return between(self.key, self._draws, least, most)


class Silent(Fault):
    """The meter answers nothing; it still counts."""

    name = "silent"
    group = COMMUNICATION
    where = ANY_METER
    alarm = "silent"
    also = ("poor_link",)

    def begin(self, at_ms: int) -> None:
        """Dead."""
        self.place.meter.silent = True

    def end(self, at_ms: int) -> None:
        """Alive."""
        self.place.meter.silent = False


class Intermittent(LinkFault):
    """Only some answers come."""

    name = "intermittent"
    keys = (Key("answer_permille", 500, 0, 999, "share of answers that come"),)

    def parts(self, parts: list[Part]) -> list[Part]:
        """All or nothing."""
        return parts if self.draw(1, 1000) <= self.size("answer_permille") else []


class Truncated(LinkFault):
    """Answers break off."""

    name = "truncated"
    keys = (Key("kept_bytes", 12, 1, 200, "bytes that come, FE included"),)

    def parts(self, parts: list[Part]) -> list[Part]:
        """The beginning."""
        return [part._replace(wire=part.wire[: self.size("kept_bytes")]) for part in parts]


class Merged(LinkFault):
    """Every other answer is held back and comes in one piece with the next one."""

    name = "merged"
    _held = b""

    def parts(self, parts: list[Part]) -> list[Part]:
        """Nothing, or two."""
        wire = b"".join(part.wire for part in parts)
        if not self._held:
            self._held = wire
            return []
        both, self._held = self._held + wire, b""
        return [parts[0]._replace(after_s=0.0, wire=both)] if parts else [Part(0.0, both)]


class PartialWrites(LinkFault):
    """Answers come in pieces with pauses between them."""

    name = "partial_writes"
    alarm = None
    keys = (
        Key("pieces", 3, 2, 20, "pieces of an answer"),
        Key("gap_ms", 150, 1, 10_000, "pause between them"),
    )

    def parts(self, parts: list[Part]) -> list[Part]:
        """In pieces of about equal length."""
        if not parts:
            return parts
        wire, pieces = b"".join(part.wire for part in parts), self.size("pieces")
        edges = [len(wire) * number // pieces for number in range(pieces + 1)]
        bus, gone_s, found = self.place.bus, 0.0, []
        for number in range(pieces):
            piece = wire[edges[number] : edges[number + 1]]
            found.append(parts[0]._replace(after_s=gone_s, wire=piece))
            gone_s += bus.config.wire_s(len(piece)) + self.size("gap_ms") / MS
        return found


class LateAnswer(LinkFault):
    """Answers come so late that the master may have asked for something else meanwhile."""

    name = "late_answer"
    keys = (Key("late_ms", 1500, 1, MINUTE_MS, "how late"),)

    def parts(self, parts: list[Part]) -> list[Part]:
        """Later."""
        return [part._replace(after_s=part.after_s + self.size("late_ms") / MS) for part in parts]


class NoiseBytes(LinkFault):
    """Bytes that nobody sent stand before and after answers."""

    name = "noise_bytes"
    alarm = None
    keys = (Key("most_bytes", 8, 1, 64, "most of them on each side"),)

    def parts(self, parts: list[Part]) -> list[Part]:
        """Noise around each part."""
        return [part._replace(wire=self._noise() + part.wire + self._noise()) for part in parts]

    def _noise(self) -> bytes:
        return bytes(self.draw(0, 255) for _ in range(self.draw(1, self.size("most_bytes"))))


class Preamble(LinkFault):
    """Another number of FE bytes leads answers."""

    name = "preamble"
    meters = DLT645_KINDS
    alarm = None
    keys = (Key("count", 7, 0, PREAMBLE_MAX, "FE bytes"),)

    def preamble(self, bytes_: int) -> int:
        """So many."""
        return self.size("count")


class WildcardEcho(LinkFault):
    """The meter repeats a wildcard address instead of saying its own."""

    name = "wildcard_echo"
    meters = DLT645_KINDS
    where = ANY_METER
    alarm = None

    def reply(self, request: Any, reply: Reply) -> Reply:
        """As it was asked."""
        return replace(reply, address=request.address) if isinstance(reply, Frame) else reply


class FollowUp(Fault):
    """The meter sends everything in short parts, the rest by follow-up frames."""

    name = "follow_up"
    meters = (KIND_2007,)
    group = COMMUNICATION
    where = ANY_METER
    keys = (Key("part_bytes", 8, 1, 190, "data bytes of a part"),)

    def begin(self, at_ms: int) -> None:
        """From now on."""
        self.place.meter.own().part_bytes = self.size("part_bytes")

    def end(self, at_ms: int) -> None:
        """Frames are filled again."""
        self.place.meter.own().part_bytes = None


class DuplicateAddress(Fault):
    """The meter has been given the address of another one on its line: both answer to that, nobody to its own."""

    name = "duplicate_address"
    group = COMMUNICATION
    alarm = "silent"
    also = ("poor_link",)
    keys = (Key("with", "", meaning="the household whose meter has that address"),)

    def check(self) -> None:
        """Both hang on one line."""
        if self.place.other(str(self.sizes["with"])).meter.config.bus_id != self.place.meter.config.bus_id:
            raise WrongPlace(f'with = "{self.sizes["with"]}": its meter hangs on another bus', "with")
        if bool(self.place.other(str(self.sizes["with"])).meter.unit) != bool(self.place.meter.unit):
            raise WrongPlace(f'with = "{self.sizes["with"]}": its meter speaks another protocol', "with")

    def begin(self, at_ms: int) -> None:
        """Two of one name."""
        namesake = self.place.other(str(self.sizes["with"])).meter
        self.place.bus.odd.doubles[self.place.meter.index] = namesake.line_address

    def end(self, at_ms: int) -> None:
        """Its own name again."""
        self.place.bus.odd.doubles.pop(self.place.meter.index, None)


class WrongLine(Fault):
    """The meter's UART is set otherwise than the line."""

    name = "wrong_line"
    group = COMMUNICATION
    where = ANY_METER
    alarm = "silent"
    also = ("poor_link",)
    keys = (
        Key("baud", 2400, BAUDS[0], BAUDS[-1], "its speed"),
        Key("parity", "E", meaning="N, E or O"),
    )

    def check(self) -> None:
        """A UART can be set so, and the line is not."""
        if self.size("baud") not in BAUDS:
            raise WrongPlace(f"baud must be one of {', '.join(map(str, BAUDS))}", "baud")
        if self.sizes["parity"] not in PARITIES:
            raise WrongPlace(f"parity must be one of {', '.join(PARITIES)}", "parity")
        if self._settings() == self.place.bus.config.line:
            raise WrongPlace("baud and parity are those of the line; allowed: others")

    def begin(self, at_ms: int) -> None:
        """Set."""
        self.place.bus.odd.strangers[self.place.meter.index] = self._stranger()

    def end(self, at_ms: int) -> None:
        """Set like the line."""
        self.place.bus.odd.strangers.pop(self.place.meter.index, None)

    def _stranger(self) -> Stranger:
        settings = self._settings()
        line = replace(self.place.bus.config, baud=settings.baud, parity=settings.parity)
        return Stranger(self.place.meter, settings, ear_alone(line, self.place.meter))

    def _settings(self) -> LineSettings:
        return LineSettings(self.size("baud"), str(self.sizes["parity"]))


class OldEdition(Fault):
    """A meter of the 1997 edition hangs among those of 2007, with the same address and register."""

    name = "old_edition"
    meters = (KIND_2007,)
    group = COMMUNICATION
    where = ANY_METER
    alarm = "silent"
    also = ("poor_link",)
    _was = (0, 0)

    def begin(self, at_ms: int) -> None:
        """The old one is put in."""
        fleet, index = self.place.stage.fleet, self.place.meter.index
        self._was = fleet.kind[index], fleet.vendor[index]
        self._set(KIND_1997, VENDOR_NAMES.index(VENDORS_1997[0]))

    def end(self, at_ms: int) -> None:
        """The new one is back."""
        self._set(*self._was)

    def _set(self, kind: int, vendor: int) -> None:
        fleet, index = self.place.stage.fleet, self.place.meter.index
        fleet.kind[index], fleet.vendor[index] = kind, vendor
        self.place.bus.learn_editions()


class BitErrors(Fault):
    """The line flips bits."""

    name = "bit_errors"
    group = COMMUNICATION
    where = (BUS,)
    alarm = "poor_link"
    also = ("silent",)
    keys = (Key("errors_ppm", 2000, 1, 100_000, "of a million bits, beside those that it always flips"),)

    def begin(self, at_ms: int) -> None:
        """Noisy."""
        self.place.bus.line.add_noise(self.size("errors_ppm"))

    def end(self, at_ms: int) -> None:
        """Quiet."""
        self.place.bus.line.add_noise(-self.size("errors_ppm"))


class SwappedLine(LinkFault):
    """A and B are exchanged: everybody hears the opposite of every level."""

    name = "swapped_line"
    where = (BUS,)
    alarm = "silent"
    also = ("poor_link",)

    def hears(self, data: bytes) -> bytes:
        """What a UART makes of it."""
        own = self.place.bus.config.line
        return from_bits([1 - level for level in to_bits(data, own)], own.baud, own)

    def parts(self, parts: list[Part]) -> list[Part]:
        """Should anybody answer, it comes through the same wires."""
        return [part._replace(wire=self.hears(part.wire)) for part in parts]


class ConcentratorReboot(LinkFault):
    """The device between line and network is down, loses what passes, and says something when it is back."""

    name = "concentrator_reboot"
    where = (BUS,)
    alarm = "silent"
    also = ("poor_link",)
    keys = (Key("banner", "DTU READY\r\n", meaning="what it says"),)

    def begin(self, at_ms: int) -> None:
        """Down, and with it the connections over the network."""
        super().begin(at_ms)
        self.place.bus.port.cut()

    def hears(self, data: bytes) -> bytes:
        """Nothing."""
        return b""

    def parts(self, parts: list[Part]) -> list[Part]:
        """Nothing."""
        return []

    def end(self, at_ms: int) -> None:
        """Back."""
        super().end(at_ms)
        self.place.bus.come_back(str(self.sizes["banner"]).encode())


KINDS: tuple[type[Fault], ...] = (
    Silent, Intermittent, BitErrors, Truncated, Merged, PartialWrites, LateAnswer, DuplicateAddress, WildcardEcho,
    WrongLine, OldEdition, Preamble, FollowUp, NoiseBytes, SwappedLine, ConcentratorReboot,
)  # fmt: skip
