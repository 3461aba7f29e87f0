"""`estate645 explain`: bills worked out again from readings and tariff, and figures that were booked otherwise."""

import argparse
import json
from dataclasses import replace

import pytest
from sqlalchemy import update

from core.reading import Verdict
from server.cli import explain as command
from server.cli.languages import error_in_chinese
from server.domain.bills import Difference, bill_name
from server.domain.verification_bookings import KINDS, OF_CHARGES
from server.errors import NotFound
from server.flows.bills import explain
from server.store.engine import begin_writing, reader
from server.store.schema import line
from server.store.schema import reading as readings
from server.web.bill_words import MEANINGS, difference_said, line_said
from server.web.formats import Formats
from server.web.words import LEDGER
from tests.server.books import HOUR, agrees, charge, read, reading, top_up
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, household, plant
from tests.server.test_billing import MIDNIGHT_NOV
from tests.server.test_billing_orders import shanghai, use
from tests.server.test_exchanges import NEW, change_ratio, new_reading
from tests.server.test_exchanges import replace as replace_meter
from tests.server.test_voiding import take_back

DAY = 24 * HOUR
LEVIED = {**SINGLE, "versions": [SINGLE["versions"][0] | {"levies": "0.00866875"}]}


def told(engine, name):
    with reader(engine) as connection:
        return explain(connection, ESTATE, name)


def agreed(engine, name):
    bill = told(engine, name)
    assert bill.differences == ()
    return bill


@pytest.fixture
def month(engine, writer):
    """A household that crosses both limits in October and a tariff month at its freeze, and pays once."""
    plant(writer, [household(1, opening_fen=100_000, max_power_w=500_000)], tariffs=(LEVIED, BY_RATES))
    read(writer, reading(1, HOUR, 1_000_000 + 150_000))
    charge(writer, HOUR)
    top_up(writer, 1, 5_000, "cash-1")
    read(writer, reading(1, 2 * DAY, 1_000_000 + 450_000))
    charge(writer, 2 * DAY)
    read(writer, reading(1, MIDNIGHT_NOV + HOUR, 1_000_000 + 460_000))
    charge(writer, MIDNIGHT_NOV + HOUR)
    return engine


def test_a_step_over_two_limits_is_worked_out_tier_by_tier(month):
    bill = agreed(month, "H0001:4")
    (one,) = bill.lines
    assert [(part.tier, part.energy_wh) for part in one.derived.parts] == [(1, 50_000), (2, 200_000), (3, 50_000)]
    assert one.derived.tier_from_wh == 150_000
    assert one.derived.charge_nf == 50_000 * 58_886_875 + 200_000 * 63_886_875 + 50_000 * 88_886_875
    assert one.derived.levies_nf == 300_000 * 866_875
    assert one.derived.end_source == "live"
    assert bill.balance_before_fen + one.booked.line.amount_fen == bill.balance_after_fen


def test_a_boundary_without_a_reading_is_cut_by_time_again(month):
    bill = agreed(month, "H0001:5")
    assert bill.lines[0].derived.end_source == "split"
    following = agreed(month, "H0001:6")
    assert following.lines[0].derived.tier_from_wh == 0, "the tiers begin anew with November"
    assert following.lines[0].derived.end_source == "live"


@pytest.mark.parametrize("late_wh", [1_450_000, 1_451_000, 1_460_000])
def test_a_reading_that_came_after_the_charge_over_its_boundary_changes_no_bill(month, writer, late_wh):
    assert read(writer, reading(1, MIDNIGHT_NOV, late_wh)) == [Verdict.FILLED]
    assert [agreed(month, f"H0001:{number}").lines[0].derived.end_source for number in (5, 6)] == ["split", "live"]
    agreed(month, "H0001:2026-10")
    agrees(month)
    with begin_writing(month) as connection, connection.begin():
        connection.execute(update(readings).where(readings.c.verdict == "filled").values(verdict="accepted"))
    assert told(month, "H0001:5").differences, "what was known then decides"


def test_what_is_charged_again_over_several_readings_is_cut_between_those_around_the_boundary(engine, writer):
    plant(writer, [household(1)], tariffs=(LEVIED, BY_RATES))
    for at_s, wh in ((HOUR, 100), (2 * HOUR, 300), (MIDNIGHT_NOV - HOUR, 400), (MIDNIGHT_NOV + 2 * HOUR, 510)):
        read(writer, reading(1, at_s, 1_000_000 + wh))
        charge(writer, at_s)
    take_back(writer, HOUR)
    assert [one.derived.energy_wh for one in agreed(engine, "H0001:2026-11").lines if one.derived] == [110 - 37]
    agreed(engine, "H0001:2026-10")
    agrees(engine)


