"""DTUs that dial in: who they are, what of their bytes is meter's, and which connection is theirs."""

import asyncio
import re
import socket
from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.commands import Read
from core.dlt645.frame import Frame, FrameDecoder, encode, parse
from core.modbus.commands import ReadRegisters
from core.modbus.rtu import encode as encode_rtu
from core.modbus.rtu import registers_reply
from server.collect import dtu_listener
from server.collect.dtu_heartbeats import HeartbeatSieve
from server.collect.dtu_listener import DtuListener, DtuSettings
from server.collect.dtu_port import DtuPort
from server.collect.dtu_registration import Verdict, compile_registration, registered
from server.collect.port import LineSettings, PortError, PortWaiting
from server.collect.ports import open_port

METER = "202600004248"  # its address holds the bytes of the heartbeat HB
REQUEST = Read(METER, 0x00010000).to_frame().to_wire(4)
REPLY = encode(Frame(METER, 0x91, bytes.fromhex("00000100 78563412")), 2)


def sifted(pieces, request=REQUEST, heartbeats=(b"HB",)):
    sieve = HeartbeatSieve(heartbeats)
    sieve.sent(request)
    return b"".join(sieve.feed(piece) for piece in pieces)


def test_a_heartbeat_that_is_an_honest_part_of_a_frame_stays():
    assert b"HB" in REPLY
    assert REPLY in sifted([REPLY])
    assert REPLY in sifted([bytes((byte,)) for byte in REPLY])


@given(at=st.integers(0, len(REPLY)), cuts=st.lists(st.integers(0, len(REPLY) + 2), max_size=6))
def test_a_heartbeat_anywhere_in_a_reply_and_pieces_of_any_size(at, cuts):
    wire = REPLY[:at] + b"HB" + REPLY[at:]
    ends = sorted({0, *cuts, len(wire)})
    pieces = [wire[start:end] for start, end in pairwise(ends)]
    passed = sifted(pieces)
    # glued to a whole frame it is left to the decoder, which skips what is no frame
    assert FrameDecoder().feed(passed) in ([parse(REPLY)], [])
    if at <= 5 or at >= 10:  # between, both HB could be the heartbeat, and the sum would be right either way
        assert REPLY.lstrip(b"\xfe") in passed


def test_where_two_pieces_could_be_the_heartbeat_no_wrong_value_comes_of_it():
    reply = encode(Frame("202600000001", 0x91, bytes.fromhex("00000100 150f5634")))  # 150F travels as HB
    wire = reply[:-3] + b"HB" + reply[-3:]
    wrong = wire.replace(b"HB", b"", 1)
    assert FrameDecoder().feed(wrong) != FrameDecoder().feed(reply) != []  # a right sum, a wrong value
    assert FrameDecoder().feed(sifted([wire])) == []


@given(at=st.integers(0, 9))
def test_a_heartbeat_in_a_modbus_reply(at):
    request = ReadRegisters(7, 0, 2).to_frame()
    reply = encode_rtu(registers_reply(request, (0x4842, 0x0001)))  # HB is honest here too
    assert reply in sifted([reply], request.to_wire(0))
    assert reply in sifted([reply[:at] + b"\x00\x00\x00" + reply[at:]], request.to_wire(0), (b"\x00\x00\x00",))


def test_a_heartbeat_after_the_echo_of_the_request_is_still_cut_out():
    half = len(REPLY) // 2
    assert REPLY.lstrip(b"\xfe") in sifted([REQUEST + REPLY[:half] + b"HB", REPLY[half:]])


def test_nothing_is_held_for_ever_and_without_heartbeats_nothing_at_all():
    sieve = HeartbeatSieve((b"HB",))
    sieve.sent(REQUEST)
    for _ in range(2_000):
        sieve.feed(b"HBx")
    assert len(sieve._burst) <= 1024
    sieve.sent(REQUEST)
    assert REPLY.lstrip(b"\xfe") in sieve.feed(REPLY)
    assert HeartbeatSieve(()).feed(b"HB") == b"HB"


KNOWN = ("DTU-1", "DTU-12", "AB0C")


@pytest.mark.parametrize(
    ("data", "verdict", "dtu_id"),
    [
        (b"DT", Verdict.MORE, ""),
        (b"DTU-1", Verdict.PERHAPS, "DTU-1"),
        (b"DTU-12", Verdict.KNOWN, "DTU-12"),
        (b"DTU-1HB", Verdict.KNOWN, "DTU-1"),
        (b"GET / HTTP/1.1", Verdict.UNKNOWN, "GET / HTTP/1.1"),
    ],
)
def test_without_a_pattern_the_id_itself_registers(data, verdict, dtu_id):
    found = registered(data, KNOWN, None)
    assert found.verdict is verdict
    assert not dtu_id or found.dtu_id == dtu_id


