"""Taking a provider's bill file in, from a page or the API: read with the provider's own eyes, then one flow."""

from datetime import date

from server.errors import NotFound, Refused
from server.flows import reconciliation as flows
from server.store.unit import Deed
from server.web.principal import Principal
from server.web.state import WebState


def day_text(day: str) -> str:
    """A day as YYYY-MM-DD; Refused for anything else."""
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError as error:
        raise Refused(f"{day!r} is no day; write YYYY-MM-DD") from error


def take_file(state: WebState, who: Principal, provider: str, day: str, content: bytes) -> flows.Loaded:
    """Keep the file and compare; NotFound without such a provider, Refused for a file that is wrong."""
    payer = state.providers.get(provider)
    if payer is None:
        raise NotFound(f"no payment provider {provider!r}; there are: {', '.join(state.providers) or 'none'}")
    rows, now = payer.read_bill(content), state.clock.now()
    return state.writer.run(
        Deed(flows.load, who.estate_id, provider, day, content, rows, source=flows.UPLOADED, actor=who.login, now=now)
    )
