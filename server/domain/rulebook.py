"""The rule book of an estate at one time: which rules hold for which household, and where they come from.

From the bottom: the estate's own row, the scheme in force (the household's, else the estate's), the household's own
rules. The waiting time after a protected time is the household's fixed share of `spread_s`, from its account number.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from zlib import crc32

from server.domain.calendar import ProtectedTimes
from server.domain.schemes import ESTATE_RULES, Rules, laid_over, times_of


class Row(Protocol):
    """A row of the store, or anything that answers by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class SchemeVersion:
    """One dated version of a scheme; `definition` is JSON."""

    scheme_id: str
    version: int
    name: str
    valid_from: int
    definition: str


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Everything that rules of households are made of; `in_force` holds the version of each scheme that counts."""

    site: Row
    in_force: Mapping[str, SchemeVersion]
    days: Mapping[str, str]
    alerts: tuple[tuple[int, int, str], ...]

    def scheme_of(self, row: Row) -> SchemeVersion | None:
        """The scheme in force for an account's row; None where none is named or it has not begun."""
        return self.in_force.get(row["scheme_id"] or self.site["scheme_id"] or "")

    def rules(self, row: Row) -> Rules:
        """The rules of an account's row."""
        found = self.scheme_of(row)
        return _rules(self._estate(), found.definition if found else "{}", row["own_rules"])

    def times(self, row: Row) -> ProtectedTimes:
        """When the household of an account's row is not cut."""
        rules = self.rules(row)
        delay_s = delay_of(row["account_id"], rules.spread_s)
        return times_of(rules, self.site["time_zone"], self.days, self.alerts, delay_s)

    def source(self, row: Row) -> dict[str, object]:
        """Where the rules come from, for the evidence of a decision; `replayed` makes the same of it."""
        found = self.scheme_of(row)
        return {
            "scheme_id": found.scheme_id if found else None,
            "version": found.version if found else None,
            "estate": dict(self._estate()),
            "definition": json.loads(found.definition) if found else {},
            "own": json.loads(row["own_rules"]),
            "days": dict(self.days),
            "alerts": [list(one) for one in self.alerts],
            "time_zone": self.site["time_zone"],
        }

    def _estate(self) -> tuple[tuple[str, int], ...]:
        return tuple((name, int(self.site[name])) for name in ESTATE_RULES)


@lru_cache(maxsize=4096)
def _rules(estate: tuple[tuple[str, int], ...], definition: str, own: str) -> Rules:
    return laid_over(dict(estate), json.loads(definition), json.loads(own))


def delay_of(account_id: str, spread_s: int) -> int:
    """The household's share of the spread, in whole seconds; always the same one."""
    return crc32(account_id.encode()) % (spread_s + 1)


def replayed(source: Mapping[str, Any], account_id: str) -> tuple[Rules, ProtectedTimes]:
    """Rules and times once more from the evidence's `source`."""
    rules = laid_over(source["estate"], source["definition"], source["own"])
    alerts = [(start, end, kind) for start, end, kind in source["alerts"]]
    delay_s = delay_of(account_id, rules.spread_s)
    return rules, times_of(rules, source["time_zone"], source["days"], alerts, delay_s)
