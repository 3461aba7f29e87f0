"""All households as the staff sees them, kept in memory and brought up to date before each look.

The bell says whose rows a commit has touched, and it rings before whoever wrote is answered: only those rows are read
again, so a look finds everything that was done through this server before it. What no ring names (another process may
write, too) is found by reading everything again now and then. A look is a value that does not change any more.
"""

from dataclasses import dataclass
from operator import attrgetter
from threading import Lock
from time import monotonic

from sqlalchemy import Engine

from server.store.engine import reader
from server.store.wall import HouseholdRow, households, households_of, owners
from server.web.columns import Columns, columns_of
from server.web.state import Announcements

READ_AGAIN_S = {"sqlite": 300.0, "postgresql": 5.0}  # only beside PostgreSQL do other processes write
NAMED_MAX = 2500  # more accounts than this are read with all others, in one query
BRIEF_MAX = 500  # rings for which a look is brief: some milliseconds
ELSEWHERE = frozenset({"notice", "case", "order", "refund", "seal"})  # rings that no row of a household depends on
METER, ACCOUNT, BUS = {"meter", "recharge"}, {"balance"}, {"supply"}


@dataclass(frozen=True, slots=True)
class Households:
    """All open households, by building, from the top floor down, by door; `version` names their order and number.

    `look` counts the looks that found something new.
    """

    rows: tuple[HouseholdRow, ...]
    version: int
    columns: Columns
    look: int


_place_of = attrgetter("account_id", "room_id", "building_id", "building_name", "floor", "door")


class Overview:
    """The households of one estate; may be looked at from any thread."""

    def __init__(self, engine: Engine, estate_id: str, bell: Announcements) -> None:
        self._engine, self._estate_id = engine, estate_id
        self._looking = Lock()
        self._ringing = Lock()
        self._touched: set[tuple[str, str]] = set()
        self._everything = True
        self._read_at = 0.0
        self._seen = Households((), 0, columns_of((), 0), 0)
        self._places: dict[str, int] = {}
        self._of_meter: dict[str, str] = {}
        self._of_bus: dict[str, list[str]] = {}
        bell.listen("*", self._ring)

    def look(self) -> Households:
        """All households as the last commit left them."""
        with self._looking:
            with self._ringing:
                touched, self._touched = self._touched, set()
                everything, self._everything = self._everything, False
            try:
                self._refresh(touched, everything=everything or self._is_due())
            except BaseException:
                self._everything = True
                raise
            return self._seen

    @property
    def version(self) -> int:
        """Of the households as they were seen last."""
        return self._seen.version

    def brief(self) -> bool:
        """Whether a look would be over in milliseconds: few rows are to be read again, and nobody is looking."""
        return not (self._everything or self._is_due() or len(self._touched) > BRIEF_MAX or self._looking.locked())

    def _is_due(self) -> bool:
        """Whether everything is to be read again, whatever was named."""
        return monotonic() - self._read_at > READ_AGAIN_S[self._engine.dialect.name]

    def _ring(self, topic: str, key: str) -> None:
        if topic in ELSEWHERE:
            return
        with self._ringing:
            if topic in METER or topic in ACCOUNT or topic in BUS:
                self._touched.add((topic, key))
            else:
                self._everything = True

    def _refresh(self, touched: set[tuple[str, str]], *, everything: bool) -> None:
        accounts = set() if everything else self._accounts(touched)
        if everything or len(accounts) > NAMED_MAX or any(one not in self._places for one in accounts):
            self._read_all()
        elif accounts:
            self._read_again(accounts)

    def _accounts(self, touched: set[tuple[str, str]]) -> set[str]:
        found: set[str] = set()
        for topic, key in touched:
            if topic in BUS:
                found.update(self._of_bus.get(key, ()))
            elif topic in ACCOUNT:
                found.add(key)
            elif key in self._of_meter:
                found.add(self._of_meter[key])
        return found

    def _read_all(self) -> None:
        read_at = monotonic()
        with reader(self._engine) as connection:
            rows = tuple(households(connection, self._estate_id))
            meters = owners(connection, self._estate_id)
        same = list(map(_place_of, self._seen.rows)) == list(map(_place_of, rows))
        if not same:
            self._places = {row.account_id: place for place, row in enumerate(rows)}
        self._of_meter, self._of_bus = {}, {}
        for meter_id, bus_id, account_id in meters:
            if account_id in self._places:
                self._of_meter[meter_id] = account_id
                self._of_bus.setdefault(bus_id, []).append(account_id)
        look = self._seen.look + 1
        self._seen = Households(rows, self._seen.version + (not same), columns_of(rows, look), look)
        self._read_at = read_at

    def _read_again(self, accounts: set[str]) -> None:
        """Put the rows of these accounts in the places where they stood; where one moved, everything is read."""
        with reader(self._engine) as connection:
            found = households_of(connection, self._estate_id, list(accounts))
        seen, rows = self._seen, list(self._seen.rows)
        places = [self._places[row.account_id] for row in found]
        if len(found) != len(accounts) or any(
            _place_of(row) != _place_of(rows[place]) for place, row in zip(places, found, strict=True)
        ):
            return self._read_all()
        for place, row in zip(places, found, strict=True):
            rows[place] = row
        columns = seen.columns.with_rows(places, found, seen.look + 1)
        self._seen = Households(tuple(rows), seen.version, columns, seen.look + 1)
        return None
