"""Recharges and settings in the simulator's meters that keep the credit, over the collector and a pty; the simulator's
truth says what each meter has got."""

import json
import threading
import urllib.request
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from core.dlt645.commands import Write
from core.dlt645.prepaid import AuthenticateIdentity, QueryStatus, Recharge
from core.dlt645.search import Heard
from core.vending import DummyVendingBackend, VendingUnavailable
from server.clock import Clock
from server.collect.passwords import Passwords
from server.collect.ports import is_simulated
from server.collect.supervisor import Supervisor
from server.collect.work import Clocks, as_stored
from server.domain.estate_document import BusEntry
from server.domain.local_fee import LOCAL
from server.errors import ConfigError
from server.flows import recharges as flows
from server.flows.estates import import_estate
from server.flows.verification import verify
from server.jobs.collecting import bus_plans
from server.jobs.recharges import RechargeJob
from server.store import recharges as kept
from server.store import schema
from server.store.engine import reader
from server.store.estates import get_account
from server.store.writer import Writer
from server.vending import open_backend
from tests.e2e.hall import SCENARIO, home, simulated
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink
from tests.server.estates import ESTATE, account_id, at, document, household, meter_id

METERS = 6
CUSTOMER = "000000000000"  # of a meter whose account was never opened


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """Six meters with 50 yuan of credit each on one pty."""
    folder = tmp_path_factory.mktemp("wallets")
    homes = [home(n, meter_id(n), 1, more="local_credit_fen = 5000\n") for n in range(1, METERS + 1)]
    with simulated(folder, SCENARIO + "".join(homes)) as port:
        yield str(port), json.loads((folder / "sim.json").read_text("utf-8"))["control_url"]


class Site:
    """A store, a collector on the simulator's bus, and the job; `meddle(command, ask)` may come between."""

    def __init__(self, engine, port):
        homes = [household(n, fee=LOCAL, customer=CUSTOMER) for n in range(1, METERS + 1)]
        planned = document(homes)
        object.__setattr__(planned, "buses", (BusEntry("bus-1", port, 9600, "E", reply_delay_max_ms=200),))
        object.__setattr__(planned, "gates", ())
        self.engine, self.clock, self.writer = engine, Clock(), Writer(engine)
        self.writer.run(lambda unit: import_estate(unit, planned, at()))
        with reader(engine) as connection:
            plans = bus_plans(connection, ESTATE)
        clocks = Clocks(self.clock.world_seconds, lambda: self.clock.now().machine_ms)
        self.collector = Supervisor(plans, RememberingSink(), ChangingOrders(), clocks)
        self.collector.start()
        self.sent = []
        self.meddle = None
        self.passwords = Passwords(as_stored, lambda: datetime.fromtimestamp(self.clock.now().world_s, UTC))
        self.job = self.with_backend(DummyVendingBackend())

    def with_backend(self, backend, simulated=is_simulated):
        return RechargeJob(
            self.engine, self.writer, self.clock, ESTATE, ask=self._ask, backend=backend, is_simulated=simulated,
            unlock=self.passwords,
        )  # fmt: skip

    def _ask(self, bus_id, command):
        self.sent.append(command)
        if self.meddle is not None and (answer := self.meddle(command)) is not None:
            return answer
        return self.collector.ask(bus_id, command, 0.0)

    def order(self, number, amount_fen=1000, key="order-0001"):
        return self.writer.run(
            lambda unit: flows.order_recharge(
                unit, ESTATE, account_id(number), amount_fen, key=key, actor="lin", now=self.clock.now()
            )
        )

    def row(self, recharge_id):
        with reader(self.engine) as connection:
            return dict(kept.get_recharge(connection, ESTATE, recharge_id))

    def balance(self, number):
        with reader(self.engine) as connection:
            return get_account(connection, ESTATE, account_id(number))["balance_fen"]

    def due_again(self):
        """Let everything that waits for its next try be due."""
        for table in (schema.recharge, schema.meter_setting):
            update = table.update().values(next_ms=0)
            self.writer.run(lambda unit, update=update: unit.connection.execute(update) and None)

    def recharges_sent(self):
        return [one.credit.count for one in self.sent if isinstance(one, Recharge)]

    def stop(self):
        self.collector.stop()
        self.writer.stop()


