"""Opening balances of many households at once, as an import brings them: a batch each, booked once an account."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from server.domain.ledger import OPENING, Entry
from server.errors import Conflict
from server.flows.ledger import Booking, post_all
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

ACCOUNTS_AT_ONCE = 500


def post_openings(
    unit: Unit, estate_id: str, amounts_fen: Mapping[str, int], *, event_at: int, actor: str, now: "Now"
) -> None:
    """Book what each account brings along, unless it was booked.

    Conflict for an account whose opening balance was booked with another amount, NotFound for one that is not there.
    """
    names = sorted(amounts_fen)
    for start in range(0, len(names), ACCOUNTS_AT_ONCE):
        bookings = [
            Booking(
                "opening", (Entry(name, amounts_fen[name]), Entry(OPENING, -amounts_fen[name])), f"opening:{name}",
                event_at, actor, "", now, makes=(OPENING,),
            )
            for name in names[start : start + ACCOUNTS_AT_ONCE]
        ]  # fmt: skip
        bundle = Bundle()
        answers = post_all([unit] * len(bookings), estate_id, bookings, bundle)
        for booking, answer in zip(bookings, answers, strict=True):
            if isinstance(answer, Conflict):
                raise Conflict(
                    f"the opening balance of {booking.entries[0].account_id} was booked with another amount; "
                    "it cannot change any more, book a top-up or a correction instead"
                ) from answer
            if isinstance(answer, Exception):
                raise answer
        bundle.send(unit.connection)
