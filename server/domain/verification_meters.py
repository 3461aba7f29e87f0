"""Installations of meters and their cursors as columns: those of a whole estate, without a Python object for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from server.domain.line_words import ABSENT, RATE_COUNT, Words
from server.domain.registers import rates_from
from server.domain.verification import Carried, Installed, Reached

WORDS = 10
HOUSEHOLD = 9  # the row of the household


@dataclass(frozen=True, slots=True)
class Installations:
    """Installations by place.

    `words` : int64[10 or more, n] with install_no, ratio, max_power_w, start_wh, installed_at, the four rates at the
    start (ABSENT where they are not known) and the place among `households` of the account that is fed (-1 where none
    is, or the installation has ended); `carried` is what exchanges carried over, by meter and number of installation.
    """

    meter_ids: Sequence[str]
    words: Words
    carried: Mapping[tuple[str, int], Carried]
    households: Sequence[str]

    def __len__(self) -> int:
        return len(self.meter_ids)

    def __getitem__(self, place: int) -> Installed:
        """One installation."""
        install_no, ratio, max_power_w, start_wh, installed_at = self.words[:5, place].tolist()
        meter_id = self.meter_ids[place]
        carried = self.carried.get((meter_id, install_no))
        return Installed(meter_id, install_no, ratio, max_power_w, start_wh, installed_at, carried)

    def __iter__(self) -> Iterator[Installed]:
        return (self[place] for place in range(len(self)))

    def plus(self, more: Sequence[Installed]) -> "Installations":
        """The same with others behind them."""
        rows = [
            (
                one.install_no, one.ratio, one.max_power_w, one.start_wh, one.installed_at,
                *(rates_from(one.start_rates_wh) or (ABSENT,) * RATE_COUNT), -1,
            )
            for one in more
        ]  # fmt: skip
        words = np.array(rows, np.int64).reshape(len(rows), WORDS).T
        carried = {(one.meter_id, one.install_no): one.carried for one in more if one.carried is not None}
        return Installations(
            [*self.meter_ids, *(one.meter_id for one in more)],
            np.concatenate([self.words[:WORDS], words], axis=1),
            {**self.carried, **carried},
            self.households,
        )


class InstallationEnd(NamedTuple):
    """Where the charges of an installation have come to: its counters, and whose account they went to, if any did.

    `period_start` and `first_period_start` (that of its first charge) are ABSENT where nothing says them.
    """

    period_start: int
    period_wh: int
    order_start: int
    settled_wh: tuple[int, ...]
    first_period_start: int
    account_id: str | None


class Exchanged(NamedTuple):
    """One installation that follows another, as (meter, number) each; `anew` where counters may begin anew."""

    old: tuple[str, int]
    new: tuple[str, int]
    anew: bool


@dataclass(frozen=True, slots=True)
class Cursors:
    """Cursors with the accepted register at the instant of each.

    `words` : int64[6 or more, n] with install_no, read_at, total_wh, tier_period_start, tier_period_wh, read_wh
    (ABSENT where none was read).
    """

    meter_ids: Sequence[str]
    words: Words

    def of(self, place: int) -> tuple[Reached, int | None]:
        """One cursor."""
        *reached, read_wh = self.words[:6, place].tolist()
        return Reached(*reached), None if read_wh == ABSENT else read_wh