@pytest.fixture
def site(sqlite_engine, simulator):
    made = Site(sqlite_engine, simulator[0])
    yield made
    made.stop()
    with reader(sqlite_engine) as connection:
        assert verify(connection, ESTATE).mismatches == ()


def credit_fen(simulator, number):
    """What the meter has, by the simulator's own books; a watt of load takes less than a fen meanwhile."""
    with urllib.request.urlopen(simulator[1] + "/truth", timeout=20) as answer:
        truth = json.load(answer)
    homes = truth if isinstance(truth, list) else truth["households"]
    [home] = [one for one in homes if one["meter"] == meter_id(number)]
    return home["credit_fen"]


def silence():
    answer = Future()
    answer.set_result(Heard((), 0, 0.0))
    return answer


def test_a_recharge_reaches_the_meter_and_its_record_proves_it(site, simulator):
    one = site.order(1)
    site.job.run_once()
    row = site.row(one)
    assert (row["status"], row["purchase_count"], row["detail"]) == ("booked", 1, "count 1, proven by its record")
    assert 5990 <= row["remaining_fen"] <= 6000
    assert 5990 <= credit_fen(simulator, 1) <= 6000
    assert site.balance(1) == 4000
    two = site.order(1, 500, "order-0002")
    site.job.run_once()
    assert (site.row(two)["status"], site.row(two)["purchase_count"]) == ("booked", 2)


def test_a_recharge_whose_answer_was_lost_is_decided_by_the_count_and_never_sent_again(site, simulator):
    def lose(command):
        if not isinstance(command, Recharge):
            return None
        site.collector.ask("bus-1", command, 0.0).result(20)  # it arrives, and its answer does not
        return silence()

    site.meddle = lose
    one = site.order(2)
    site.job.run_once()
    assert site.row(one)["status"] == "booked"
    assert site.recharges_sent() == [1]
    assert 5990 <= credit_fen(simulator, 2) <= 6000


def test_a_line_that_dies_after_the_recharge_leaves_it_open_until_the_meter_answers(site, simulator):
    sent = threading.Event()

    def die(command):
        if isinstance(command, Recharge):
            site.collector.ask("bus-1", command, 0.0).result(20)
            sent.set()
        return silence() if sent.is_set() else None

    site.meddle = die
    one = site.order(3)
    site.job.run_once()
    assert (site.row(one)["status"], site.row(one)["detail"]) == ("running", "the purchase count could not be read")
    assert site.balance(3) == 4000
    two = site.order(3, 700, "order-0002")
    site.due_again()
    site.meddle = None
    site.job.run_once()
    assert (site.row(one)["status"], site.recharges_sent()) == ("booked", [1])  # the new one has not overtaken it
    site.job.run_once()
    assert (site.row(two)["status"], site.recharges_sent()) == ("booked", [1, 2])
    assert 6690 <= credit_fen(simulator, 3) <= 6700


def test_a_recharge_that_never_arrived_is_sent_again_with_the_same_count(site, simulator):
    lost = []

    def swallow(command):
        if isinstance(command, Recharge) and not lost:
            lost.append(command)
            return silence()
        return None

    site.meddle = swallow
    one = site.order(4)
    site.job.run_once()
    assert site.row(one)["status"] == "booked"
    assert site.recharges_sent() == [1, 1]
    assert 5990 <= credit_fen(simulator, 4) <= 6000


def test_a_refused_recharge_gives_the_money_back(site, simulator):
    class WrongKeys(DummyVendingBackend):
        def seal_credit(self, session, di, credit):
            macs = super().seal_credit(session, di, credit)
            return type(macs)(b"\0\0\0\0", macs.mac_2)

    one = site.order(5)
    site.with_backend(WrongKeys()).run_once()
    row = site.row(one)
    assert (row["status"], site.balance(5)) == ("refused", 5000)
    assert "ESAM" in row["detail"]
    assert 4990 <= credit_fen(simulator, 5) <= 5000


@pytest.mark.parametrize(
    ("backend", "simulated", "said"),
    [
        (None, is_simulated, "no vending backend is configured"),
        (DummyVendingBackend(), lambda _url: False, "is for simulated meters only"),
    ],
)
def test_without_a_fit_backend_nothing_is_sent_and_the_money_waits(site, backend, simulated, said):
    one = site.order(5, key="order-0009")
    site.with_backend(backend, simulated).run_once()
    assert said in site.row(one)["detail"]
    assert (site.row(one)["status"], site.sent, site.balance(5)) == ("waiting", [], 4000)