def test_a_fen_is_told_as_a_fen():
    said = difference_said(Difference("amount_fen", -1, -2), str)
    assert said.startswith("amount: booked \N{MINUS SIGN}¥0.01, worked out \N{MINUS SIGN}¥0.02")


def test_a_month_and_a_day_add_up(month):
    october, november = agreed(month, "H0001:2026-10"), agreed(month, "H0001:2026-11")
    assert [one.booked.line.account_version for one in october.lines] == [1, 2, 3, 4, 5]
    assert (october.balance_before_fen, october.other_fen) == (0, 105_000)
    assert october.balance_after_fen == november.balance_before_fen
    assert october.balance_after_fen == 105_000 - october.charged_fen
    assert sum(one.charge_nf for one in october.parts) == october.charge_nf
    assert sum(one.part.energy_wh for one in october.parts) == october.energy_wh
    assert agreed(month, "H0001:2026-10-15").energy_wh == 300_000
    assert agreed(month, "H0001").name == bill_name("H0001:6")
    agrees(month)


def test_shares_over_the_settlement_period_are_worked_out_again(engine, writer):
    shanghai(writer, "proportional")
    use(writer, 7 * DAY, 0, 1_400_000)
    use(writer, 18 * DAY, 2_100_000, 1_400_000)
    bill = agreed(engine, "H0001:2026-10")
    assert bill.charge_nf == 174_374_000_000_000
    assert agreed(engine, "H0001:3").charge_nf + agreed(engine, "H0001:2").charge_nf == bill.charge_nf


def test_a_new_meter_and_a_new_ratio_go_on_with_the_tiers(engine, writer):
    plant(writer, [household(1, opening_fen=100_000, max_power_w=500_000)])
    read(writer, reading(1, DAY, 1_000_000 + 150_000))
    charge(writer, DAY)
    replace_meter(writer, 2 * DAY, 1_160_000)
    read(writer, new_reading(3 * DAY, 30_120))
    charge(writer, 3 * DAY)
    bill = agreed(engine, "H0001:2026-10")
    assert bill.energy_wh == 190_000
    assert agreed(engine, "H0001").lines[0].derived.tier_from_wh == 160_000
    assert agreed(engine, "H0001").lines[0].booked.line.meter_id == NEW


def test_a_ratio_multiplies_the_energy(engine, writer):
    plant(writer, [household(1, opening_fen=1_000_000, max_power_w=500_000)])
    read(writer, reading(1, DAY, 1_010_000))
    charge(writer, DAY)
    change_ratio(writer, 2 * DAY, 30)
    read(writer, reading(1, 3 * DAY, 1_022_340))
    charge(writer, 3 * DAY)
    assert agreed(engine, "H0001").energy_wh == 370_200
    assert agreed(engine, "H0001:2026-10").energy_wh == 380_200


def unguard(engine):
    with begin_writing(engine) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP TRIGGER line_append_only ON line")
        else:
            connection.exec_driver_sql("DROP TRIGGER line_no_UPDATE")


EDITS = {
    "charge_nf": 1, "amount_fen": -1, "residue_after_nf": 7, "balance_after_fen": 100, "tier_from_wh": 10,
    "from_wh": 10, "to_wh": 10, "tier_period_start": 60,
}  # fmt: skip


def test_every_figure_that_was_booked_otherwise_is_named(month):
    unguard(month)
    for column, shift in EDITS.items():
        place = line.c.account_version == 4
        for sign in (1, -1):
            with begin_writing(month) as connection, connection.begin():
                connection.execute(
                    update(line)
                    .where(place, line.c.account_id == "H0001")
                    .values({column: line.c[column] + sign * shift})
                )
            found = {one.what for one in told(month, "H0001:4").differences}
            assert (column in found) == (sign == 1), column


def test_a_register_that_was_read_otherwise_is_named(month):
    with begin_writing(month) as connection, connection.begin():
        connection.execute(
            update(readings).where(readings.c.read_at == START_S + 2 * DAY).values(total_wh=readings.c.total_wh - 10)
        )
    found = {one.what: (one.booked, one.derived) for one in told(month, "H0001:4").differences}
    assert found["to_wh"] == (1_450_000, 1_449_990)
    assert "charge_nf" in found


