"""Random lives of a small estate against a dictionary model; after each step verify must find nothing.

The model charges whole registers with fractions and knows neither the kernel nor the ledger's code.
"""

from fractions import Fraction
from pathlib import Path
from shutil import copyfile
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from server.flows.billing import charge_due
from server.flows.ledger import seal_batches
from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.books import agrees, balance, read, reading, top_up
from tests.server.estates import ESTATE, account_id, at, household, plant

MODULUS_WH = 10**9
PRICE_FEN_PER_WH = Fraction(58_886_875, 10**9)
TIERS = ((200_000, Fraction(5_000_000, 10**9)), (400_000, Fraction(25_000_000, 10**9)))
STARTS = (1_000_000, 999_990_000)
DAY = 86_400
HORIZON_S = 10 * DAY  # stays within October, so that the model needs no calendar
NUMBERS = st.sampled_from((1, 2))


def owed_fen(energy_wh: int) -> Fraction:
    """What `energy_wh` of one month cost, exactly."""
    return energy_wh * PRICE_FEN_PER_WH + sum(max(0, energy_wh - limit) * step for limit, step in TIERS)


class Estate(RuleBasedStateMachine):
    """Two households: one in the middle of its register, one before its end."""

    engine_of: object = None  # set by the test: () -> (engine, after)

    def __init__(self) -> None:
        super().__init__()
        self.engine, self.after = self.engine_of()  # type: ignore[operator]
        self.writer = Writer(self.engine)
        homes = [household(n, start_wh=start) for n, start in enumerate(STARTS, 1)]
        plant(self.writer, homes)
        self.clock = 0
        self.used = {1: 0, 2: 0}  # accepted energy since installation
        self.charged = {1: 0, 2: 0}
        self.read_at = {1: 0, 2: 0}
        self.credit = {1: 5000, 2: 5000}
        self.keys = 0

    def _register(self, number: int, used_wh: int) -> int:
        return (STARTS[number - 1] + used_wh) % MODULUS_WH

    def _tick(self, seconds: int) -> None:
        self.clock = min(HORIZON_S, self.clock + seconds)

    @rule(number=NUMBERS, seconds=st.integers(60, DAY), steps=st.integers(0, 40))
    def consume(self, number: int, seconds: int, steps: int) -> None:
        """An honest reading; at a tenth of full power at most."""
        if self.clock >= HORIZON_S:
            return
        self._tick(seconds)
        energy_wh = min(steps * 500, (self.clock - self.read_at[number]) * 15840 // 3600 // 10 * 10)
        value = self._register(number, self.used[number] + energy_wh)
        read(self.writer, reading(number, self.clock, value))
        if value:  # zero is held for a person, even at the end of the digits; the next reading has its energy too
            self.used[number] += energy_wh
            self.read_at[number] = self.clock

    @rule(number=NUMBERS)
    def repeat(self, number: int) -> None:
        """The last reading again."""
        read(self.writer, reading(number, self.read_at[number], self._register(number, self.used[number])))

    @rule(number=NUMBERS, seconds=st.integers(1, DAY), steps=st.integers(-50, 50))
    def late(self, number: int, seconds: int, steps: int) -> None:
        """Something older than what is accepted already."""
        at_s = self.read_at[number] - seconds
        read(self.writer, reading(number, at_s, self._register(number, self.used[number] + steps * 10)))

    @rule(number=NUMBERS, back_wh=st.integers(1, 1000))
    def backwards(self, number: int, back_wh: int) -> None:
        """A register that fell."""
        self._tick(60)
        if self.clock > self.read_at[number]:
            read(self.writer, reading(number, self.clock, self._register(number, self.used[number] - back_wh * 10)))

    @rule(number=NUMBERS, far_wh=st.integers(5_000_000, 300_000_000))
    def jump(self, number: int, far_wh: int) -> None:
        """More than the meter can have counted since."""
        self._tick(60)
        if self.clock > self.read_at[number]:
            value = self._register(number, self.used[number] + far_wh // 10 * 10)
            read(self.writer, reading(number, self.clock, value))

    @rule(number=NUMBERS, amount_fen=st.integers(1, 100_000), again=st.booleans())
    def pay(self, number: int, amount_fen: int, again: bool) -> None:
        """A top-up, perhaps sent twice."""
        self.keys += 1
        for _ in range(1 + again):
            top_up(self.writer, number, amount_fen, f"key-{self.keys}")
        self.credit[number] += amount_fen

    @rule(limit=st.integers(1, 3))
    def bill(self, limit: int) -> None:
        """Charge until nothing is due."""
        while self.writer.run(lambda unit: charge_due(unit, ESTATE, at(self.clock + 3600), limit=limit)).meters:
            pass
        self.charged = dict(self.used)

    @rule()
    def seal(self) -> None:
        """Chain what is committed."""
        self.writer.run(lambda unit: seal_batches(unit, ESTATE, at(self.clock)))

    @invariant()
    def books_agree(self) -> None:
        """verify finds nothing, and the model knows every balance exactly."""
        agrees(self.engine)
        for number in (1, 2):
            balance_fen, residue_nf = balance(self.engine, account_id(number))
            exact = balance_fen - Fraction(residue_nf, 10**9)
            assert exact == self.credit[number] - owed_fen(self.charged[number])

    def teardown(self) -> None:
        """Leave no thread and no file handle behind."""
        self.writer.stop()
        self.engine.dispose()
        self.after()


def on_sqlite(template: Path, folder: Path) -> type[Estate]:
    def fresh() -> tuple[Engine, object]:
        path = Path(mkdtemp(dir=folder)) / "estate645.db"
        copyfile(template, path)
        return open_engine(f"sqlite:///{path}"), path.unlink

    return type("OnSqlite", (Estate,), {"engine_of": staticmethod(fresh)})


def test_a_register_that_ends_at_zero_is_charged_with_the_next_reading(sqlite_template: Path, tmp_path: Path) -> None:
    state = on_sqlite(sqlite_template, tmp_path)()
    for steps in (20, 21):
        state.consume(number=2, seconds=4118, steps=steps)
        state.bill(limit=1)
        state.books_agree()
        assert state.charged[2] == (0 if steps == 20 else 10_500)
    state.teardown()


@pytest.mark.timeout(600)  # a complaint is made smaller before it is told
def test_any_order_of_events_keeps_the_books_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    machine = on_sqlite(sqlite_template, tmp_path)
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=25))


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_any_order_of_events_keeps_the_books_on_postgres(postgres_folder: str) -> None:
    from tests.server.conftest import create_database, next_name

    def fresh() -> tuple[Engine, object]:
        url = create_database(postgres_folder, next_name("life"), "template_estate645")
        return open_engine(url), lambda: None

    machine = type("OnPostgres", (Estate,), {"engine_of": staticmethod(fresh)})
    run_state_machine_as_test(machine, settings=settings(max_examples=4, stateful_step_count=15))
