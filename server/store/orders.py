"""The pay-to-power clock of payment orders: it starts with the payment and stops at the read-back."""

from sqlalchemy import Connection

from server.store.schema import payment_order


def mark_power_permitted(connection: Connection, estate_id: str, account_id: str, read_ms: int) -> None:
    """The relay was read back closed, or permitted to close: stops the clock of paid orders that wait for it."""
    connection.execute(
        payment_order.update()
        .where(
            payment_order.c.estate_id == estate_id,
            payment_order.c.account_id == account_id,
            payment_order.c.status == "paid",
            payment_order.c.powered_off == 1,
            payment_order.c.confirmed_ms.is_(None),
            payment_order.c.paid_ms <= read_ms,
        )
        .values(confirmed_ms=read_ms)
    )


def mark_button(connection: Connection, estate_id: str, account_id: str, read_ms: int) -> None:
    """The relay was read back closed: the button has been pressed, or the close was direct."""
    connection.execute(
        payment_order.update()
        .where(
            payment_order.c.estate_id == estate_id,
            payment_order.c.account_id == account_id,
            payment_order.c.confirmed_ms.is_not(None),
            payment_order.c.button_ms.is_(None),
        )
        .values(button_ms=read_ms)
    )
