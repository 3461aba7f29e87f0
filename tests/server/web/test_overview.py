"""The households in memory: exact after every commit of this server, and read no more than commits have touched."""

import asyncio
from functools import partial
from threading import get_ident
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Request

from server.domain.readings import StatusRead
from server.flows import payments
from server.flows.relays import record_status
from server.store import schema
from server.web import deps, overview, steady
from server.web.deps import CHANGERS_MAX, READERS_MAX
from server.web.operator import charged
from server.web.operator.board import Board
from server.web.operator.charged import ChargedToday
from server.web.site import routes_of
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S


def households(web):
    return {row.account_id: row for row in web.site.state.overview.look().rows}


def sell(web, account_id="A1", fen=500, key="sale-0001"):
    now = web.clock.now()
    return web.state.writer.run(
        lambda unit: payments.sell_at_counter(unit, ESTATE, account_id, fen, actor="lin", idem_key=key, now=now)
    )


@pytest.fixture
def reads(web, monkeypatch):
    """What the overview reads, once it has read everything."""
    web.site.state.overview.look()
    found = []
    for name in ("households", "households_of"):
        read = getattr(overview, name)

        def noted(connection, estate_id, *accounts, name=name, read=read):
            found.append((name, *map(sorted, accounts)))
            return read(connection, estate_id, *accounts)

        monkeypatch.setattr(overview, name, noted)
    return found


def test_whoever_has_been_answered_finds_what_he_did(web, reads):
    sell(web)
    assert households(web)["A1"].balance_fen == 500
    assert reads == [("households_of", ["A1"])]
    assert households(web)["A1"].balance_fen == 500
    assert len(reads) == 1, "nothing has happened since"


def test_a_change_that_nobody_names_is_found_all_the_same(web, reads):
    web.execute(schema.account.update().values(holder="李四"))
    assert {row.holder for row in households(web).values()} == {"李四"}
    assert reads == [("households",)]


def test_a_unit_that_changes_nothing_costs_nothing(web, reads):
    web.execute(schema.account.update().where(schema.account.c.account_id == "none").values(holder="x"))
    web.execute(schema.account.select())
    households(web)
    assert reads == []


def test_meters_and_buses_mean_their_households(web, reads):
    web.state.bell.ring("meter", "000000000002")
    households(web)
    web.state.bell.ring("supply", "bus1")
    households(web)
    web.state.bell.ring("notice", "A1")
    households(web)
    assert reads == [("households_of", ["A2"]), ("households_of", ["A1", "A2"])]


def test_a_status_word_that_says_nothing_new_is_contact_all_the_same(web, reads):
    heard = [StatusRead("000000000001", WORLD_S + minute * 60, MACHINE_MS + minute * 60_000, 0) for minute in (1, 2)]
    for one in heard:
        web.state.writer.run(lambda unit, one=one: record_status(unit, ESTATE, [one], web.clock.now()))
        assert households(web)["A1"].contact_at == one.at
    assert reads == [("households_of", ["A1"])] * 2


def test_what_another_process_wrote_is_found_after_a_while(web, reads, monkeypatch):
    with web.state.engine.begin() as connection:
        connection.execute(schema.account.update().values(holder="王五"))
    assert households(web)["A1"].holder != "王五"
    monkeypatch.setitem(overview.READ_AGAIN_S, "sqlite", 0.0)
    assert households(web)["A1"].holder == "王五"


def test_a_household_that_moves_out_is_gone_and_the_places_of_the_others_are_right(web, reads):
    before = web.site.state.overview.look()
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(status="closed"))
    web.state.bell.ring("balance", "A1")
    after = web.site.state.overview.look()
    assert [row.account_id for row in after.rows] == ["A2"]
    assert after.version != before.version


def test_an_overview_that_could_not_be_read_is_read_again(web, reads, monkeypatch):
    sell(web)
    read, calls = overview.households_of, []

    def failing(*arguments):
        calls.append(arguments)
        raise RuntimeError("the database is away")

    monkeypatch.setattr(overview, "households_of", failing)
    with pytest.raises(RuntimeError):
        households(web)
    monkeypatch.setattr(overview, "households_of", read)
    assert households(web)["A1"].balance_fen == 500


