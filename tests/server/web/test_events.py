"""Live events: who hears what, how often, and how streams end."""

import asyncio
import itertools
import socket
import threading

import httpx
import pytest
import uvicorn

from server.store.engine import reader
from server.transport.memory import Bell
from server.web.errors import TooManyRequests
from server.web.events import BATCH_EVERY_S, EVERYTHING, KEYS_MAX, STREAMS_MAX, LiveHub, Stream, audience
from server.web.principal import Principal
from tests.server.web.browsing import PASSWORD
from tests.server.web.conftest import ESTATE

PATIENCE_S = 20


def everybody(_topic, _key):
    return True


def test_rings_are_gathered_into_one_event_a_topic():
    stream = Stream(everybody)
    for key in ("A2", "A1", "A2"):
        stream.ring("balance", key)
    stream.ring("supply", "bus1")
    assert stream.take() == 'event: balance\ndata: ["A1", "A2"]\n\nevent: supply\ndata: ["bus1"]\n\n'
    assert stream.take() == ""


def test_too_many_keys_become_everything():
    stream = Stream(everybody)
    for number in range(KEYS_MAX + 2):
        stream.ring("meter", str(number))
    assert stream.pending["meter"] == {EVERYTHING}


def test_a_stream_tells_of_a_ring_from_another_thread_and_ends_when_closed():
    async def story():
        hub, bell = LiveHub(), Bell()
        hub.start(bell)
        stream = hub.serve(everybody)
        assert (await anext(stream)).startswith("retry: ")
        await asyncio.to_thread(bell.ring, "balance", "A1")
        told = await asyncio.wait_for(anext(stream), PATIENCE_S)
        hub.close()
        rest = [part async for part in stream]
        assert not hub._streams
        return told, rest

    told, rest = asyncio.run(story())
    assert told == 'event: balance\ndata: ["A1"]\n\n'
    assert "".join(rest) == ""


def test_a_flood_of_rings_is_at_most_two_messages_a_second():
    async def story():
        hub, bell = LiveHub(), Bell()
        stop = hub.start(bell)
        stream = hub.serve(everybody)
        await anext(stream)
        loop = asyncio.get_running_loop()
        times = []
        for number in range(3):
            bell.ring("balance", str(number))
            await anext(stream)
            times.append(loop.time())
        stop()
        await stream.aclose()
        return times

    times = asyncio.run(story())
    assert all(later - earlier >= BATCH_EVERY_S * 0.9 for earlier, later in itertools.pairwise(times))


def test_a_ring_after_the_end_is_harmless():
    hub, bell = LiveHub(), Bell()

    async def start():
        hub.start(bell)

    asyncio.run(start())
    bell.ring("balance", "A1")
    hub.close()


def test_no_more_streams_than_the_limit():
    hub = LiveHub()
    hub._streams.update(Stream(everybody) for _ in range(STREAMS_MAX))
    with pytest.raises(TooManyRequests):
        hub.admit()


def heard(web, role, account_id=None):
    principal = Principal(ESTATE, role, role, role, role, account_id, "en")
    with reader(web.state.engine) as conn:
        wanted = audience(principal, conn)
    rings = [
        ("balance", "A1"), ("balance", "A2"), ("meter", "000000000001"), ("meter", "000000000002"),
        ("supply", "bus1"), ("notice", "A1"), ("notice", "A2"), ("case", "c1"), ("order", "o1"),
    ]  # fmt: skip
    return [ring for ring in rings if wanted(*ring)]


def test_a_resident_hears_of_the_own_household_only(web):
    assert heard(web, "resident", "A1") == [
        ("balance", "A1"), ("meter", "000000000001"), ("supply", "bus1"), ("notice", "A1"),
    ]  # fmt: skip


def test_staff_hear_everything_and_a_kiosk_nothing(web):
    assert len(heard(web, "operator")) == 9
    assert heard(web, "kiosk") == []


def test_a_stranger_hears_nothing(web):
    assert web.client().get("/events").status_code == 401


def test_a_real_server_streams_to_a_browser_and_stops_at_once(web):
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(web.site, log_level="error", access_log=False, ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE_S) as browser:
            form = {"login": "operator", "password": PASSWORD, "next": "/"}
            assert browser.post("/login", data=form).status_code == 303
            with browser.stream("GET", "/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.iter_lines()
                assert next(lines) == "retry: 3000"
                web.state.writer.run(lambda unit: unit.announce("balance", "A1"))
                told = next(line for line in lines if line.startswith("data:"))
                assert told == 'data: ["A1"]'
                web.site.state.live.close()
                assert [line for line in lines if line] == []
    finally:
        web.site.state.live.close()
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
    assert not thread.is_alive()
