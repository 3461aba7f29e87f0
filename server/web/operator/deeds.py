"""What every form of the staff does with its deed: run it in the writer, then lead to a page; and the two answers that
a second person has for a request, which are the same wherever it waits.
"""

from collections.abc import Callable, Sequence

from starlette.responses import RedirectResponse

from server.flows import approvals
from server.store.unit import Deed, Unit
from server.web.principal import Principal
from server.web.state import WebState


def done(state: WebState, work: Callable[[Unit], object], to: str, *, urgent: bool = False) -> RedirectResponse:
    """Do it, then see the page `to`; `urgent` goes before what is not."""
    state.writer.run(work, urgent=urgent)
    return RedirectResponse(to, 303)


def approved(
    state: WebState, who: Principal, approval_id: str, payload_sha256: str, to: str, *, kinds: Sequence[str] = ()
) -> RedirectResponse:
    """Agree to exactly the hash that the page showed, if the request is one of `kinds`; without any, of all."""
    deed = Deed(
        approvals.approve,
        who.estate_id,
        approval_id,
        payload_sha256,
        actor=who.login,
        now=state.clock.now(),
        fresh=who.fresh,
        kinds=tuple(kinds),
        clock_sane=state.clock_sane(),
    )
    return done(state, deed, to)


def withdrawn(state: WebState, who: Principal, approval_id: str, to: str) -> RedirectResponse:
    """Take a request back."""
    return done(state, Deed(approvals.withdraw, who.estate_id, approval_id, actor=who.login, now=state.clock.now()), to)
