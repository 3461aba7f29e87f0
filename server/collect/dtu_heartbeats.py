"""Heartbeats of a DTU, sifted out of the bytes that its meters send.

A modem drops its heartbeat wherever it likes: between two frames, glued to one, or into the middle of one. The same
bytes may also be an honest part of a frame (a heartbeat HB is the meter address ..4248..), so nothing is cut out
blindly: a reply that is sound as it came is passed on as it came, and only one that becomes sound by cutting is cut.

    bytes since the last request --sound reply in them--> pass as they are
                                 --sound without heartbeat--> pass without it
                                 --neither yet--> pass up to the first (possible) heartbeat, hold the rest

A sum does not see which of two equal pieces is the heartbeat. Where both could be, the reply is given up and asked for
again: the wrong one would be a wrong value with a right sum.
"""

from collections.abc import Callable, Sequence
from itertools import chain

from core.dlt645.frame import FrameDecoder
from core.errors import FrameError
from core.framing import BusFrame, Decoder
from core.modbus.rtu import parse

HELD_MAX = 600  # two frames' worth; beyond it nothing can be an answer any more
SINGLE_MAX = 4  # heartbeats in one answer that may be honest bytes each by itself
_WAKING = b"\xfe"
_START_645 = 0x68


class HeartbeatSieve:
    """Passes on what meters sent. `sent` tells it of each request, since only that says how replies are framed."""

    def __init__(self, heartbeats: Sequence[bytes]) -> None:
        self._heartbeats = tuple(sorted(set(heartbeats), key=len, reverse=True))
        self._decoder: Callable[[], Decoder[BusFrame]] = FrameDecoder
        self._burst = b""
        self._passed = 0

    def sent(self, wire: bytes) -> None:
        """A request goes out: what was held belongs to no frame that anybody waits for."""
        self._decoder = _reply_decoder(wire)
        self._forget()

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they come and return those to pass on."""
        if not self._heartbeats:
            return data
        self._burst += data
        suspect = self._suspect(self._burst)
        if suspect == len(self._burst):
            return self._pass(suspect)
        if self._answers(self._burst):
            return self._pass(len(self._burst))
        sound = {cut for cut in self._cuts(self._burst) if self._answers(cut)}
        if len(sound) == 1:
            rest = sound.pop()[self._passed :]
            self._forget()
            return rest
        if len(self._burst) > HELD_MAX:
            self._forget()
            return b""
        return self._pass(max(suspect, self._passed))

    def _pass(self, until: int) -> bytes:
        """Bytes of the burst not passed yet, up to a place; a burst that only grows is forgotten at its front."""
        rest = self._burst[self._passed : until]
        self._passed = until
        if self._passed > HELD_MAX:
            self._forget()
        return rest

    def _forget(self) -> None:
        self._burst, self._passed = b"", 0

    def _suspect(self, data: bytes) -> int:
        """Where the first heartbeat begins, whole or cut off by the end of the bytes; their number if nowhere."""
        whole = [at for one in self._heartbeats if (at := data.find(one)) >= 0]
        longest = len(self._heartbeats[0]) - 1
        tails = range(max(0, len(data) - longest), len(data))
        begun = (at for at in tails if any(one.startswith(data[at:]) for one in self._heartbeats))
        return min(chain(whole, begun), default=len(data))

    def _cuts(self, data: bytes) -> Sequence[bytes]:
        """The bytes without all heartbeats, then without each single one."""
        places = []
        at = 0
        while at < len(data):
            found = next((one for one in self._heartbeats if data.startswith(one, at)), b"")
            if found:
                places.append((at, at + len(found)))
            at += len(found) or 1
        ends = [0, *(end for _, end in places)]
        starts = [*(start for start, _ in places), len(data)]
        every = b"".join(data[end:start] for end, start in zip(ends, starts, strict=True))
        if len(places) > SINGLE_MAX:
            return [every]
        return [every, *(data[:start] + data[end:] for start, end in places)] if places else []

    def _answers(self, data: bytes) -> bool:
        """Whether a sound reply stands in the bytes."""
        return any(frame.is_reply for frame in self._decoder().feed(data))


def _reply_decoder(wire: bytes) -> Callable[[], Decoder[BusFrame]]:
    """What reads the answers to a request of either protocol."""
    body = wire.lstrip(_WAKING)
    if body[:1] == bytes((_START_645,)):
        return FrameDecoder
    try:
        return parse(wire).reply_decoder
    except FrameError:
        return FrameDecoder
