"""Notices that the staff gives to a household by telephone, by letter or in person, and notes as given.

What became of each notice stands in `households`: `GET /households/ACCOUNT/notices`.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from server.flows import notices as flows
from server.flows.notices import RECIPIENT_LENGTH_MAX
from server.store.unit import Deed
from server.web.api.accounts import AccountId
from server.web.api.bookings import Key
from server.web.api.readings import TEXT
from server.web.api.shapes import Notice, Shape, shape_row
from server.web.deps import State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["households"])


class GivenNotice(Shape):
    """A notice of channel `page`, how it was given, and who received it; `key` makes a repeat harmless."""

    notice_id: str = Field(min_length=1, max_length=64, pattern=TEXT)
    way: str = Field(pattern=f"^({'|'.join(flows.WAYS)})$")
    recipient: str = Field(min_length=1, max_length=RECIPIENT_LENGTH_MAX, pattern=TEXT)
    key: Key


@router.post(
    "/households/{account_id}/notices/given",
    response_model=Notice,
    status_code=201,
    summary="Note a notice as given by hand",
)
def give(
    state: State, who: Annotated[Principal, Depends(need("notice.give"))], account_id: AccountId, body: GivenNotice
) -> Notice:
    """It is delivered from now on, which the grace runs from; the answer is the row of channel `hand`.

    409 for a notice that was delivered before on any channel, and for a `key` that stood for something else.
    """
    deed = Deed(
        flows.give, who.estate_id, account_id, body.notice_id, body.way, body.recipient, actor=who.login,
        now=state.clock.now(), key=body.key,
    )  # fmt: skip
    given: Notice = shape_row(Notice, state.writer.run(deed))
    return given
