"""Who may do what: roles by verbs, one explicit table.

Verbs are `noun.verb`. The administrator keeps people and settings and touches no money; a cashier sells and sees
households; only operators touch supply. API clients carry scopes with the same names instead of a role.
"""

ROLES = ("admin", "operator", "cashier", "reader", "resident", "kiosk")

_LOOK = frozenset(
    {"estate.view", "households.list", "household.view", "bus.view", "case.view", "statistics.view", "supply.view"}
    | {"settlement.view"}
    | {"payment.view"}
    | {"tariff.view"}
)
_TABLE: dict[str, frozenset[str]] = {
    "admin": _LOOK | {"people.manage", "meter.read", "supply.stop"},
    "operator": _LOOK
    | {"meter.read", "meter.exchange", "reading.settle", "case.handle", "supply.close", "supply.stop", "supply.mode"}
    | {"topup.sell", "order.create", "recharge.order", "recharge.decide", "meter.set", "meter.install"}
    | {"supply.rules", "settlement.close", "allocation.post", "recovery.rule", "tariff.edit"}
    | {"refund.order", "refund.decide", "suspense.assign", "topup.reverse"}
    | {"account.manage", "account.book"}
    | {"notice.give"}
    | {"reconciliation.load", "reconciliation.settle"},
    "cashier": frozenset(
        {"estate.view", "households.list", "household.view", "meter.read", "topup.sell", "order.create"}
        | {"recharge.order", "payment.view", "topup.reverse"}
    ),
    "reader": _LOOK,
    "resident": frozenset({"household.view", "order.create"}),
    "kiosk": frozenset({"kiosk.use", "order.create"}),
}
VERBS = frozenset().union(*_TABLE.values())
TOPUPS = "topups.write"  # signed top-ups by third parties, which no person writes
SCOPES = VERBS | {TOPUPS}


def allows(role: str, verb: str) -> bool:
    """Whether `role` has `verb`; unknown roles and verbs have nothing, and "" asks only for being signed in."""
    if verb == "":
        return role in _TABLE
    return verb in _TABLE.get(role, frozenset())