@pytest.mark.parametrize(
    ("pattern", "data", "verdict", "dtu_id"),
    [
        (r"REG,(?P<id>[^,]+),", b"REG,DTU-1", Verdict.MORE, ""),
        (r"REG,(?P<id>[^,]+),", b"REG,DTU-1,HB", Verdict.KNOWN, "DTU-1"),
        (r"REG,(?P<id>[^,]+),", b"REG,DTU-9,HB", Verdict.UNKNOWN, "DTU-9"),
        (r"\xfe\xfe(?P<hex>..)", b"\xfe\xfe\xab\x0c", Verdict.PERHAPS, "AB0C"),
        (r"\xfe\xfe(?P<hex>..)", b"\xfe\xfe\xab\x0c\x00", Verdict.KNOWN, "AB0C"),
    ],
)
def test_a_pattern_finds_the_id_in_the_packet(pattern, data, verdict, dtu_id):
    found = registered(data, KNOWN, compile_registration(pattern))
    assert found.verdict is verdict
    assert not dtu_id or found.dtu_id == dtu_id


@pytest.mark.parametrize("pattern", ["(", "REG", "汉(?P<id>.)"])
def test_a_pattern_that_can_name_nobody_is_refused(pattern):
    with pytest.raises(ValueError, match=r".+"):
        compile_registration(pattern)


def test_networks_and_worlds_that_only_run_here():
    settings = DtuSettings("", 0, networks=(ip_network("10.8.0.0/16"),))
    assert settings.allows("10.8.3.4")
    assert settings.allows("::ffff:10.8.3.4")
    assert not settings.allows("10.9.0.1")
    assert not DtuSettings("", 0, local_only=True).allows("10.8.3.4")
    assert DtuSettings("", 0, local_only=True).allows("127.0.0.1")


class Site:
    """A listener with one bus and what its poller would see."""

    def __init__(self, **settings):
        self.listener = DtuListener(DtuSettings("127.0.0.1", 0, **settings))
        self.port = self.listener.port("DTU-1")
        self.got, self.lost = bytearray(), []
        self.arrivals = asyncio.Event()
        self.dialled = []
        self.port.on_arrival(self.arrivals.set)

    async def __aenter__(self):
        self._task = asyncio.create_task(self.listener.run())
        await self.until(lambda: self.listener.address)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for _, writer in self.dialled:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in self.dialled), return_exceptions=True)

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def dial(self, *pieces):
        streams = await asyncio.open_connection(*self.listener.address)
        self.dialled.append(streams)
        for piece in pieces:
            streams[1].write(piece)
            await asyncio.sleep(0.02)
        return streams

    async def serve(self):
        async with asyncio.timeout(20):
            await self.arrivals.wait()
        self.arrivals.clear()
        await self.port.open(self.got.extend, self.lost.append)


async def closed(streams):
    """Whether the other side hangs up."""
    try:
        async with asyncio.timeout(20):
            return await streams[0].read(1) == b""
    except ConnectionResetError:
        return True


def on_loop(scenario):
    def test(**fixtures):
        asyncio.run(scenario(**fixtures))

    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
    return test


@on_loop
async def test_a_dtu_registers_in_pieces_and_carries_bytes_both_ways():
    async with Site(heartbeats=(b"HB",)) as site:
        with pytest.raises(PortWaiting, match="waiting for the DTU"):
            await site.port.open(site.got.extend, site.lost.append)
        assert site.port.status.waiting
        dtu = await site.dial(b"DT", b"U-1", b"HB")
        await site.serve()
        status = site.port.status
        assert (status.is_open, status.waiting) == (True, False)
        assert status.peer == "{}:{}".format(*dtu[1].get_extra_info("sockname"))
        assert status.since_ms > 0
        await site.port.write(REQUEST)
        assert await dtu[0].readexactly(len(REQUEST)) == REQUEST
        dtu[1].write(REPLY[:15] + b"HB" + REPLY[15:])
        await site.until(lambda: REPLY.lstrip(b"\xfe") in site.got)
        dtu[1].close()
        await site.until(lambda: site.lost)
        assert "waiting for it to dial in again" in site.lost[0]
        assert site.port.status.waiting
        with pytest.raises(PortError):
            await site.port.write(REQUEST)


