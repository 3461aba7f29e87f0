"""Which terms of a tariff hold when, remembered so that a batch of thousands of steps asks the calendar once.

Terms hold over a half-open span of world time; at its end version, season or tier period changes.
"""

from dataclasses import dataclass

from core.tariff import (
    Season,
    Tariff,
    TariffVersion,
    compile_row,
    next_boundary_s,
    order_start_s,
    tier_period_start_s,
    version_at,
)
from core.tariff_order import has_row
from core.units import NF_PER_FEN

FOR_EVER = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A version in one season and tier period; it holds until `end_s` (None: for ever)."""

    tariff_id: str
    version: TariffVersion
    season: Season
    tier_period_start: int
    end_s: int | None
    order_start: int = 0  # since when a proportional order rule shares energy; 0 where none does

    @property
    def by_rates(self) -> bool:
        """Whether the four rate registers are priced, rather than the total."""
        return self.version.kind == "tou"

    @property
    def has_row(self) -> bool:
        """Whether the kernel can charge these terms."""
        return has_row(self.version)

    def row(self, close_allowed_fen: int) -> bytes:
        """The kernel's row for accounts with this closing limit."""
        return compile_row(self.version, self.season, close_allowed_fen * NF_PER_FEN)


class TariffCalendar:
    """Terms of one tariff by instant."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self._spans: dict[int | None, tuple[int, Terms]] = {}
        self._newest: tuple[int, int, Terms] | None = None  # what was asked last: (from, until, terms)

    def terms_at(self, at_s: int) -> Terms:
        """The terms that price energy used from `at_s` on; TariffError before the first version."""
        newest = self._newest
        if newest is not None and newest[0] <= at_s < newest[1]:
            return newest[2]
        for end_s, (start_s, terms) in self._spans.items():
            if start_s <= at_s and (end_s is None or at_s < end_s):
                self._newest = (start_s, FOR_EVER if end_s is None else end_s, terms)
                return terms
        version, season = version_at(self.tariff, at_s)
        end_s = next_boundary_s(self.tariff, at_s)
        period_start = tier_period_start_s(self.tariff, at_s)
        known = self._spans.get(end_s)
        order_start = order_start_s(self.tariff, at_s)
        terms = known[1] if known else Terms(self.tariff.tariff_id, version, season, period_start, end_s, order_start)
        self._spans[end_s] = (at_s, terms)
        return terms
