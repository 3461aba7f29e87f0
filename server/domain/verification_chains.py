"""Thousands of charges checked at once, by NumPy: the chains of meters, and what each charge should be.

The arrays only screen. A line that they do not find right in every way is taken to the exact checks of
`server.domain.verification`, in Python integers, which say what is wrong with it, or that nothing is (numbers beyond
the arrays' range, tariffs whose tiers price each rate differently). After a line that is wrong the chain goes on
from what it says, so that one error is told once. Charges are computed from tariff and registers by formulas of
this module, not by the kernel that made them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from server.domain.archive import MeterStanding
from server.domain.line_words import ABSENT, RATE_COUNT, LineWords, Words
from server.domain.registers import NO_RATES, Registers, rates_from
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import Ended, Findings, Installed, MeterChain
from server.domain.verification_accounts import HALF_MAX, Grouped, places_of, run_of
from server.domain.verification_meters import HOUSEHOLD, Cursors, InstallationEnd, Installations
from server.domain.verification_splits import Divided, SplitBooks
from server.domain.verification_terms import UNKNOWN, TermsTable, tier_periods

STEP_MAX_WH = 2**29  # times a price below 2^31, and seven of them, stays in int64
COUNTER_MAX_WH = 2**53
RATIO_MAX = 2**20
SPAN_MAX_S = 2**31
SECONDS_PER_HOUR = 3600
Mask = NDArray[np.bool_]


def _text(rates_wh: Iterable[int]) -> str:
    return ",".join(map(str, rates_wh))


class MeterBooks:
    """Where the charges of all meters stand, by their place in the list of installations, the present ones first.

    `ended` are installations that an exchange ended; `released` says when readings were taken that a person released,
    `revoked` which ones a person took back after they had been charged: what went by them has to be mirrored. `ahead`
    is asked whether a charge (installation, begin, end) is stamped by a clock that stood ahead, so that it took longer.
    """

    def __init__(
        self,
        found: Findings,
        meters: Installations,
        calendars: Mapping[str, TariffCalendar],
        ended: Sequence[tuple[Installed, Ended]] = (),
        released: Mapping[str, Sequence[int]] = MappingProxyType({}),
        revoked: Mapping[str, Mapping[int, int]] = MappingProxyType({}),
        *,
        splits: SplitBooks,
        ahead: Callable[[Installed, int, int], bool] = lambda *_: False,
    ) -> None:
        self.found, self.calendars, self.released, self.revoked = found, calendars, released, revoked
        self.splits, self.ahead = splits, ahead
        self.count = len(meters)
        self._places = {meter_id: place for place, meter_id in enumerate(meters.meter_ids)}
        present = self._places
        past = [one for one, _ in ended if not self._is_present(meters, one.meter_id, one.install_no)]
        self.meters = meters.plus(past)
        self._ended = {(item.meter_id, item.install_no): end for item, end in ended}
        self._past = {(one.meter_id, one.install_no): place for place, one in enumerate(past, len(meters))}
        self._places = {one.meter_id: place for place, one in reversed(list(enumerate(past, len(meters))))} | present
        self.charges = self.estimated = self.by_rates = 0
        self._terms = TermsTable(calendars)
        self._place_of_name = np.zeros(0, np.int64)
        size = len(self.meters)
        self._install_no, self._ratio, self._power, self._start, self._at, *rates = self.meters.words[:HOUSEHOLD].copy()
        self._start_rates = np.stack(rates)
        self._total = self._start.copy()
        self._rates = np.full((RATE_COUNT, size), ABSENT, np.int64)
        self._period, self._first_period = np.full((2, size), ABSENT, np.int64)
        self.charged_account = np.full(size, -1, np.int64)
        self.account_names: Sequence[str] = ()
        self._counter, self._charged, self._lines = (np.zeros(size, np.int64) for _ in range(3))
        self._settled: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._owed: dict[int, set[int]] = {}  # ends of charges that have to be taken back
        self._watched = np.zeros(size, np.bool_)
        self._watched[[self._places[meter_id] for meter_id in revoked if meter_id in self._places]] = True
        self._watched[len(meters) :] |= np.array([one.meter_id in revoked for one in past], np.bool_)
        for key, carried in self.meters.carried.items():
            place = self._place(*key)
            if place >= 0:
                self._period[place], self._counter[place] = carried.tier_period_start, carried.tier_period_wh
                self._settled[place] = (carried.order_start, carried.settled_wh)

    def _is_present(self, meters: Installations, meter_id: str, install_no: int) -> bool:
        place = self._places.get(meter_id)
        return place is not None and int(meters.words[0, place]) == install_no

    def _place(self, meter_id: str, install_no: int) -> int:
        """The place of an installation, -1 where there is none."""
        if self._is_present(self.meters, meter_id, install_no):
            return self._places[meter_id]
        return self._past.get((meter_id, install_no), -1)

    def stand(self, meters: Iterable[MeterStanding]) -> None:
        """Let the charges of these installations stand there, whatever was seen of them so far."""
        for one in meters:
            place = self._place(one.meter_id, one.install_no)
            if place < 0:
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
        """Follow the charges of a window; batches `mirrored` take earlier ones back."""
        self._mirrored = np.array(mirrored, np.int64)
        charges = np.flatnonzero(lines["meter_id"] >= 0)
        if not len(charges):
            return
        names = lines.names["meter_id"].texts
        fresh = names[len(self._place_of_name) :]
        self._place_of_name = np.concatenate([self._place_of_name, places_of(fresh, self._places)])
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
            places[at] = self._place(names[int(lines["meter_id"][row])], int(lines["install_no"][row]))

    def _follow(self, lines: LineWords, rows: Words, places: Words) -> None:
        groups = Grouped(places)
        order, meter = rows[groups.order], groups.numbers
        run = run_of(order)
        own = {
            name: lines[name][run]
            for name in ("from_wh", "to_wh", "event_from", "event_to", "tier_from_wh", "charge_nf", "read_wh")
        }
        before, after = lines.rates("from_rates_wh")[:, run], lines.rates("to_rates_wh")[:, run]
        self.by_rates += int((after[0] != ABSENT).sum())
        back = np.isin(lines["batch_seq"][run], self._mirrored)
        terms = self._terms.numbers(lines["tariff_id"][run], own["event_from"], lines.names["tariff_id"].texts)
        table = self._terms.table()
        by_rates, at_end = table.by_rates[terms], own["event_to"] == table.end[terms]
        span, step = own["event_to"] - own["event_from"], (own["to_wh"] - own["from_wh"]) % REGISTER_MODULUS_WH
        steps = np.where(by_rates, (after - before) % REGISTER_MODULUS_WH, 0) if by_rates.any() else step[np.newaxis]
        steps[0] = np.where(by_rates, steps[0], step)
        moved = steps.sum(axis=0) * self._ratio[meter]
        period, counter = table.period_start[terms], own["tier_from_wh"] + np.where(back, 0, moved)
        reached = np.where(back, own["event_from"], own["event_to"])
        rates = groups.before(after, self._rates)
        begun = (rates[0] == ABSENT) & (own["event_from"] == self.meters.words[4][meter])
        standing = (
            groups.before(own["to_wh"], self._total),
            groups.before(reached, self._at),
            np.where(begun, self._start_rates[:, meter], rates) if begun.any() else rates,
            groups.before(period, self._period),
            groups.before(counter, self._counter),
        )
        exact = table.charge(terms, steps, own["tier_from_wh"], counter, self._ratio[meter])
        estimated = (own["read_wh"] == ABSENT) & at_end
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
            & (lines["tier_period_start"][run] == period)
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
        unrated = self._unrated(meter, own["event_to"], at_end & by_rates & ~back)
        doubtful = unrated | self._divided(lines, order, meter, own, terms, standing)
        self.splits.take(self._charges(lines, order, meter, doubtful & ~back, at_end, unrated, standing))
        self._exactly(lines, order, meter, np.flatnonzero(~right), standing)
        self._accounts(lines, order, meter, groups)
        fresh = groups.first & (self._lines[meter] == 0)
        self._first_period[meter[fresh]] = period[fresh]
        for values, kept in ((own["to_wh"], self._total), (reached, self._at), (period, self._period)):
            groups.keep(values, kept)
        groups.keep(counter, self._counter)
        groups.keep(after, self._rates)
        np.add.at(self._charged, meter, step)
        np.add.at(self._lines, meter, 1)

    def _unrated(self, meter: Words, ended: Words, rated: Mask) -> Mask:
        """Which of the `rated` lines end at a reading of the total alone."""
        keys = self.splits.without_rates(np.unique(ended[rated]).tolist()) if rated.any() else frozenset()
        found = np.zeros(len(rated), np.bool_)
        if keys:
            places = np.flatnonzero(rated)
            found[places] = [(self.meters.meter_ids[meter[at]], int(ended[at])) in keys for at in places]
        return found

    def _divided(
        self, lines: LineWords, order: Words, meter: Words, own: Mapping[str, Words], terms: Words,
        standing: tuple[Words, ...],
    ) -> Mask:  # fmt: skip
        """Lines that end at a boundary where nothing was read, and those that go on elsewhere."""
        table, begun, rates = self._terms.table(), standing[1], standing[2]
        at_end = own["event_to"] == table.end[terms]
        doubtful: Mask = at_end & (own["read_wh"] == ABSENT)
        doubtful |= table.by_rates[terms] & (rates[0] == ABSENT) & (own["event_from"] != self.meters.words[4][meter])
        later = np.flatnonzero((own["event_from"] > begun) & ~doubtful)
        tariffs = lines["tariff_id"][order[later]]
        doubtful[later] = self._terms.numbers(tariffs, begun[later], lines.names["tariff_id"].texts) != terms[later]
        return doubtful

    def _charges(
        self, lines: LineWords, order: Words, meter: Words, doubtful: Mask, at_end: Mask, unrated: Mask,
        standing: tuple[Words, ...],
    ) -> list[Divided]:  # fmt: skip
        """The lines from one reading of a meter to another of which one is doubtful: only at a boundary they go on.

        A line that begins later than the one before ended, and at no boundary, begins at a reading.
        """
        if not doubtful.any():
            return []
        batches, begins, at_end = lines["batch_seq"][order], lines["event_from"][order], at_end.copy()
        later = np.flatnonzero(begins > standing[1])
        tariffs, names = lines["tariff_id"][order[later]], lines.names["tariff_id"].texts
        before, after = (self._terms.numbers(tariffs, begins[later] - past, names) for past in (1, 0))
        at_end[later[before == after] - 1] = False
        fresh = np.flatnonzero((batches[1:] != batches[:-1]) | (meter[1:] != meter[:-1]) | ~at_end[:-1]) + 1
        edges = np.concatenate([[0], fresh, [len(order)]])
        numbers = np.unique(np.searchsorted(edges, np.flatnonzero(doubtful), "right")) - 1
        found = []
        for start, end in zip(edges[numbers].tolist(), edges[numbers + 1].tolist(), strict=True):
            meter_id, batch_seq = self.meters.meter_ids[meter[start]], int(batches[start])
            rates = standing[2][:, start].tolist()
            stood = Registers(int(standing[1][start]), int(standing[0][start]), None)
            own = [lines.line(row) for row in order[start:end].tolist()]
            last, read_wh = own[-1], lines.read_wh(int(order[end - 1]))
            revoked_wh = self.revoked.get(meter_id, {}).get(last.event_to or 0)
            stood = stood if ABSENT in rates else stood._replace(rates_wh=rates_from(_text(rates)))
            open_end = bool(unrated[end - 1]) or (read_wh is None and revoked_wh != last.to_wh)
            found.append(Divided(meter_id, batch_seq, stood, own, open_end))
        return sorted(found, key=lambda one: one.batch_seq)

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
                on = place > 0 and meter[place - 1] == number and lines["batch_seq"][order[place - 1]] == batch_seq
                chain.take_back(self.found, line, batch_seq, self.calendars, on=bool(on))
                self._owed.get(number, set()).discard(line.event_to or 0)
            else:
                step_wh, most_wh = chain.step_of(line)
                excused = step_wh > most_wh and self._is_excused(lines, order, meter, int(place))
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
        """Whether the charge that a line is part of goes over a released reading, or took longer than it says."""
        number, batch = meter[place], lines["batch_seq"][order[place]]
        taken = self.released.get(self.meters[number].meter_id, ())
        own = order[(meter == number) & (lines["batch_seq"][order] == batch)]
        begun, ended = int(lines["event_from"][own].min()), int(lines["event_to"][own].max())
        return any(begun < at <= ended for at in taken) or self.ahead(self.meters[number], begun, ended)

    def close(self, cursors: Cursors) -> None:
        """Compare with the cursors."""
        for number, ends in self._owed.items():
            for at in sorted(ends):
                subject = f"meter {self.meters.meter_ids[number]}"
                self.found.note(3, subject, f"is charged up to {at} by a reading that was taken back")
        own = places_of(self.meters.meter_ids[: self.count], {one: at for at, one in enumerate(cursors.meter_ids)})
        doubtful = set(np.flatnonzero(~self._reached(cursors, own)).tolist())
        for place in sorted(doubtful | {self._place(*key) for key in self._ended}):
            chain = self._chain(place)
            ended = self._ended.get((chain.meter.meter_id, chain.meter.install_no))
            if ended is not None:
                chain.end(self.found, ended)
            if place < self.count:
                cursor, read_wh = (None, None) if own[place] < 0 else cursors.of(int(own[place]))
                periods = set() if cursor is None else tier_periods(self.calendars, cursor.read_at - 1)
                chain.close(self.found, cursor, read_wh, periods)

    def end_of(self, meter_id: str, install_no: int) -> InstallationEnd | None:
        """Where the charges of an installation have come to; None for one that there is not."""
        place = self._place(meter_id, install_no)
        if place < 0:
            return None
        account, (order_start, settled) = int(self.charged_account[place]), self._settled.get(place, (0, NO_RATES))
        return InstallationEnd(
            int(self._period[place]), int(self._counter[place]), order_start, settled, int(self._first_period[place]),
            None if account < 0 else self.account_names[account],
        )  # fmt: skip

    def _accounts(self, lines: LineWords, order: Words, meter: Words, groups: Grouped) -> None:
        """All charges of an installation go to one account."""
        accounts, names = lines["account_id"][order], lines.names["account_id"].texts
        before = groups.before(accounts, self.charged_account)
        for place in np.flatnonzero((before >= 0) & (before != accounts)).tolist():
            subject = f"meter {self.meters.meter_ids[meter[place]]}, batch {lines['batch_seq'][order[place]]}"
            self.found.expect(3, subject, "account", names[accounts[place]], names[before[place]])
        groups.keep(accounts, self.charged_account)
        self.account_names = names

    def _reached(self, cursors: Cursors, own: Words) -> Mask:
        """Whether the cursor of each present installation stands where its charges lead; `own` is its place, or -1."""
        if not len(cursors.meter_ids):
            return np.zeros(self.count, np.bool_)
        install_no, at, total, period, counter, read_wh = cursors.words[:6, own]
        mine = slice(self.count)
        start, charged = self._start[mine], self._charged[mine]
        right: Mask = (
            (own >= 0)
            & (install_no == self._install_no[mine])
            & (total == self._total[mine])
            & (np.abs(total) < HALF_MAX)
            & (np.abs(start) < HALF_MAX)
            & (charged % REGISTER_MODULUS_WH == (total - start) % REGISTER_MODULUS_WH)
            & (at >= self._at[mine])
            & ((at == self.meters.words[4, mine]) | (total == read_wh))
            & (((self._lines[mine] == 0) & (counter == 0)) | (period == self._period[mine]))
            & ((period != self._period[mine]) | (counter == self._counter[mine]))
        )
        return right

    def _chain(self, place: int) -> MeterChain:
        """Where one installation stands, for the exact check."""
        chain = MeterChain(self.meters[place])
        chain.total_wh, chain.at, period, chain.tier_wh, chain.charged_wh, chain.lines = (
            int(values[place])
            for values in (self._total, self._at, self._period, self._counter, self._charged, self._lines)
        )
        chain.tier_period_start = None if period == ABSENT else period
        rates = self._rates[:, place].tolist()
        chain.rates = None if ABSENT in rates else _text(rates)
        return chain
