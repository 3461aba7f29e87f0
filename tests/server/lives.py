"""Shorthands of the tests about accounts' lives: each verb is one unit of the writer at a time of its own."""

from server.flows import accounts, adjustments, moves
from server.flows.adjustments import Booked, Booking
from server.flows.moves import MovedIn, MovedOut, Register, Settlement
from server.store import accounts as kept
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.estates import ESTATE, at, meter_id

WHO = {"actor": "olga", "reason": "as they asked"}
NEW = "N1"


def final(number: int, total_wh: int | None = None, rates: tuple[int, int, int, int] | None = None) -> Register:
    """The register of household `number`'s meter."""
    return Register(meter_id(number), total_wh, rates)


def out(
    writer: Writer, world_s: int, *finals: Register, name: str = "H0001", settle: str = "leave", target: str = ""
) -> MovedOut:
    """A household moves out, by default the first."""
    return writer.run(
        lambda unit: moves.move_out(unit, ESTATE, name, finals, Settlement(settle, target), now=at(world_s), **WHO)
    )


def open_new(writer: Writer, world_s: int, room_id: str = "1-0001", name: str = NEW, **more: str) -> None:
    """Open an account for the next household."""
    words = {"holder": "next", "tariff_id": "single", **more}
    writer.run(lambda unit: accounts.open_account(unit, ESTATE, name, room_id=room_id, now=at(world_s), **words, **WHO))


def move_in(writer: Writer, world_s: int, *bases: Register, name: str = NEW, tier_policy: str = "household") -> MovedIn:
    """The next household moves in."""
    return writer.run(
        lambda unit: moves.move_in(unit, ESTATE, name, bases, now=at(world_s), tier_policy=tier_policy, **WHO)
    )


def act(writer: Writer, world_s: int, verb: str, name: str = "H0001", *more: str) -> None:
    """Pause, resume, close_account or set_payment."""
    writer.run(lambda unit: getattr(accounts, verb)(unit, ESTATE, name, *more, now=at(world_s), **WHO))


def book(
    writer: Writer, amount_fen: int, key: str = "key-1", world_s: int = 0, actor: str = "olga", **more: str
) -> Booked:
    """Book something on an account, by default an adjustment of household 1."""
    values = {"account_id": "H0001", "act": "adjusted", "reason": "a wrong register", **more}
    booking = Booking(amount_fen=amount_fen, key=key, **values)
    return writer.run(lambda unit: adjustments.book(unit, ESTATE, booking, actor, at(world_s)))


def carry(writer: Writer, world_s: int, name: str, target: str) -> dict[str, int]:
    """Carry everything over."""
    return writer.run(lambda unit: adjustments.carry(unit, ESTATE, name, target, now=at(world_s), **WHO))


def told(engine: object, name: str = "H0001") -> list[tuple[object, ...]]:
    """The acts of an account in order, each with its amount."""
    with reader(engine) as connection:  # type: ignore[arg-type]
        return [(row["act"], row["amount_fen"]) for row in reversed(kept.life(connection, ESTATE, name))]


def still_open(engine: object, name: str = "H0001", world_s: int = 0) -> list[str]:
    """Kinds of what is open of an account."""
    with reader(engine) as connection:  # type: ignore[arg-type]
        return [one.kind for one in kept.open_things(connection, ESTATE, name, at(world_s).machine_ms)]
