"""Where DTUs dial in: one TCP listener for all buses whose url is `dtu://ID`.

    accept -> address allowed? -> registration within 10 s and 512 bytes -> id of a bus? -> the bus's port
                 no: closed            no: closed                             no: closed

Only ids of buses are let in, so the estate file is the list of who may dial. Whoever knows an id can take its place,
as with every DTU: keep the listener in a private network, or name the networks that are allowed.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import monotonic
from typing import cast

from server.collect.dtu_port import DtuPort
from server.collect.dtu_registration import REGISTRATION_BYTES_MAX, Registered, Verdict, registered
from server.collect.keep_alive import keep_alive

REGISTRATION_TIMEOUT_S = 10.0
QUIET_S = 0.3  # after it a name that might have grown is taken as it is
UNREGISTERED_MAX = 64  # connections that have not said who they are; the oldest gives way to the next
BACKLOG = 1024  # a network that comes back makes all modems dial at once
LISTEN_RETRY_S = 10.0
COMPLAINT_INTERVAL_S = 1.0  # strangers may knock as often as they like, the log is not theirs
SHOWN_MAX = 64
NOT_SET = "dtu_listen is not set; name the address in the settings, such as 0.0.0.0:9645"

log = logging.getLogger("estate645.collect")


@dataclass(frozen=True, slots=True)
class DtuSettings:
    """How DTUs dial in; without `networks` any address may. `local_only` is for worlds that only run here."""

    host: str
    port: int
    registration: re.Pattern[bytes] | None = None
    heartbeats: tuple[bytes, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    local_only: bool = False

    def allows(self, host: str) -> bool:
        """Whether somebody at this address may dial in."""
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if self.local_only and not address.is_loopback:
            return False
        return not self.networks or any(address in network for network in self.networks)


class DtuListener:
    """Accepts DTUs and gives each to its port. Everything but the constructor runs on the collector's loop."""

    def __init__(self, settings: DtuSettings | None) -> None:
        self._settings = settings
        self._ports: dict[str, DtuPort] = {}
        self._unregistered: dict[_Dialler, None] = {}
        self._server: asyncio.Server | None = None
        self._trouble = NOT_SET if settings is None else ""
        self._complained_at = float("-inf")
        self.refused = 0

    @property
    def trouble(self) -> str:
        """Why nobody can dial in, or nothing."""
        return self._trouble

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens now."""
        if self._server is None:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    def port(self, dtu_id: str) -> DtuPort:
        """The port of a bus. A later one of the same id takes the place and the connection of the former."""
        heartbeats = self._settings.heartbeats if self._settings is not None else ()
        return self._ports.setdefault(dtu_id, DtuPort(dtu_id, heartbeats, lambda: self._trouble))

    def keep(self, dtu_ids: Collection[str]) -> None:
        """Forget all ids but these, and hang up on them."""
        for gone in self._ports.keys() - set(dtu_ids):
            self._ports.pop(gone).detach("the bus was taken out")

    async def run(self) -> None:
        """Listen until cancelled; an address that cannot be had is tried again, and the buses say why."""
        if self._settings is None:
            return
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            while self._server is None:
                try:
                    await self._listen(self._settings)
                except OSError as error:
                    self._trouble = f"cannot listen on {where} ({error.strerror or error}); correct dtu_listen"
                    log.error("DTUs cannot dial in: %s", self._trouble)
                    await asyncio.sleep(LISTEN_RETRY_S)
            await asyncio.get_running_loop().create_future()
        finally:
            self._close()

    async def _listen(self, settings: DtuSettings) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Dialler(self, settings), settings.host, settings.port, backlog=BACKLOG
        )
        self._trouble = ""
        log.info("DTUs may dial in to %s", self.address)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for dialler in list(self._unregistered):
            dialler.hang_up()
        for port in self._ports.values():
            port.detach("the collector is stopping")

    def admit(self, dialler: "_Dialler") -> None:
        """Count one who has not said who it is."""
        self._unregistered[dialler] = None
        if len(self._unregistered) > UNREGISTERED_MAX:
            self.refuse(next(iter(self._unregistered)), f"more than {UNREGISTERED_MAX} have not registered")

    def read_registration(self, data: bytes) -> Registered:
        """What the first bytes say."""
        pattern = self._settings.registration if self._settings is not None else None
        return registered(data, self._ports.keys(), pattern)

    def place(self, dialler: "_Dialler", dtu_id: str, peer: str) -> DtuPort | None:
        """The port for a dialler that has registered; None, and refused, when no bus has the id."""
        port = self._ports.get(dtu_id)
        if port is None:
            self.refuse(dialler, f"no bus has the url dtu://{dtu_id[:SHOWN_MAX]}")
            return None
        self._unregistered.pop(dialler, None)
        if dialler.transport is not None:
            port.attach(dialler.transport, peer)
        return port

    def refuse(self, dialler: "_Dialler", reason: str) -> None:
        """Hang up and say why, now and then."""
        self._unregistered.pop(dialler, None)
        self.refused += 1
        if monotonic() - self._complained_at >= COMPLAINT_INTERVAL_S:
            self._complained_at = monotonic()
            log.warning("a DTU at %s was refused (%d so far): %s", dialler.peer, self.refused, reason)
        dialler.hang_up()

    def forget(self, dialler: "_Dialler") -> None:
        """It has gone before it said who it is."""
        self._unregistered.pop(dialler, None)


class _Dialler(asyncio.Protocol):
    """One connection from the first byte to the last."""

    def __init__(self, listener: DtuListener, settings: DtuSettings) -> None:
        self._listener = listener
        self._settings = settings
        self._greeting = b""
        self._timers: list[asyncio.TimerHandle] = []
        self._port: DtuPort | None = None
        self.transport: asyncio.Transport | None = None
        self.peer = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        host, number = stream.get_extra_info("peername")[:2]
        self.peer, self.transport = f"{host}:{number}", stream
        if not self._settings.allows(host):
            self._listener.refuse(self, "its address is not in dtu_allow")
            return
        keep_alive(transport)
        self._later(REGISTRATION_TIMEOUT_S, lambda: self._listener.refuse(self, "it did not register in time"))
        self._listener.admit(self)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        if self._port is not None:
            self._port.received(self.transport, data)
            return
        self._greeting += data
        self._judge(self._listener.read_registration(self._greeting[:REGISTRATION_BYTES_MAX]))

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timers()
        self._listener.forget(self)
        if self._port is not None and self.transport is not None:
            self._port.gone(self.transport, error)

    def hang_up(self) -> None:
        """End the connection at once."""
        self._stop_timers()
        if self.transport is not None:
            self.transport.abort()

    def _judge(self, said: Registered) -> None:
        match said.verdict:
            case Verdict.KNOWN:
                self._take(said.dtu_id)
            case Verdict.PERHAPS:
                self._later(QUIET_S, lambda: self._take_if_still(said))
            case Verdict.UNKNOWN:
                self._listener.refuse(self, f"nobody of that name is expected: {said.dtu_id[:SHOWN_MAX]!r}")
            case Verdict.MORE if len(self._greeting) >= REGISTRATION_BYTES_MAX:
                self._listener.refuse(self, f"no registration in {REGISTRATION_BYTES_MAX} bytes")

    def _take_if_still(self, said: Registered) -> None:
        """The line has been quiet since: the name is complete."""
        if self._port is None and self._listener.read_registration(self._greeting) == said:
            self._take(said.dtu_id)

    def _take(self, dtu_id: str) -> None:
        self._stop_timers()
        self._port = self._listener.place(self, dtu_id, self.peer)

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, call))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
