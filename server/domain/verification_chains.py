"""Thousands of lines checked at once, by NumPy: account chains, meter chains and charges.

The arrays only screen. A line that they do not find right in every way is taken to the exact checks of
`server.domain.verification`, in Python integers, which say what is wrong with it, or that nothing is (numbers beyond
the arrays' range, tariffs whose tiers price each rate differently). After a line that is wrong the chain goes on
from what it says, so that one error is told once. Charges are computed from tariff and registers by formulas of
this module, not by the kernel that made them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from core.units import NF_PER_FEN, REGISTER_MODULUS_WH, WH_PER_STEP
from server.domain.archive import AccountStanding, MeterStanding
from server.domain.billing import NO_RATES, rates_from
from server.domain.line_words import ABSENT, RATE_COUNT, LineWords, Words
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import AccountChain, Ended, Findings, Installed, MeterChain, Reached
from server.domain.verification_terms import UNKNOWN, TermsTable

HALF_MAX = 2**62  # sums of two such numbers stay in int64
STEP_MAX_WH = 2**29  # times a price below 2^31, and seven of them, stays in int64
COUNTER_MAX_WH = 2**53
RATIO_MAX = 2**20
SPAN_MAX_S = 2**31
SECONDS_PER_HOUR = 3600
Mask = NDArray[np.bool_]


class _Grouped:
    """Rows sorted by a number each, in order within it, and where each group begins and ends."""

    def __init__(self, numbers: Words) -> None:
        self.order = np.argsort(numbers, kind="stable")
        self.numbers = numbers[self.order]
        self.first = np.ones(len(numbers), np.bool_)
        np.not_equal(self.numbers[1:], self.numbers[:-1], out=self.first[1:])
        self.last = np.roll(self.first, -1)

    def before(self, values: Words, standing: Words) -> Words:
        """What stood before each row: the value of the row before it, or `standing` of its group."""
        return np.where(self.first, standing[self.numbers], np.roll(values, 1))

    def keep(self, values: Words, standing: Words) -> None:
        """Let each group stand at its last value."""
        standing[self.numbers[self.last]] = values[self.last]


def _grown(values: Words, size: int, fill: int = 0) -> Words:
    if size <= len(values):
        return values
    return np.concatenate([values, np.full(max(size, 2 * len(values)) - len(values), fill, np.int64)])


def _text(rates_wh: Iterable[int]) -> str:
    return ",".join(map(str, rates_wh))


class AccountBooks:
    """Where all accounts stand, by their number among the names."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.names: list[str] = []
        self._balance = self._residue = self._version = np.zeros(0, np.int64)
        self._begun: dict[str, AccountStanding] = {}
        self._known = 0

    def stand(self, accounts: Iterable[AccountStanding]) -> None:
        """Let all accounts stand there, whatever was seen so far."""
        self._begun = {one.account_id: one for one in accounts}
        for values in (self._balance, self._residue, self._version):
            values[:] = 0
        self._known = 0
        self._begin()

    def standing(self) -> list[AccountStanding]:
        """Where the accounts with lines stand, by their ids."""
        rows = zip(self.names, self._balance.tolist(), self._residue.tolist(), self._version.tolist(), strict=False)
        return sorted([AccountStanding(*row) for row in rows] + self._unseen())

    def _unseen(self) -> list[AccountStanding]:
        names = set(self.names)
        return [one for name, one in self._begun.items() if name not in names]

    def _begin(self) -> None:
        """Let accounts whose first line comes now stand where they were said to."""
        for number in range(self._known, len(self.names)) if self._begun else ():
            if was := self._begun.get(self.names[number]):
                self._balance[number], self._residue[number], self._version[number] = was[1:]
        self._known = len(self.names)

    def take(self, lines: LineWords) -> None:
        """Follow the lines of a window."""
        self.names = lines.names["account_id"].texts
        size = len(self.names)
        self._balance, self._residue = _grown(self._balance, size), _grown(self._residue, size)
        self._version = _grown(self._version, size)
        self._begin()
        groups = _Grouped(lines["account_id"])
        order = groups.order
        amount, charge = lines["amount_fen"][order], lines["charge_nf"][order]
        balance, residue, version = (
            lines[name][order] for name in ("balance_after_fen", "residue_after_nf", "account_version")
        )
        standing = [
            groups.before(values, own)
            for values, own in ((balance, self._balance), (residue, self._residue), (version, self._version))
        ]
        charged = (lines["meter_id"][order] >= 0) | (charge != 0)
        owed = np.where(charged, charge + standing[1], 0)
        posted = (owed + NF_PER_FEN // 2) // NF_PER_FEN
        right = (
            (version == standing[2] + 1)
            & (balance == standing[0] + amount)
            & np.where(charged, (amount == -posted) & (residue == owed - posted * NF_PER_FEN), residue == standing[1])
            & (np.abs(charge) < HALF_MAX)
            & (np.abs(residue) < NF_PER_FEN)
            & (np.abs(amount) < HALF_MAX)
            & (np.abs(balance) < HALF_MAX)
            & (version < HALF_MAX)
        )
        for at in np.flatnonzero(~right):
            row = int(order[at])
            was = AccountChain(*(int(values[at]) for values in standing))
            was.take(self.found, lines.line(row), int(lines["batch_seq"][row]))
        for values, own in ((balance, self._balance), (residue, self._residue), (version, self._version)):
            groups.keep(values, own)

    def close(self, rows: Iterable[tuple[str, int, int, int]]) -> int:
        """Compare with the accounts' own rows (id, balance, residue, version); returns how many there are."""
        standing = {one.account_id: one[1:] for one in self.standing()}
        count = 0
        for account_id, *stored in rows:
            count += 1
            was = standing.pop(account_id, (0, 0, 0))
            if tuple(stored) != was:
                AccountChain(*was).close(self.found, account_id, *stored)
        for account_id in standing:
            self.found.note(2, f"account {account_id}", "has lines but does not exist")
        return count


class MeterBooks:
    """Where the charges of all meters stand, by their place in the list of installations, the present ones first.

    `ended` are installations that an exchange ended; `released` says when readings were taken that a person released,
    `revoked` which ones a person took back after they had been charged: what went by them has to be mirrored.
    """

    def __init__(
        self,
        found: Findings,
        meters: Sequence[Installed],
        calendars: Mapping[str, TariffCalendar],
        ended: Sequence[tuple[Installed, Ended]] = (),
        released: Mapping[str, Sequence[int]] = MappingProxyType({}),
        revoked: Mapping[str, Mapping[int, int]] = MappingProxyType({}),
    ) -> None:
        self.found, self.calendars, self.released, self.revoked = found, calendars, released, revoked
        self.count = len(meters)
        present = {(item.meter_id, item.install_no) for item in meters}
        past = [item for item, _ in ended if (item.meter_id, item.install_no) not in present]
        self.meters = [*meters, *past]
        meters = self.meters
        self._ended = {(item.meter_id, item.install_no): end for item, end in ended}
        self.charges = self.estimated = 0
        self._terms = TermsTable(calendars)
        self._installs = {(item.meter_id, item.install_no): place for place, item in enumerate(meters)}
        self._places = {item.meter_id: place for place, item in reversed(list(enumerate(meters)))}
        self._install_no = np.array([item.install_no for item in meters], np.int64)
        self._place_of_name = np.zeros(0, np.int64)
        size = len(meters)
        self._ratio, self._power, self._start, self._total, self._at = (
            np.array([getattr(item, name) for item in meters], np.int64)
            for name in ("ratio", "max_power_w", "start_wh", "start_wh", "installed_at")
        )
        self._rates = np.full((RATE_COUNT, size), ABSENT, np.int64)
        self._period = np.full(size, ABSENT, np.int64)
        self._counter, self._charged, self._lines = (np.zeros(size, np.int64) for _ in range(3))
        self._settled: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._owed: dict[int, set[int]] = {}  # ends of charges that have to be taken back
        self._watched = np.array([item.meter_id in revoked for item in meters], np.bool_)
        for place, item in enumerate(meters):
            if item.carried is not None:
                self._period[place], self._counter[place] = item.carried.tier_period_start, item.carried.tier_period_wh
                self._settled[place] = (item.carried.order_start, item.carried.settled_wh)

    def stand(self, meters: Iterable[MeterStanding]) -> None:
        """Let the charges of these installations stand there, whatever was seen of them so far."""
        for one in meters:
            place = self._installs.get((one.meter_id, one.install_no))
            if place is None:
                self.found.note(3, f"meter {one.meter_id}", f"was archived, but installation {one.install_no} is gone")
                continue
            try:
                rates, settled = rates_from(one.rates_wh), rates_from(one.order_rates_wh)
            except ValueError:
                self.found.note(3, f"meter {one.meter_id}", "stood at rate registers that are none")
                continue
            self._total[place], self._at[place] = one.total_wh, one.read_at
            self._rates[:, place] = rates or ABSENT
            self._period[place] = ABSENT if one.tier_period_start is None else one.tier_period_start
            self._counter[place], self._charged[place] = one.tier_period_wh, one.charged_wh
            self._lines[place] = one.charges
            self._settled[place] = (one.order_start, settled or NO_RATES)

    def standing(self) -> list[MeterStanding]:
        """Where the charges of installations that have any stand, by their meters."""
        found = []
        for place in np.flatnonzero(self._lines).tolist():
            item, rates = self.meters[place], self._rates[:, place].tolist()
            order_start, settled = self._settled.get(place, (0, NO_RATES))
            found.append(MeterStanding(
                item.meter_id, item.install_no, int(self._total[place]), int(self._at[place]),
                None if ABSENT in rates else _text(rates),
                None if self._period[place] == ABSENT else int(self._period[place]), int(self._counter[place]),
                order_start, _text(settled), int(self._charged[place]), int(self._lines[place]),
            ))  # fmt: skip
        return sorted(found)

    def take(self, lines: LineWords, mirrored: Sequence[int] = ()) -> None:
        """Follow the charges of a window; the batches `mirrored` take earlier ones back."""
        self._mirrored = np.array(mirrored, np.int64)
        charges = np.flatnonzero(lines["meter_id"] >= 0)
        if not len(charges):
            return
        names = lines.names["meter_id"].texts
        fresh = names[len(self._place_of_name) :]
        known = np.array([self._places.get(name, -1) for name in fresh], np.int64)
        self._place_of_name = np.concatenate([self._place_of_name, known])
        places = self._place_of_name[lines["meter_id"][charges]]
        if len(self._install_no):
            self._find_installations(lines, charges, places, names)
        for row in charges[places < 0]:
            line = lines.line(int(row))
            subject = f"batch {lines['batch_seq'][row]} line {line.line_no}"
            self.found.note(3, subject, f"meter {line.meter_id} is not installed")
        rows = charges[places >= 0]
        self.charges += len(rows)
        if len(rows):
            self._follow(lines, rows, places[places >= 0])

    def _find_installations(self, lines: LineWords, charges: Words, places: Words, names: Sequence[str]) -> None:
        """Move charges of installations before the present one to their own places."""
        others = np.flatnonzero((places >= 0) & (lines["install_no"][charges] != self._install_no[places]))
        for at in others:
            row = int(charges[at])
            key = (names[int(lines["meter_id"][row])], int(lines["install_no"][row]))
            places[at] = self._installs.get(key, -1)

    def _follow(self, lines: LineWords, rows: Words, places: Words) -> None:
        groups = _Grouped(places)
        order, meter = rows[groups.order], groups.numbers
        own = {
            name: lines[name][order]
            for name in ("from_wh", "to_wh", "event_from", "event_to", "tier_from_wh", "charge_nf", "read_wh")
        }
        before, after = lines.rates("from_rates_wh")[:, order], lines.rates("to_rates_wh")[:, order]
        back = np.isin(lines["batch_seq"][order], self._mirrored)
        terms = self._terms.numbers(lines["tariff_id"][order], own["event_from"], lines.names["tariff_id"].texts)
        table = self._terms.table()
        by_rates = table.by_rates[terms]
        steps = np.where(by_rates, after - before, 0) % REGISTER_MODULUS_WH
        steps[0] = np.where(by_rates, steps[0], (own["to_wh"] - own["from_wh"]) % REGISTER_MODULUS_WH)
        moved = steps.sum(axis=0) * self._ratio[meter]
        period, counter = table.period_start[terms], own["tier_from_wh"] + np.where(back, 0, moved)
        reached = np.where(back, own["event_from"], own["event_to"])
        standing = (
            groups.before(own["to_wh"], self._total),
            groups.before(reached, self._at),
            np.stack([groups.before(new, old) for new, old in zip(after, self._rates, strict=True)]),
            groups.before(period, self._period),
            groups.before(counter, self._counter),
        )
        exact = table.charge(terms, steps, own["tier_from_wh"], counter, self._ratio[meter])
        estimated = (own["read_wh"] == ABSENT) & (own["event_to"] == table.end[terms])
        span, step = own["event_to"] - own["event_from"], (own["to_wh"] - own["from_wh"]) % REGISTER_MODULUS_WH
        rates_follow = (before == standing[2]) | (before == ABSENT) | (standing[2] == ABSENT)
        right = (
            (terms != UNKNOWN)
            & ~back
            & ~self._watched[meter]
            & table.has_row[terms]
            & (own["from_wh"] == standing[0])
            & (own["event_from"] >= standing[1])
            & (span > 0)
            & (span < SPAN_MAX_S)
            & (own["event_to"] <= table.end[terms])
            & rates_follow.all(axis=0)
            & (~by_rates | ((before != ABSENT) & (after != ABSENT)).all(axis=0))
            & (own["tier_from_wh"] == np.where(standing[3] == period, standing[4], 0))
            & (lines["tier_period_start"][order] == period)
            & (own["charge_nf"] == exact)
            & (estimated | (own["to_wh"] == own["read_wh"]))
            & (own["to_wh"] != ABSENT)
            & (step <= -(-self._power[meter] * span // SECONDS_PER_HOUR) + WH_PER_STEP)
            & (moved >= 0)
            & (moved < STEP_MAX_WH)
            & (self._ratio[meter] < RATIO_MAX)
            & (own["tier_from_wh"] >= 0)
            & (own["tier_from_wh"] < COUNTER_MAX_WH)
        )
        self.estimated += int((estimated & right).sum())
        self._exactly(lines, order, meter, np.flatnonzero(~right), standing)
        for values, kept in ((own["to_wh"], self._total), (reached, self._at), (period, self._period)):
            groups.keep(values, kept)
        groups.keep(counter, self._counter)
        for rates, kept in zip(after, self._rates, strict=True):
            groups.keep(rates, kept)
        np.add.at(self._charged, meter, step)
        np.add.at(self._lines, meter, 1)

    def _exactly(self, lines: LineWords, order: Words, meter: Words, rows: Words, standing: tuple[Words, ...]) -> None:
        """The lines that the arrays did not find right, one after another."""
        total, at, rates, period, counter = standing
        for place in rows:
            row, number = int(order[place]), int(meter[place])
            chain = MeterChain(self.meters[number])
            chain.total_wh, chain.at = int(total[place]), int(at[place])
            own = rates[:, place].tolist()
            chain.rates = None if ABSENT in own else ",".join(map(str, own))
            chain.tier_period_start = None if period[place] == ABSENT else int(period[place])
            chain.tier_wh = int(counter[place])
            chain.order_start, chain.settled_wh = self._settled.get(number, (0, NO_RATES))
            batch_seq, line = int(lines["batch_seq"][row]), lines.line(row)
            if batch_seq in self._mirrored:
                chain.take_back(self.found, line, batch_seq, self.calendars)
                self._owed.get(number, set()).discard(line.event_to or 0)
            else:
                excused = self._is_excused(lines, order, meter, int(place))
                revoked_wh = self.revoked.get(chain.meter.meter_id, {}).get(line.event_to or 0)
                chain.take(
                    self.found, line, batch_seq, self.calendars, lines.read_wh(row), released=excused,
                    revoked_wh=revoked_wh,
                )  # fmt: skip
                if chain.taken_back_at is not None:
                    self._owed.setdefault(number, set()).add(chain.taken_back_at)
            self.estimated += chain.estimated
            self._settled[number] = (chain.order_start, chain.settled_wh)

    def _is_excused(self, lines: LineWords, order: Words, meter: Words, place: int) -> bool:
        """Whether the charge that a line is part of goes over a reading that a person released."""
        number, batch = meter[place], lines["batch_seq"][order[place]]
        taken = self.released.get(self.meters[number].meter_id, ())
        if not taken:
            return False
        own = order[(meter == number) & (lines["batch_seq"][order] == batch)]
        begun, ended = int(lines["event_from"][own].min()), int(lines["event_to"][own].max())
        return any(begun < at <= ended for at in taken)

    def close(self, cursors: Mapping[str, tuple[Reached, int | None]]) -> None:
        """Compare with the cursors, each with the accepted register at its instant."""
        standing = (self._total, self._at, self._period, self._counter, self._charged, self._lines)
        for number, ends in self._owed.items():
            for at in sorted(ends):
                subject = f"meter {self.meters[number].meter_id}"
                self.found.note(3, subject, f"is charged up to {at} by a reading that was taken back")
        for place, (item, *reached) in enumerate(
            zip(self.meters, *(values.tolist() for values in standing), strict=True)
        ):
            chain = MeterChain(item)
            chain.total_wh, chain.at, period, chain.tier_wh, chain.charged_wh, chain.lines = reached
            chain.tier_period_start = None if period == ABSENT else period
            ended = self._ended.get((item.meter_id, item.install_no))
            if ended is not None:
                chain.end(self.found, ended)
            if place < self.count:
                chain.close(self.found, *cursors.get(item.meter_id, (None, None)))
