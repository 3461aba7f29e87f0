"""Random lives of accounts against a dictionary model: who pays for what, who may do what; verify finds nothing.

The model keeps a register a meter, a credit and a state an account, and the exact energy of each. It knows nothing of
batches, installations or events; both databases play the same kind of game.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from shutil import copyfile
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from server.errors import EstateError
from server.flows import approvals
from server.flows.billing import charge_due
from server.store import approvals as kept
from server.store.engine import open_engine
from server.store.writer import Writer
from tests.server.books import agrees, balance, read, reading, rows, top_up
from tests.server.estates import ESTATE, account_id, at, meter_id, plant
from tests.server.lives import act, book, carry, final, move_in, open_new, out

PRICE_FEN_PER_WH = Fraction(58_886_875, 10**9)  # of the first tier, which nobody leaves here
LIMIT_FEN = 10_000
METERS = (1, 2)
WHICH = st.sampled_from((0, 1, 2, 3))


@dataclass
class Life:
    """What the model knows of an account."""

    status: str = "normal"
    payment: str = "prepaid"
    credit_fen: int = 5000
    used_wh: int = 0

    @property
    def exact_fen(self) -> Fraction:
        return self.credit_fen - self.used_wh * PRICE_FEN_PER_WH


@dataclass
class Meter:
    """A register, up to where it was charged, when it was read, and whom it feeds."""

    feeds: str | None
    total_wh: int = 1_000_000
    charged_wh: int = 1_000_000
    read_at: int = 0


class Lives(RuleBasedStateMachine):
    """Two rooms with a meter each; accounts come and go."""

    engine_of: object = None  # set by the test: () -> (engine, after)

    def __init__(self) -> None:
        super().__init__()
        self.engine, self.after = self.engine_of()  # type: ignore[operator]
        self.writer = Writer(self.engine)
        plant(self.writer, 2)
        self.clock = self.serial = 0
        self.lives = {account_id(number): Life() for number in METERS}
        self.meters = {number: Meter(account_id(number)) for number in METERS}

    def _name(self, which: int) -> str:
        return sorted(self.lives)[which % len(self.lives)]

    def _key(self) -> str:
        self.serial += 1
        return f"key-{self.serial}"

    def _own(self, name: str) -> list[int]:
        return [number for number, meter in self.meters.items() if meter.feeds == name]

    def _try(self, possible: bool, work: object) -> bool:
        """Do it, or see it refused, as the model says."""
        if possible:
            work()  # type: ignore[operator]
        else:
            with pytest.raises(EstateError):
                work()  # type: ignore[operator]
        return possible

    def _charge(self, number: int) -> None:
        meter = self.meters[number]
        if meter.feeds is not None:
            self.lives[meter.feeds].used_wh += meter.total_wh - meter.charged_wh
            meter.charged_wh = meter.total_wh

    @rule(number=st.sampled_from(METERS), seconds=st.integers(600, 7200), steps=st.integers(0, 10))
    def consume(self, number: int, seconds: int, steps: int) -> None:
        """An honest reading."""
        self.clock += seconds
        meter = self.meters[number]
        meter.total_wh += min(steps * 500, (self.clock - meter.read_at) * 3)
        meter.total_wh -= meter.total_wh % 10
        meter.read_at = self.clock
        read(self.writer, reading(number, self.clock, meter.total_wh))

    @rule()
    def bill(self) -> None:
        """Charge whatever is due."""
        while self.writer.run(lambda unit: charge_due(unit, ESTATE, at(self.clock + 3600))).meters:
            pass
        for number, meter in self.meters.items():
            if meter.feeds is not None and self.lives[meter.feeds].status == "normal":
                self._charge(number)

    @rule(which=WHICH, amount_fen=st.integers(1, 5000))
    def pay(self, which: int, amount_fen: int) -> None:
        """Money comes in, whatever the state; the way of paying refuses a closed account, not the ledger."""
        name = self._name(which)
        if self.lives[name].status != "closed":
            top_up(self.writer, int(name[1:]), amount_fen, self._key())
            self.lives[name].credit_fen += amount_fen

    @rule(which=WHICH, verb=st.sampled_from(("pause", "resume")))
    def service(self, which: int, verb: str) -> None:
        """Pause or resume."""
        name = self._name(which)
        before, after = ("normal", "paused") if verb == "pause" else ("paused", "normal")
        if self._try(self.lives[name].status == before, lambda: act(self.writer, self.clock, verb, name)):
            self.lives[name].status = after

    @rule(which=WHICH, way=st.sampled_from(("prepaid", "postpaid")))
    def way_of_paying(self, which: int, way: str) -> None:
        """In advance or afterwards."""
        life = self.lives[name := self._name(which)]
        possible = life.status in ("normal", "paused") and life.payment != way
        if self._try(possible, lambda: act(self.writer, self.clock, "set_payment", name, way)):
            life.payment = way

    @rule(which=WHICH, extra_wh=st.integers(0, 50), how=st.sampled_from(("leave", "cash")))
    def leave(self, which: int, extra_wh: int, how: str) -> None:
        """Move out at a register that was read on the day."""
        life = self.lives[name := self._name(which)]
        self.clock += 1200
        numbers = self._own(name)
        finals = [final(number, self.meters[number].total_wh + extra_wh * 10) for number in numbers]
        if not self._try(
            life.status in ("normal", "paused"), lambda: out(self.writer, self.clock, *finals, name=name, settle=how)
        ):
            return
        for number in numbers:
            self.meters[number].total_wh += extra_wh * 10
            self.meters[number].read_at = self.clock
            self._charge(number)
            self.meters[number].feeds = None
        life.status = "left"
        left_fen = self._posted(name)
        if how == "cash" and 0 < left_fen <= LIMIT_FEN:
            life.credit_fen -= left_fen
        self._close_if_done(name, asked=how == "cash" and left_fen > LIMIT_FEN)

    def _posted(self, name: str) -> int:
        """The ledger: the exact balance, its charges rounded half up."""
        life = self.lives[name]
        return life.credit_fen - (life.used_wh * PRICE_FEN_PER_WH + Fraction(1, 2)).__floor__()

    def _close_if_done(self, name: str, *, asked: bool) -> None:
        if not asked and self._posted(name) == 0:
            self.lives[name].status = "closed"

    @rule(rise=st.integers(0, 30), many=st.booleans())
    def arrive(self, rise: int, many: bool) -> None:
        """The next household moves into what is vacant, one meter or all; what was used before is nobody's."""
        vacant = self._own(None)  # type: ignore[arg-type]
        if not vacant:
            return
        self.clock += 1200
        self.serial += 1
        name = account_id(100 + self.serial)
        open_new(self.writer, self.clock, f"1-{vacant[0]:04d}", name)
        chosen = vacant if many else vacant[:1]
        bases = [final(number, self.meters[number].total_wh + rise * 10) for number in chosen]
        move_in(self.writer, self.clock, *bases, name=name)
        for number in chosen:
            total_wh = self.meters[number].total_wh + rise * 10
            self.meters[number] = Meter(name, total_wh, total_wh, self.clock)
        self.lives[name] = Life(credit_fen=0)

    @rule(which=WHICH, amount_fen=st.integers(-20_000, 20_000).filter(bool), agreed=st.booleans())
    def adjust(self, which: int, amount_fen: int, agreed: bool) -> None:
        """Up or down; a large one waits for a second person, who agrees or does not."""
        life = self.lives[name := self._name(which)]
        asked: list[str] = []

        def work() -> None:
            asked.append(book(self.writer, amount_fen, self._key(), self.clock, account_id=name).approval_id)

        if not self._try(life.status != "closed", work):
            return
        large = abs(amount_fen) > LIMIT_FEN
        assert bool(asked[0]) == large
        if large and not agreed:
            self.writer.run(lambda unit: approvals.withdraw(unit, ESTATE, asked[0], actor="pavel", now=at(self.clock)))
            return
        if large:
            self.writer.run(lambda unit: self._agree(unit, asked[0]))
        life.credit_fen += amount_fen
        if life.status == "left":
            self._close_if_done(name, asked=self._waits(name))

    def _agree(self, unit: object, approval_id: str) -> None:
        row = kept.get(unit.connection, ESTATE, approval_id)  # type: ignore[attr-defined]
        assert row is not None
        approvals.approve(
            unit,
            ESTATE,
            approval_id,
            row["payload_sha256"],
            actor="pavel",
            now=at(self.clock),  # type: ignore[arg-type]
        )

    def _waits(self, name: str) -> bool:
        """Whether a payout of this account still waits for its second person."""
        now_ms = at(self.clock).machine_ms
        return any(
            row["status"] == "waiting" and int(str(row["expires_ms"])) > now_ms and name in str(row["payload"])
            for row in rows(self.engine, "approval")
        )

    @rule(which=WHICH, other=WHICH)
    def carry_over(self, which: int, other: int) -> None:
        """The balance of who has left goes to another account."""
        source, target = self._name(which), self._name(other)
        left, taker = self.lives[source], self.lives[target]
        possible = left.status == "left" and source != target and taker.status != "closed"
        moved_fen = self._posted(source)
        asked = self._waits(source)
        if self._try(possible, lambda: carry(self.writer, self.clock, source, target)):
            left.credit_fen -= moved_fen
            taker.credit_fen += moved_fen
            self._close_if_done(source, asked=asked)

    @invariant()
    def the_model_agrees(self) -> None:
        """verify finds nothing; every state, owner and exact balance is the model's."""
        agrees(self.engine)
        kept_rows = {row["account_id"]: row for row in rows(self.engine, "account") if row["kind"] == "household"}
        assert {name: (row["status"], row["payment"]) for name, row in kept_rows.items()} == {
            name: (life.status, life.payment) for name, life in self.lives.items()
        }
        for name, life in self.lives.items():
            balance_fen, residue_nf = balance(self.engine, name)
            assert balance_fen - Fraction(residue_nf, 10**9) == life.exact_fen
        owners = {
            row["meter_id"]: row["account_id"] for row in rows(self.engine, "meter") if row["kind"] == "household"
        }
        assert owners == {meter_id(number): meter.feeds for number, meter in self.meters.items()}

    def teardown(self) -> None:
        """Leave no thread and no file handle behind."""
        self.writer.stop()
        self.engine.dispose()
        self.after()


def play(fresh: object, histories: int, steps: int) -> None:
    machine = type("Played", (Lives,), {"engine_of": staticmethod(fresh)})  # type: ignore[arg-type]
    run_state_machine_as_test(machine, settings=settings(max_examples=histories, stateful_step_count=steps))


def test_any_life_keeps_the_books_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    def fresh() -> tuple[Engine, object]:
        path = Path(mkdtemp(dir=tmp_path)) / "estate645.db"
        copyfile(sqlite_template, path)
        return open_engine(f"sqlite:///{path}"), path.unlink

    play(fresh, 8, 18)


@pytest.mark.postgres
def test_any_life_keeps_the_books_on_postgres(postgres_folder: str) -> None:
    from tests.server.conftest import create_database, next_name

    def fresh() -> tuple[Engine, object]:
        url = create_database(postgres_folder, next_name("lives"), "template_estate645")
        return open_engine(url), lambda: None

    play(fresh, 3, 12)
