"""Top-ups by third parties that come at the same time: one run, each decided alone, each credited once."""

from concurrent.futures import Future
from threading import Event

import pytest
from sqlalchemy import Engine

from server.errors import Conflict, Refused
from server.flows import partners, schemes
from server.flows.partners import PartnerTopup, accept_topups
from server.store import schema
from server.store.writer import Writer
from tests.server.books import agrees, balance, rows
from tests.server.estates import ESTATE, account_id, at, meter_id, plant

WAIT_S = 30
OPENING_FEN = 5000


def wish(key: str, number: int | None = 1, fen: int = 700, **changes: object) -> PartnerTopup:
    """A top-up of household `number` under a key; transaction and body follow from key and amount."""
    name = None if number is None else account_id(number)
    values: dict[str, object] = {"body_sha256": f"{key} {fen}", "room_id": None, "transaction_id": f"x-{key}"}
    values |= {"client_id": "wallet", "idem_key": key, "account_id": name, "amount_fen": fen, "now": at(), **changes}
    return PartnerTopup(**values)  # type: ignore[arg-type]


class Together:
    """Submits wishes while the writer is held, so that they run together, and counts the runs."""

    def __init__(self, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writer, self.runs = writer, []
        accept = partners._accept

        def counted(units, estate_id, wishes):  # type: ignore[no-untyped-def]
            self.runs.append(len(wishes))
            return accept(units, estate_id, wishes)

        monkeypatch.setattr(partners, "_accept", counted)

    def take(self, *wishes: PartnerTopup) -> list[object]:
        """The answer or the error of each."""
        release, started = Event(), Event()
        self.writer.submit(lambda unit: (started.set(), release.wait(WAIT_S)))
        assert started.wait(WAIT_S)
        futures: list[Future[dict[str, object]]] = [
            self.writer.submit_alike(accept_topups, ESTATE, one, urgent=True) for one in wishes
        ]
        release.set()
        return [future.exception(WAIT_S) or future.result() for future in futures]


@pytest.fixture
def together(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> Together:
    plant(writer, 4)
    return Together(writer, monkeypatch)


def test_what_waits_is_taken_in_by_one_run_and_each_hears_its_own_answer(engine: Engine, together: Together) -> None:
    first, second, suspense, refused, room = together.take(
        wish("a"), wish("b", 2, 800), wish("c", 99), wish("d", 1, 0), wish("e", None, room_id="1-0003"),
    )  # fmt: skip
    assert together.runs == [5]
    assert isinstance(refused, Refused)
    assert first["balance_fen"] == OPENING_FEN + 700
    assert (second["result"], second["balance_fen"]) == ("credited", OPENING_FEN + 800)
    assert (suspense["result"], suspense["balance_fen"]) == ("suspense", None)
    assert room["balance_fen"] == balance(engine, account_id(3))[0] == OPENING_FEN + 700
    assert len({one["batch_seq"] for one in (first, second, suspense, room)}) == 4
    assert balance(engine, "suspense")[0] == 700
    assert len(rows(engine, "payment_order")) == 3
    assert {row["status"] for row in rows(engine, "payment_order")} == {"paid"}
    assert len(rows(engine, "notice")) == 6
    assert agrees(engine).payments == 4


def test_a_key_that_comes_eight_times_at_once_is_booked_once(engine: Engine, together: Together) -> None:
    answers = together.take(*[wish("a")] * 8)
    assert all(answer == answers[0] for answer in answers)
    assert together.runs == [1] * 8
    assert balance(engine, account_id(1))[0] == OPENING_FEN + 700
    assert len(rows(engine, "payment")) == 1


def test_a_transaction_under_two_keys_and_a_key_with_two_bodies_are_conflicts(
    engine: Engine, together: Together
) -> None:
    first, other_key, other_body, other_client = together.take(
        wish("a"), wish("b", transaction_id="x-a"), wish("a", fen=900), wish("a", client_id="bank"),
    )  # fmt: skip
    assert first["result"] == other_client["result"] == "credited"
    assert isinstance(other_key, Conflict)
    assert isinstance(other_body, Conflict)
    assert [row["subject"] for row in rows(engine, "audit") if row["verb"] == "key.reused"] == ["a"]
    assert balance(engine, account_id(1))[0] == OPENING_FEN + 1400
    agrees(engine)


def test_what_breaks_for_one_household_breaks_for_no_other(
    engine: Engine, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = partners.credit_all.__globals__["_follow"]

    def broken(unit, estate_id, one, *rest):  # type: ignore[no-untyped-def]
        if one.account_id == account_id(2):
            raise OSError("broken on purpose")
        follow(unit, estate_id, one, *rest)

    monkeypatch.setattr("server.flows.crediting._follow", broken)
    first, second, third = together.take(wish("a"), wish("b", 2), wish("c", 3))
    assert together.runs == [3, 1, 1, 1]
    assert isinstance(second, OSError)
    assert (first["result"], third["result"]) == ("credited", "credited")
    assert [balance(engine, account_id(number))[0] for number in (1, 2, 3)] == [5700, 5000, 5700]
    assert len(rows(engine, "payment_order")) == len(rows(engine, "idempotency")) == 2
    agrees(engine)


def test_the_power_of_those_who_were_cut_is_wished_back_in_the_same_run(engine: Engine, together: Together) -> None:
    cut = schema.supply.update().where(schema.supply.c.meter_id == meter_id(2))
    state = {"desired": "open", "cause": "arrears", "relay": "open"}
    together.writer.run(lambda unit: unit.connection.execute(cut.values(**state)))
    together.take(wish("a"), wish("b", 2))
    [wanted] = rows(engine, "relay_desired")
    assert (wanted["meter_id"], wanted["state"], wanted["reason"]) == (meter_id(2), "closed", "paid")
    off = {row["account_id"]: row["powered_off"] for row in rows(engine, "payment_order")}
    assert off == {account_id(1): 0, account_id(2): 1}


def test_a_limit_that_moves_with_the_top_up_moves_in_its_run(
    engine: Engine, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(schemes, "on_topup", lambda unit, estate, name, now: seen.append(name))
    own = schema.account.update().where(schema.account.c.account_id == account_id(2))
    together.writer.run(lambda unit: unit.connection.execute(own.values(own_rules='{"alarm1": ["percent", 20]}')))
    together.take(wish("a"), wish("b", 2))
    assert seen == [account_id(2)]


def test_a_household_cannot_be_given_more_than_its_limit_by_several_at_once(engine: Engine, together: Together) -> None:
    limit = schema.estate.update().values(balance_max_fen=OPENING_FEN + 1000)
    together.writer.run(lambda unit: unit.connection.execute(limit))
    first, second, other = together.take(wish("a"), wish("b"), wish("c", 2))
    assert (first["result"], other["result"]) == ("credited", "credited")
    assert isinstance(second, Refused)
    assert balance(engine, account_id(1))[0] == OPENING_FEN + 700
