"""Notices that the staff gives to a household by telephone, by letter or in person, and notes as given."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse

from server.flows import notices
from server.flows.notices import RECIPIENT_LENGTH_MAX
from server.store.direct import Row
from server.store.unit import Deed
from server.web.deps import State, need
from server.web.operator.deeds import done
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)


def waiting_of(rows: Sequence[Row]) -> list[Row]:
    """The page notices among `rows` that reached the household on no channel yet, in the order of `rows`."""
    reached = {(row["kind"], row["created_ms"]) for row in rows if row["status"] == "delivered"}
    return [row for row in rows if row["channel"] == "page" and (row["kind"], row["created_ms"]) not in reached]


@router.post("/households/{account_id}/notices/given")
def given(
    state: State,
    who: Annotated[Principal, Depends(need("notice.give"))],
    account_id: str,
    notice_id: Annotated[str, Form(max_length=64)],
    way: Annotated[str, Form(max_length=20)],
    recipient: Annotated[str, Form(max_length=RECIPIENT_LENGTH_MAX)],
) -> RedirectResponse:
    """Note a notice as given: it is delivered now."""
    deed = Deed(
        notices.give, who.estate_id, account_id, notice_id, way, recipient, actor=who.login, now=state.clock.now()
    )
    return done(state, deed, f"/households/{account_id}")