def test_charges_of_today_are_summed_up_once(web):
    since, sums = WORLD_S - 9 * 3600, ChargedToday()

    def charge(seq, at, fen, wh):
        header = {"kind": "charge", "event_at": at, "created_ms": 1, "idem_key": f"k{seq}", "payload_sha256": ""}
        web.execute(schema.batch.insert().values(estate_id=ESTATE, batch_seq=seq, lines=2, turnover_fen=fen, **header))
        for number, share in enumerate((wh, None), 1):
            values = {"amount_fen": -fen, "balance_after_fen": 0, "account_version": seq, "from_wh": 0, "to_wh": share}
            web.execute(
                schema.line.insert().values(
                    estate_id=ESTATE, batch_seq=seq, line_no=number, account_id=f"a{number}", **values
                )
            )

    def now():
        with deps.reader(web.state.engine) as connection:
            found = sums.at(connection, ESTATE, since)
        return found.fen, found.energy_wh, found.by_hour

    charge(1, since - 60, 7, 70)
    charge(2, since + 60, 10, 100)
    assert now() == (10, 100, {0: 100})
    charge(3, since + 3700, 20, 250)
    assert now() == now() == (30, 350, {0: 100, 1: 250})


def test_a_crowd_waits_for_its_turn_and_no_pool_runs_dry(web, monkeypatch):
    """Requests that wait for a thread while they hold a connection once took all of both, and ended as 500."""
    web.site.state.admission = asyncio.Semaphore(3)
    open_now, most = [], []
    real = deps.reader

    class Counted:
        def __init__(self, engine):
            self.inner = real(engine)

        def __enter__(self):
            open_now.append(self)
            most.append(len(open_now))
            return self.inner.__enter__()

        def __exit__(self, *error):
            open_now.remove(self)
            return self.inner.__exit__(*error)

    monkeypatch.setattr(deps, "reader", Counted)
    resident = web.signed_in("resident")
    answers = resident.together(*[("GET", "/me/prices", {})] * 40)
    assert {answer.status_code for answer in answers} == {200}
    assert max(most) == 3
    assert open_now == []
    assert web.state.engine.pool.size() + web.state.engine.pool._max_overflow > READERS_MAX + CHANGERS_MAX


def test_a_slow_client_holds_no_connection(web, monkeypatch):
    """The connection is given back before the first byte of the answer leaves."""
    resident = web.signed_in("resident")
    free = web.site.state.admission._value
    seen = []

    class Slow(httpx.ASGITransport):
        async def handle_async_request(self, request):
            app = self.app

            async def watched(scope, receive, send):
                async def sending(message):
                    seen.append(web.site.state.admission._value)
                    await send(message)

                await app(scope, receive, sending)

            self.app = watched
            return await super().handle_async_request(request)

    async def ask():
        async with httpx.AsyncClient(
            transport=Slow(web.site), base_url="http://t", cookies=dict(resident.cookies)
        ) as http:
            return await http.get("/me")

    assert asyncio.run(ask()).status_code == 200
    assert set(seen) == {free}


@pytest.mark.parametrize(("method", "begun"), [("GET", True), ("POST", False)])
def test_what_is_read_after_a_change_begins_with_the_change(web, method, begun):
    """The session is looked up on the same connection, whose state would else be that of before the change."""
    cookie = "; ".join(f"{name}={value}" for name, value in web.signed_in("operator").cookies.items())
    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(b"cookie", cookie.encode())],
        "query_string": b"",
        "app": web.site,
    }

    async def ask():
        looking = deps.Look(web.state, web.site.state.admission)
        principal = await deps.current(Request(scope), looking)
        found = principal.login, (await looking.connection()).in_transaction()
        await looking.close()
        return found

    assert asyncio.run(ask()) == ("operator", begun)


def test_a_household_with_two_meters_is_shown_by_the_one_without_power(web, reads):
    """A ring of either meter means the household; which of the two stands for it may change."""
    other = schema.meter.update().where(schema.meter.c.meter_id == "000000000002")
    web.execute(other.values(account_id="A1", room_id="1-101"))
    shown = web.site.state.overview.look()
    assert [(row.account_id, row.meter_id) for row in shown.rows] == [("A1", "000000000001")]
    with web.state.engine.begin() as connection:
        mine = schema.supply.update().where(schema.supply.c.meter_id == "000000000002")
        connection.execute(mine.values(relay="open"))
    web.state.bell.ring("meter", "000000000002")
    assert households(web)["A1"].meter_id == "000000000002"
    assert reads[-1] == ("households_of", ["A1"])


def test_who_waits_for_a_meter_keeps_no_page_waiting(web):
    """Changes have places of their own, since they may wait for seconds."""
    resident = web.signed_in("resident")
    web.site.state.admission_to_change = asyncio.Semaphore(0)
    assert resident.get("/me").status_code == 200


