"""A shared line in memory: meters of both editions that speak at once pull bits low together, or one after another."""

from core.dlt645.frame import Frame, FrameDecoder, encode, parse
from core.dlt645.replies import Data, Named
from core.dlt645.search import Heard
from core.dlt645.service1997 import Data97


class Meter:
    """One meter; `echoes` sends the asked address back, `reads_only` does not know 13H.

    `whole` knows no shortened address, only its own and 99..99; `refuses` are the read commands that it knows but
    answers with an error only.
    """

    def __init__(
        self, address, edition="2007", *, total=1, delay=0, echoes=False, reads_only=False, number=None, whole=False,
        refuses=()
    ):  # fmt: skip
        self.address = address
        self.edition = edition
        self.total = total
        self.delay = delay
        self.echoes = echoes
        self.reads_only = reads_only
        self.whole = whole
        self.refuses = refuses
        self.number = number or address

    def hears(self, pattern):
        """Whether the address fits: AA pairs stand for any, from the top only."""
        if self.whole:
            return pattern in (self.address, "9" * 12)
        tail = pattern.lstrip("A")
        return self.address.endswith(tail)

    def answer(self, request):
        """The reply, or None."""
        if not self.hears(request.address):
            return None
        shown = request.address if self.echoes else self.address
        if request.control in self.refuses:
            return Frame(shown, request.control | 0xC0, b"\x02")
        if self.edition == "2007":
            if request.control == 0x13 and not self.reads_only:
                return Frame(shown, 0x93, Named(self.address, self.address).to_frame().data)
            if request.control == 0x11:
                return Data(shown, request.identifier, self.total.to_bytes(4, "little")).to_frame()
        elif request.control == 0x01:
            di = int.from_bytes(request.data[:2], "little")
            if di == 0xC032:
                return Data97(shown, di, bytes.fromhex(self.number)[::-1]).to_frame()
            return Data97(shown, di, self.total.to_bytes(4, "little")).to_frame()
        return None


class Line:
    """All meters of a bus; `ask` gives what a master hears. Equal delays collide, different ones follow each other."""

    def __init__(self, *meters, noise=b""):
        self.meters = meters
        self.noise = noise
        self.asked = []

    def ask(self, command):
        request = parse(encode(command.to_frame()))
        self.asked.append(request)
        spoken = {}
        for meter in self.meters:
            reply = meter.answer(request)
            if reply is not None:
                spoken.setdefault(meter.delay, []).append(encode(reply))
        wire = b"".join(together(spoken[delay]) for delay in sorted(spoken)) + self.noise
        decoder = FrameDecoder()
        frames = (*decoder.feed(wire), *decoder.flush())
        return Heard(tuple(frames), decoder.garbage_bytes)


def together(wires):
    """What several senders make of the line: each bit is low when anybody pulls it."""
    heard = bytearray(b"\xff" * max(map(len, wires)))
    for wire in wires:
        for at, byte in enumerate(wire):
            heard[at] &= byte
    return bytes(heard)


def search(finder, line):
    """Drive a search to its end."""
    while (probe := finder.next_probe()) is not None:
        finder.heard(line.ask(probe))
    return finder