def test_a_backend_that_is_away_refuses_before_anything_was_sent(site):
    class Away(DummyVendingBackend):
        def identity(self, address, nonce):
            raise VendingUnavailable("no licence")

    one = site.order(5, key="order-0010")
    site.with_backend(Away()).run_once()
    assert (site.row(one)["status"], site.row(one)["detail"]) == ("refused", "the vending backend did not answer")
    assert not any(isinstance(command, Recharge | AuthenticateIdentity) for command in site.sent)


def test_a_status_that_nobody_vouches_for_issues_no_count(site):
    class Doubting(DummyVendingBackend):
        def vouches_for(self, address, status):
            return False

    one = site.order(5, key="order-0011")
    site.with_backend(Doubting()).run_once()
    row = site.row(one)
    assert (row["status"], row["purchase_count"], "wrong MAC" in row["detail"]) == ("waiting", None, True)
    assert [type(command) for command in site.sent] == [QueryStatus]


def want(site, number, **wanted):
    site.writer.run(
        lambda unit: flows.want_settings(unit, ESTATE, account_id(number), wanted, actor="zhou", now=site.clock.now())
    )


def settings(site, number):
    with reader(site.engine) as connection:
        rows = kept.settings_of(connection, ESTATE, meter_id(number))
        return {row["name"]: (row["status"], row["shown"]) for row in rows}


def test_limits_and_prices_are_written_and_read_back(site):
    want(site, 6, alarm1_fen=3000, close_allowed_fen=100, price_peak_nf_per_wh=66_290_000)
    site.job.run_once()
    assert settings(site, 6) == {
        "alarm1_fen": ("confirmed", 3000), "close_allowed_fen": ("confirmed", 100),
        "price_peak_nf_per_wh": ("confirmed", 66_290_000),
    }  # fmt: skip
    site.sent.clear()
    want(site, 6, alarm1_fen=3000)
    site.job.run_once()
    assert len(site.sent) == 1  # it shows the figure already: read, not written


def test_a_write_that_is_refused_is_said_and_fails_in_the_end(site):
    site.writer.run(lambda unit: unit.connection.execute(schema.meter.update().values(password="999999")) and None)
    want(site, 6, alarm2_fen=1234)
    for _ in range(5):
        site.job.run_once()
        site.due_again()
    with reader(site.engine) as connection:
        [row] = kept.settings_of(connection, ESTATE, meter_id(6))
    assert (row["status"], row["shown"]) == ("failed", 0)
    assert "refused its password 2 times today" in row["detail"]
    assert sum(isinstance(one, Write) for one in site.sent) == 2, "more would lock the meter"


def test_a_write_that_is_taken_sets_the_count_of_refusals_back(site):
    with reader(site.engine) as connection:
        stored = connection.execute(select(schema.meter.c.password).where(schema.meter.c.meter_id == meter_id(6)))
        password = stored.scalar_one()
    site.passwords.refused(meter_id(6), password)
    want(site, 6, alarm2_fen=1234)
    site.job.run_once()
    assert settings(site, 6) == {"alarm2_fen": ("confirmed", 1234)}
    site.passwords.refused(meter_id(6), password)
    assert site.passwords(meter_id(6), password) == password


def test_the_dummy_is_opened_by_name_and_others_by_entry_point(monkeypatch):
    class Point:
        name = "hsm"
        made = DummyVendingBackend

        def load(self):
            return self.made

    monkeypatch.setattr("server.vending.entry_points", lambda group: [Point()])
    assert open_backend("") is None
    assert isinstance(open_backend("dummy"), DummyVendingBackend)
    assert isinstance(open_backend("hsm"), DummyVendingBackend)
    with pytest.raises(ConfigError, match="not installed; allowed: dummy, hsm"):
        open_backend("other")
    Point.made = dict
    with pytest.raises(ConfigError, match="is no vending backend; it lacks"):
        open_backend("hsm")
    Point.made = None
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_backend("hsm")


def test_where_only_a_simulation_can_be(simulator):
    assert is_simulated(simulator[0])
    assert is_simulated("tcp://127.0.0.1:4001")
    assert not any(is_simulated(url) for url in ("/dev/null", "/dev/absent", "tcp://10.0.0.9:4001", "dtu://A1"))
