"""Fetching bill files: after ten in the morning, each day once, up to a week back, one provider by itself."""

import pytest

from server.clock import Now
from server.domain.reconciliation import bounds_ms
from server.flows import payments
from server.jobs.reconciliation import ReconciliationJob
from server.pay.provider import ProviderUnavailable
from server.store.writer import Writer
from tests.server.books import rows
from tests.server.estates import ESTATE, account_id, plant
from tests.server.test_jobs_orders import Payer, StandingClock
from tests.server.test_reconciliation import paid

DAY = "2026-11-26"
START_MS, END_MS = bounds_ms(DAY)
HOUR_MS = 3600 * 1000


class Bank(Payer):
    """A provider with bill files."""

    def __init__(self, name="sandbox"):
        super().__init__(name)
        self.files, self.fetched, self.down = {}, [], False

    async def bill(self, day):
        self.fetched.append(day)
        if self.down or day not in self.files:
            raise ProviderUnavailable("not there yet")
        return repr(self.files[day]).encode()

    def read_bill(self, content):
        return eval(content, {"BillRow": type(paid())})


@pytest.fixture
def desk(sqlite_engine):
    class Desk:
        def __init__(self):
            self.writer, self.clock, self.bank = Writer(sqlite_engine), StandingClock(), Bank()
            self.engine = sqlite_engine
            plant(self.writer, 1)
            self.clock.instant = Now(self.clock.instant.world_s, START_MS + 12 * HOUR_MS)
            self.order_no = self.writer.run(
                lambda unit: payments.create_order(
                    unit, ESTATE, account_id(1), 5000, "sandbox", "online", "anna", self.clock.now()
                )
            ).order_no
            event = self.bank.pays(self.order_no, 5000, transaction_id="t1", paid_ms=START_MS + 12 * HOUR_MS)
            self.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=self.clock.now()))
            self.job = self.new_job(self.bank)

        def new_job(self, *banks):
            providers = {bank.name: bank for bank in banks}
            return ReconciliationJob(self.engine, self.writer, self.clock, ESTATE, providers=providers)

        def at(self, ms):
            self.clock.instant = Now(self.clock.instant.world_s, ms)
            self.job.run_once()

        def cases(self):
            return [row["status"] for row in rows(self.engine, "anomaly_case")]

    made = Desk()
    yield made
    made.writer.stop()


def test_the_file_of_a_day_is_fetched_once_from_ten_in_the_morning_on(desk):
    desk.bank.files[DAY] = [paid("t1")]
    desk.at(END_MS + 10 * HOUR_MS - 1)
    assert desk.bank.fetched == []
    desk.at(END_MS + 10 * HOUR_MS)
    desk.at(END_MS + 11 * HOUR_MS)
    assert desk.bank.fetched == [DAY]
    [file] = rows(desk.engine, "bill_file")
    assert (file["day"], file["source"], file["actor"], file["rows"]) == (DAY, "fetched", "system", 1)
    assert desk.cases() == []


def test_a_file_that_is_not_there_is_asked_for_again(desk):
    desk.at(END_MS + 10 * HOUR_MS)
    desk.bank.files[DAY] = []
    desk.at(END_MS + 11 * HOUR_MS)
    assert desk.bank.fetched == [DAY, DAY]
    assert desk.cases() == ["open"], "what is booked here is missing there"


def test_a_provider_that_is_down_holds_up_no_other(desk, caplog):
    broken = Bank("alipay")
    desk.bank.files[DAY], broken.down = [paid("t1")], True
    desk.writer.run(lambda unit: unit.connection.exec_driver_sql("UPDATE payment SET provider = provider") and None)
    desk.job = desk.new_job(broken, desk.bank)
    broken.fetched = desk.bank.fetched
    desk.at(END_MS + 10 * HOUR_MS)
    assert len(rows(desk.engine, "bill_file")) == 1


def test_what_was_late_explains_a_difference_within_the_hour(desk):
    desk.bank.files[DAY] = [paid("t1"), paid("t2")]
    desk.at(END_MS + 10 * HOUR_MS)
    assert desk.cases() == ["open"]
    event = desk.bank.pays("unknown", 5000, transaction_id="t2")
    desk.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=desk.clock.now()))
    desk.at(END_MS + 11 * HOUR_MS)
    assert desk.cases() == ["closed"]


def test_a_file_that_cannot_be_read_is_not_kept(desk, monkeypatch, caplog):
    desk.bank.files[DAY] = [paid("t1", at_ms=END_MS)]
    desk.at(END_MS + 10 * HOUR_MS)
    assert rows(desk.engine, "bill_file") == []
    assert "not of 2026-11-26" in caplog.text


def test_a_file_that_cannot_be_read_holds_up_no_later_day(desk, caplog):
    later = "2026-11-27"
    desk.bank.files = {DAY: [paid("t1", at_ms=END_MS)], later: [paid("t2", at_ms=END_MS)]}
    desk.at(END_MS + 34 * HOUR_MS)
    assert desk.bank.fetched == [DAY, later]
    assert [row["day"] for row in rows(desk.engine, "bill_file")] == [later]