@on_loop
async def test_the_newest_connection_wins_and_the_old_one_says_nothing_any_more():
    async with Site() as site:
        old = await site.dial(b"DTU-1")
        await site.serve()
        new = await site.dial(b"DTU-1")
        await site.serve()
        assert await closed(old)
        assert "dialled in again" in site.lost[0]
        assert len(site.lost) == 1
        new[1].write(b"from the new one")
        await site.until(lambda: site.got == b"from the new one")
        new[1].close()


@on_loop
async def test_a_name_that_could_still_grow_waits_for_quiet():
    async with Site() as site:
        longer = site.listener.port("DTU-12")
        first = await site.dial(b"DTU-1")
        second = await site.dial(b"DTU-1", b"2")
        await site.until(lambda: site.port.status.peer and longer.status.peer)
        assert site.port.status.peer.endswith(str(first[1].get_extra_info("sockname")[1]))
        assert longer.status.peer.endswith(str(second[1].get_extra_info("sockname")[1]))
        for one in (first, second):
            one[1].close()


@on_loop
async def test_strangers_are_hung_up_on():
    async with Site(registration=re.compile(rb"REG(?P<id>[^;]*);")) as site:
        for greeting in (b"REGnobody;", b"x" * 600):
            assert await closed(await site.dial(greeting))
        assert site.listener.refused == 2
        assert site.port.status.waiting


def test_the_silent_and_the_many_are_hung_up_on(monkeypatch):
    async def scenario():
        monkeypatch.setattr(dtu_listener, "REGISTRATION_TIMEOUT_S", 0.3)
        async with Site() as site:
            assert await closed(await site.dial(b"DTU"))
        monkeypatch.setattr(dtu_listener, "REGISTRATION_TIMEOUT_S", 60.0)
        monkeypatch.setattr(dtu_listener, "UNREGISTERED_MAX", 2)
        async with Site() as site:
            silent = [await site.dial() for _ in range(3)]
            assert await closed(silent[0])
            silent[1][1].write(b"DTU-1")
            await site.until(lambda: site.port.status.peer)
            for _, writer in silent[1:]:
                writer.close()

    asyncio.run(scenario())


@on_loop
async def test_an_address_outside_the_allowed_networks_is_hung_up_on():
    async with Site(networks=(ip_network("10.8.0.0/16"),)) as site:
        assert await closed(await site.dial(b"DTU-1"))
        assert site.port.status.waiting


@on_loop
async def test_a_bus_that_is_taken_out_hangs_up():
    async with Site() as site:
        dtu = await site.dial(b"DTU-1")
        await site.serve()
        site.listener.keep(["DTU-1"])
        assert site.port.status.is_open
        site.listener.keep([])
        assert await closed(dtu)


@on_loop
async def test_an_address_in_use_is_said_by_the_buses():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = DtuListener(DtuSettings(*taken.getsockname()))
        port = listener.port("DTU-1")
        task = asyncio.create_task(listener.run())
        async with asyncio.timeout(20):
            while not listener.trouble:
                await asyncio.sleep(0.005)
        with pytest.raises(PortError, match=r"cannot listen on .* correct dtu_listen"):
            await port.open(lambda _: None, lambda _: None)
        assert not port.status.waiting
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_loop
async def test_half_open_connections_are_probed():
    async with Site() as site:
        dtu = await site.dial(b"DTU-1")
        await site.serve()
        sock = site.port._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        dtu[1].close()


def test_without_a_listener_the_bus_says_which_setting_is_missing():
    port = open_port("dtu://DTU-1", LineSettings())
    with pytest.raises(PortError, match="dtu_listen is not set"):
        asyncio.run(port.open(lambda _: None, lambda _: None))
    for url in ("dtu://", "dtu://a b", "dtu://" + "x" * 65):
        with pytest.raises(PortError, match="not the id of a DTU"):
            open_port(url, LineSettings())


class Transport:
    def abort(self):
        """Asynchronously, like the real one: bytes may still be on their way up."""


@on_loop
async def test_bytes_and_the_end_of_a_replaced_connection_change_nothing():
    port, got, lost = DtuPort("DTU-1", (), lambda: ""), bytearray(), []
    old, new = Transport(), Transport()
    port.attach(old, "old")
    port.attach(new, "new")
    await port.open(got.extend, lost.append)
    port.received(old, b"late")
    port.gone(old, None)
    assert (bytes(got), lost, port.status.peer) == (b"", [], "new")
    port.received(new, b"right")
    assert got == b"right"
