"""Beginning a payment: the order is committed first, then the provider is asked where the payer pays.

Pages, kiosk and API share this one way. When the provider cannot be reached, the order stays open and harmless.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from sqlalchemy import Connection

from server.domain.ledger import CASH
from server.domain.refunds import PARTNER
from server.errors import NotFound, Refused
from server.flows import payments
from server.store import refunds
from server.web.principal import Principal
from server.web.state import WebState


@dataclass(frozen=True, slots=True)
class BegunPayment:
    """An open order: `pay_url` is a page or else a code to scan; `token` lets its holder watch it without a login."""

    order_no: str
    provider: str
    token: str
    amount_fen: int
    pay_url: str
    is_page: bool


def ask_of(state: WebState, conn: Connection, estate_id: str, payment_id: str) -> None:
    """Refused where a payment came through a provider that is not set up here, so that nobody could be asked."""
    row = refunds.get_payment(conn, estate_id, payment_id)
    if row is None or row["provider"] in (CASH, *state.providers) or row["provider"].startswith(PARTNER):
        return
    raise Refused(f"{row['provider']} is not set up here, so it cannot be asked to send money back; set it up first")


async def begin(
    state: WebState,
    who: Principal,
    account_id: str,
    amount_fen: int,
    *,
    title: str,
    provider: str = "",
    channel: str = "online",
) -> BegunPayment:
    """Create an order for `account_id` and register it with the provider; `channel` is online or kiosk.

    Without a name the first provider of the settings is taken.

    Raises NotFound (provider, account), Refused (amount out of range) and ProviderUnavailable.
    """
    provider = provider or next(iter(state.providers), "")
    payer = state.providers.get(provider)
    if payer is None:
        raise NotFound(f"no payment provider {provider!r}; there are: {', '.join(state.providers) or 'none'}")
    create = partial(
        payments.create_order,
        estate_id=who.estate_id,
        account_id=account_id,
        amount_fen=amount_fen,
        provider=provider,
        channel=channel,
        actor=who.login,
        now=state.clock.now(),
    )
    order = await asyncio.wrap_future(state.writer.submit(create))
    site = state.config.public_url.rstrip("/")
    prepared = await payer.prepare(
        order.order_no,
        amount_fen,
        title=title,
        notify_url=f"{site}/callbacks/{provider}",
        return_url=f"{site}/pay/{order.order_no}?{urlencode({'token': order.token})}",
    )
    return BegunPayment(order.order_no, provider, order.token, amount_fen, prepared.pay_url, prepared.is_page)