def test_a_register_that_nobody_read_is_named(month):
    with begin_writing(month) as connection, connection.begin():
        connection.execute(readings.delete().where(readings.c.read_at == START_S + 2 * DAY))
    assert "to_wh" in {one.what for one in told(month, "H0001:4").differences}


@pytest.mark.parametrize("name", ["H0001:99", "H0001:2027-01", "H0009:1", "H0001:2026-13", "H0001:x", "H0009", ":", ""])
def test_a_bill_that_does_not_exist_is_said(month, name):
    with pytest.raises(NotFound):
        told(month, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("H0001:99", "没有账单 H0001:99：当时没有入账"),
        ("H0009:1", "本小区没有账户"),
        ("H0001:x", "'H0001:x' 不是账单名"),
        ("H0001:2026-13", "没有这一天"),
    ],
)
def test_a_bill_that_does_not_exist_is_said_in_both_languages(month, name, said):
    with pytest.raises(NotFound) as absent:
        told(month, name)
    assert said in error_in_chinese(absent.value)
    assert error_in_chinese(NotFound("the running server has no bus 'x'; it has: a, b")).endswith("有：a, b")
    assert error_in_chinese(NotFound("something else")) == "something else"


def test_an_account_that_was_never_charged_has_a_name_but_no_charge_yet(engine, writer):
    plant(writer, [household(1, opening_fen=100)])
    with pytest.raises(NotFound, match="'H0001' has no charge yet; name a month, as in H0001:2026-10,") as absent:
        told(engine, "H0001")
    assert error_in_chinese(absent.value) == "账户 'H0001' 还没有扣费；查看其他入账请写月份，例如 H0001:2026-10"
    with pytest.raises(NotFound, match="names no bill"):
        told(engine, "H0009")


@pytest.mark.parametrize("name", ["H0001:7", "1-1202:2026-10-13", "a:b:2026-02", "x:0001-12"])
def test_a_name_is_written_as_it_is_read(name):
    assert str(bill_name(name)) == name


def test_the_last_month_of_a_year_ends_with_it():
    assert bill_name("x:2026-12").last.isoformat() == "2027-01-01"


def run(engine, *arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["explain", *arguments, "--database", engine.url.render_as_string(hide_password=False)])
    return parsed.run(parsed)


def test_the_command_says_it_in_both_languages_and_in_json(month, capsys):
    assert run(month, "H0001:4") == 0
    shown = capsys.readouterr().out
    assert "Tier 2: 200.00 kWh × 0.63886875 yuan = 12777.375 fen" in shown.replace(",", "")
    assert "二档：200.00 kWh × 0.63886875 元 = 12777.375 分" in shown.replace(",", "")
    assert run(month, "H0001:2026-10", "--lang", "zh", "--lines") == 0
    shown = capsys.readouterr().out
    assert "按时间分摊" in shown
    assert "Tier" not in shown
    assert run(month, "H0001:2026-10", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["bill"], len(document["lines"]), document["differences"]) == ("H0001:2026-10", 5, [])


def test_a_difference_is_said_and_ends_with_exit_code_1(month, capsys):
    unguard(month)
    with begin_writing(month) as connection, connection.begin():
        connection.execute(update(line).where(line.c.account_version == 4).values(charge_nf=line.c.charge_nf + 10**9))
    for name in ("H0001:4", "H0001:2026-10", "H0001:2026-10-15"):
        assert run(month, name) == 1
        shown = capsys.readouterr().out
        assert "DIFFER" in shown
        assert "不一致" in shown


def test_every_line_is_called_what_the_pages_call_it_and_says_what_it_is(month):
    unsaid = {"archive", "head", "rules"}  # of accounts that are no household's
    assert (KINDS | OF_CHARGES) - set(LEDGER) == unsaid
    assert set(MEANINGS) <= set(LEDGER)
    assert command.kind_said("recovery_return", "both") == "Back from debts / 欠款抵扣退回"
    (paid,) = told(month, "H0001:3").lines
    instalment = replace(paid, booked=replace(paid.booked, kind="instalment"))
    meanings = [
        [row.text for row in line_said(one, Formats(str, "Asia/Shanghai", 0), str) if row.label == "Meaning"]
        for one in (paid, instalment)
    ]
    assert meanings == [[], [MEANINGS["instalment"]]]
