"""Plain meters charged by columns are charged to the nanofen as by objects; whatever is not plain is left to these."""

from random import Random

import pytest

from server.domain.billing import Charging, DueRow, plan_steps
from server.domain.due_columns import DueColumns
from server.domain.plain_charges import charge_plain, split
from server.domain.tariff_calendar import TariffCalendar
from tests.server.estates import SINGLE, START_S, tariff

HOUR = 3600
CALENDARS = {SINGLE["id"]: TariffCalendar(tariff(SINGLE))}
PERIOD = CALENDARS[SINGLE["id"]].terms_at(START_S).tier_period_start


def row(number: int = 1, **changes: object) -> DueRow:
    """A plain meter that used 850 Wh in an hour."""
    values: dict[str, object] = dict.fromkeys(DueRow._fields)
    values |= {
        "meter_id": f"{number:012d}", "account_id": f"H{number:05d}", "tariff_id": SINGLE["id"], "install_no": 1,
        "seq": number, "ratio": 1, "start_at": START_S, "start_wh": 1_000, "end_at": START_S + HOUR, "end_wh": 1_850,
        "tier_period_start": PERIOD, "tier_period_wh": 0, "order_start": 0, "balance_fen": 5_000, "residue_nf": 0,
        "version": 1, "level": 0, "alarm1_fen": 3_000, "alarm2_fen": 1_000, "overdraft_fen": 0, "close_allowed_fen": 0,
    }  # fmt: skip
    return DueRow(**(values | changes))  # type: ignore[arg-type]


def by_objects(rows):
    accounts = {one.account_id: one.account() for one in rows}
    charging = Charging(accounts)
    for one in rows:
        charging.run(plan_steps(one.due(), CALENDARS[one.tariff_id], lambda *_: None) or ())
    return charging


def any_row(luck: Random, number: int) -> DueRow:
    start_wh = luck.choice((0, 1_000, 999_999_990))
    used_wh = luck.choice((0, 10, 850, luck.randrange(0, 300_000, 10)))
    rates = (None,) * 4 if luck.random() < 0.5 else (1, 2, 3, 4)
    return row(
        number, start_wh=start_wh, end_wh=(start_wh + used_wh) % 1_000_000_000, ratio=luck.choice((1, 1, 40)),
        tier_period_start=luck.choice((PERIOD, PERIOD - 86_400)), tier_period_wh=luck.choice((0, 199_900, 500_000)),
        balance_fen=luck.choice((5_000, 3_010, 1_005, 20, 0, -700)), residue_nf=luck.randrange(-(5 * 10**8), 5 * 10**8),
        level=luck.choice((0, 0, 1, 2, 3)), overdraft_fen=luck.choice((0, 500)), version=luck.randrange(1, 9),
        close_allowed_fen=luck.choice((0, 100)), **{f"end_rate{n}_wh": rates[n - 1] for n in range(1, 5)},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_columns_and_objects_agree_to_the_nanofen(seed):
    luck = Random(seed)
    rows = [any_row(luck, number) for number in range(1, 201)]
    plain, rest = split(DueColumns.of(rows), CALENDARS)
    assert (plain.due.rows(), rest) == (rows, [])
    charges, refused = charge_plain(plain)
    assert refused == []
    expected = by_objects(rows)
    assert list(charges.lines.tuples()) == [tuple(line)[1:] for line in expected.lines]
    assert charges.charged_fen == expected.charged_fen
    assert charges.crossings == list(expected.crossings.values())
    moved = {one.account_id for one in expected.lines}
    assert list(charges.balances.tuples()) == [
        (one.balance_fen, one.residue_nf, one.version, one.level, name, before.version)
        for (name, one), before in zip(expected.accounts.items(), rows, strict=True)
        if name in moved
    ]
    assert charges.silent == [(expected.accounts[name].level, name) for name in expected.crossings if name not in moved]
    for one, cursor in zip(rows, charges.cursors.tuples(), strict=True):
        tier = expected.tiers[one.meter_id]
        rates = one.due().end.rates_wh or (None,) * 4
        assert cursor == (
            one.end_at, one.end_wh, *rates, tier.period_start, tier.wh, 0, None, one.meter_id, one.install_no, one.seq,
        )  # fmt: skip


NOT_PLAIN = {
    "crosses a boundary": {"end_at": START_S + 40 * 86_400},
    "one rate is missing": {"end_rate1_wh": 1, "end_rate2_wh": 2, "end_rate3_wh": 3},
    "a step back": {"end_wh": 990},
    "a balance that the kernel does not hold": {"balance_fen": 4_611_686_018},
    "a debt that the kernel does not hold": {"balance_fen": -(2**63) + 1},
    "a tier counter that the kernel does not hold": {"tier_period_wh": 2**53 + 1},
    "a level that nobody knows": {"level": 260},
    "an alarm that the kernel does not hold": {"alarm1_fen": 2**31},
    "counts by rates": {"order_start": PERIOD, "order_rates_wh": "1,2,3,4"},
}


@pytest.mark.parametrize("changes", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_what_is_not_plain_is_left(changes):
    rows = [row(1), row(2, **changes), row(3)]
    plain, rest = split(DueColumns.of(rows), CALENDARS)
    assert (plain.due.rows(), rest) == ([rows[0], rows[2]], [rows[1]])
    assert len(plain.terms) == 2


def test_meters_that_share_an_account_are_left():
    rows = [row(1), row(2, account_id="H00001"), row(3)]
    plain, rest = split(DueColumns.of(rows), CALENDARS)
    assert (plain.due.rows(), rest) == ([rows[2]], rows[:2])


def test_a_row_that_the_kernel_refuses_is_given_back_and_its_neighbours_are_charged():
    much = row(2, ratio=1_048_576, end_wh=1_000 + 499_999_990, balance_fen=-4_611_686_000)
    rows = [row(1), much, row(3)]
    plain, rest = split(DueColumns.of(rows), CALENDARS)
    assert rest == []
    charges, refused = charge_plain(plain)
    assert refused == [much]
    assert charges.cursors.columns[10].values() == [rows[0].meter_id, rows[2].meter_id]
    assert by_objects([much]).wide == 1


def test_nothing_to_charge_is_nothing():
    charges, refused = charge_plain(split(DueColumns.of([]), {})[0])
    assert (list(charges.lines.tuples()), charges.charged_fen, refused) == ([], 0, [])
