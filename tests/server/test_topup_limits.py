"""Limits of top-ups: refused before money is taken, and money that comes all the same is never lost."""

import pytest

from server.domain.payments import Limits
from server.errors import ConfigError, Refused
from server.intake.estate_file import read_estate
from tests.server.supply_stage import Stage
from tests.server.test_import_files import NOW_S, estate, write
from tests.server.test_payments import accept, agrees, call, event, order, verbs


@pytest.fixture
def stage(writer):
    return Stage(
        writer, households=2, opening_fen=0, topup_min_fen=2000, topup_max_fen=8000, balance_max_fen=10_000,
        sales_day_max_fen=9000,
    )  # fmt: skip


def test_online_and_kiosk_orders_keep_the_limits(stage):
    for amount_fen, why in ((1999, "at least 2000"), (8001, "at most 8000")):
        for channel in ("online", "kiosk"):
            with pytest.raises(Refused, match=why):
                order(stage, amount_fen=amount_fen, channel=channel)
    stage.pay(1, 5000)
    with pytest.raises(Refused, match="above 10000 fen; at most 5000 fen"):
        order(stage, amount_fen=5001)
    order(stage, amount_fen=5000)


def test_the_counter_keeps_the_limits_but_takes_small_cash(stage):
    stage.pay(1, 1, "sale-0000")
    with pytest.raises(Refused, match="at most 8000"):
        stage.pay(1, 8001)
    stage.pay(1, 8000, "sale-0001")
    with pytest.raises(Refused, match="above 10000 fen; at most 1999 fen"):
        stage.pay(1, 2000, "sale-0002")


def test_a_cashier_takes_no_more_than_the_days_limit(stage):
    stage.pay(1, 8000, "sale-0001")
    with pytest.raises(Refused, match="may take 9000 fen a day; 8000 fen were taken"):
        stage.pay(2, 1001, "sale-0002")
    stage.pay(2, 1000, "sale-0003")
    stage.wait(86_400)
    stage.pay(2, 1001, "sale-0004")


def test_a_third_party_is_refused_beyond_the_limit_and_may_try_less(stage):
    with pytest.raises(Refused, match="nothing was credited"):
        accept(stage, amount_fen=8001)
    accept(stage, amount_fen=8000)
    with pytest.raises(Refused, match="at most 2000 fen"):
        accept(stage, idem_key="k2", transaction_id="x2", body_sha256="b" * 64, amount_fen=2001)
    assert stage.balance(1) == 8000
    assert accept(stage, amount_fen=8000)["balance_fen"] == 8000, "a repeat gets its answer whatever the balance is"


def test_money_that_arrives_beyond_the_limit_is_credited_and_noted(stage):
    made = order(stage, amount_fen=8000)
    stage.pay(1, 5000)
    assert call(stage, event(made.order_no, amount_fen=8000)) == "credited"
    assert stage.balance(1) == 13_000
    assert verbs(stage).count("topup.beyond_limit") == 1
    agrees(stage)


def test_without_limits_of_its_own_an_estate_has_those_of_always():
    limits = Limits()
    assert [limits.problem(fen, 10**9) == "" for fen in (999, 1000, 500_000, 500_001)] == [False, True, True, False]
    assert limits.till_problem(10**9, 10**9) == ""
    assert not limits.is_hoard(10**12)


def test_a_repeated_sale_is_no_second_one_whatever_the_limits_say(stage):
    first = stage.pay(1, 8000)
    assert stage.pay(1, 8000) == first


def test_an_estate_file_sets_the_limits(tmp_path):
    def read(**limits):
        made = estate()
        return read_estate(write(tmp_path, {**made, "estate": {**made["estate"], **limits}}), NOW_S).estate

    site = read(topup_min="5.00", balance_max="3000.00", sales_day_max="20000.00")
    assert (site.topup_min_fen, site.topup_max_fen) == (500, 500_000)
    assert (site.balance_max_fen, site.sales_day_max_fen, site.refund_alone_max_fen) == (300_000, 2_000_000, 50_000)
    for name, value in (("topup_min", "0.00"), ("topup_max", "-1.00"), ("balance_max", "9.99"), ("topup_max", 5000)):
        with pytest.raises(ConfigError, match=name):
            read(**{name: value})