AT_ONCE = (
    ("resident", "/me"), ("resident", "/me/usage"), ("resident", "/me/bills"), ("resident", "/me/account"),
    ("resident", "/me/help"), ("operator", "/cases"), ("operator", "/counter?room=1-101"),
    ("operator", "/today"), ("operator", "/wall"), ("operator", "/households/A1"), ("operator", "/drawer/A1"),
    ("operator", "/api/v1/households"), ("operator", "/api/v1/households/A1/readings"),
    ("operator", "/api/v1/households/A1/ledger"), ("operator", "/api/v1/households/A1/ledgers"),
    ("operator", "/api/v1/households/A1/notices"), ("operator", "/api/v1/households/A1/relay"),
    ("operator", "/api/v1/households/A1/usage"),
)  # fmt: skip


def test_what_is_answered_at_once_waits_for_nobody(web, monkeypatch):
    """It runs on the event loop, which everybody waits for: no other process is asked there, and nothing written."""
    people = {role: web.signed_in(role) for role in ("resident", "operator")}
    routes = {
        route.path: route for route in routes_of(web.site.routes) if "GET" in (getattr(route, "methods", ()) or ())
    }

    def aside(send, *message):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return send(*message)

    for name in ("ask", "tell"):
        monkeypatch.setattr(web.line[1], name, partial(aside, getattr(web.line[1], name)))
    asked = set()
    for role, path in AT_ONCE:
        assert people[role].get(path).status_code == 200, path
        plain = path.partition("?")[0].replace("/A1", "/{account_id}")
        asked.add(routes[plain].endpoint)
    found = {route.endpoint for route in routes.values() if hasattr(route.endpoint, "at_once")}
    assert found == asked, "AT_ONCE has them all"


def test_a_look_is_brief_while_few_rows_are_to_be_read_again_and_nobody_looks(web, monkeypatch):
    seen = web.site.state.overview
    assert not seen.brief(), "nothing has been read yet"
    seen.look()
    assert seen.brief()
    for number in range(overview.BRIEF_MAX):
        web.state.bell.ring("meter", f"{number:012}")
    assert seen.brief()
    web.state.bell.ring("balance", "A1")
    assert not seen.brief()
    seen.look()
    web.state.bell.ring("tariff", "any")
    assert not seen.brief(), "anything may have changed"
    seen.look()
    with seen._looking:
        assert not seen.brief(), "a look would wait for another"
    monkeypatch.setitem(overview.READ_AGAIN_S, "sqlite", 0.0)
    assert not seen.brief(), "everything is due"


@pytest.mark.parametrize("path", ["/today", "/wall"])
def test_a_page_whose_buildings_are_yet_to_be_drawn_takes_a_thread(web, monkeypatch, path):
    """All tiles of an estate at once would keep everybody else waiting."""
    operator, threads = web.signed_in("operator"), []
    drawn = Board.shown
    monkeypatch.setattr(Board, "shown", lambda self, *args: threads.append(get_ident()) or drawn(self, *args))
    households(web)
    web.site.state.boards.clear()
    operator.get(path)
    operator.get(path)
    first, second = threads
    assert first != second
    web.site.state.overview._everything = True
    operator.get(path)
    assert threads[2] != second, "everything is read again"
    monkeypatch.setattr(charged, "RECENT_S", 0.0)
    operator.get(path)
    assert (threads[3] == second) is (path == "/wall"), "hours of charges may be left to sum up"


@pytest.mark.parametrize(("dialect", "same"), [("sqlite", True), ("postgresql", False)])
def test_only_a_database_that_is_a_file_is_read_at_once(dialect, same):
    connection = SimpleNamespace(dialect=SimpleNamespace(name=dialect))

    async def ask():
        return await deps.at_once(lambda conn: get_ident())(conn=connection) == get_ident()

    assert asyncio.run(ask()) is same


def test_a_steady_clock_is_asked_about_once_a_second(monkeypatch):
    asked, now = [], [100.0]
    monkeypatch.setattr(steady, "monotonic", lambda: now[0])

    def ask():
        asked.append(get_ident())
        return len(asked) == 1

    clock = steady.SteadyClock(ask)

    async def many():
        return set(await asyncio.gather(*[clock.sane() for _ in range(5)]))

    async def twice():
        first = await many()
        now[0] += steady.SANE_FOR_S
        return first, await many()

    assert asyncio.run(twice()) == ({True}, {False})
    assert len(asked) == 2
    assert get_ident() not in asked, "a thread waits for the answer"
