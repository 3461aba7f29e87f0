"""What the copper of one bus does to bytes: two ends that are set differently, and noise.

As long as both ends are set alike and nothing flips a bit, bytes pass untouched and cost nothing. The client's
settings are asked of the port whenever its bytes arrive and hold for the answer.
"""

import numpy as np

from sim.estate import BusConfig
from sim.ports.port import Port
from sim.wire.uart import LineSettings, Noise, from_bits, to_bits


class Line:
    """The way between the master's port and the meters of one bus."""

    def __init__(self, config: BusConfig, port: Port, draws: np.random.Generator) -> None:
        self._own = config.line
        self._client = self._own
        self._port = port
        self._noise = Noise(config.bit_errors_ppm, draws)
        self._parity_checked = config.parity_errors == "lost"
        self._garbles = config.mismatch == "garble"
        self.mismatched_bytes = 0

    def meters_at(self, config: BusConfig) -> None:
        """The meters have changed their settings, all of them."""
        self._own = config.line

    @property
    def flipped_bits(self) -> int:
        """Bits that noise has flipped since the start."""
        return self._noise.flipped_bits

    @property
    def client(self) -> LineSettings:
        """How the client had set its end when it last spoke."""
        return self._client

    def to_meters(self, data: bytes) -> bytes:
        """What the meters hear of the master's bytes."""
        if self._garbles:
            self._client = self._port.client_line(self._own)
        if self._client is self._own and not self._noise.errors_ppm:
            return data
        return self.carry(data, self._client, self._own)

    def to_master(self, data: bytes, sender: LineSettings | None = None) -> bytes:
        """What the master's port gets of the bytes of meters, or of one that is set otherwise."""
        if sender is None:
            sender = self._own
        if sender is self._client and not self._noise.errors_ppm:
            return data
        return self.carry(data, sender, self._client)

    def add_noise(self, errors_ppm: int) -> None:
        """Flip so many bits of a million more (negative: less)."""
        self._noise.errors_ppm += errors_ppm

    def carry(self, data: bytes, sender: LineSettings, receiver: LineSettings) -> bytes:
        """What a receiver makes of a sender's bytes."""
        alike = sender == receiver
        bits = self._noise.hits(data, sender)
        if bits is None:
            if alike:
                return data
            bits = to_bits(data, sender)
        if not alike:
            self.mismatched_bytes += len(data)
        return from_bits(bits, sender.baud, receiver, parity_checked=self._parity_checked)
