"""An office that gives money back: the verbs of refunds on top of the stage of the supply tests."""

from dataclasses import replace

from server.domain.ledger import REFUNDS, SUSPENSE
from server.flows import approvals, payments, refunds
from server.flows.verification import verify
from server.pay.provider import PaidEvent, RefundEvent, RefundState
from server.store import schema
from tests.server.estates import ESTATE, MACHINE_MS, account_id
from tests.server.supply_stage import Stage

PAID_FEN = 5000


class Office(Stage):
    """A stage with the verbs of money back."""

    def paid(self, number=1, amount_fen=PAID_FEN, name="t1"):
        """An online payment of a household; its id."""
        order_no = self.writer.run(
            lambda unit: payments.create_order(
                unit, ESTATE, account_id(number), amount_fen, "sandbox", "online", "anna", self.now
            )
        ).order_no
        event = PaidEvent("sandbox", f"e-{name}", name, order_no, amount_fen, True, MACHINE_MS)
        self.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=self.now))
        return self.payment(transaction_id=name)["payment_id"]

    def lost(self, amount_fen=PAID_FEN, name="s1"):
        """A payment that fits no order; its id."""
        event = PaidEvent("sandbox", f"e-{name}", name, "unknown", amount_fen, True, MACHINE_MS)
        self.writer.run(lambda unit: payments.record_callback(unit, ESTATE, event, "{}", now=self.now))
        return self.payment(transaction_id=name)["payment_id"]

    def payment(self, **wanted):
        return next(row for row in self.rows(schema.payment) if wanted.items() <= row.items())

    def order(self, payment_id, amount_fen=2000, key="key-0001", reason="moved out", actor="zhou", **more):
        return self.writer.run(
            lambda unit: refunds.order_refund(
                unit, ESTATE, payment_id, amount_fen, key=key, reason=reason, actor=actor, now=self.now, **more
            )
        )

    def ask(self, payment_id, amount_fen, actor="zhou", key="key-0001"):
        return self.writer.run(
            lambda unit: approvals.request_refund(
                unit, ESTATE, payment_id, amount_fen, key=key, reason="moved out", actor=actor, now=self.now
            )
        )

    def do(self, flow, *args, **more):
        return self.writer.run(lambda unit: flow(unit, ESTATE, *args, now=self.now, **more))

    def hear(self, refund_no, **changes):
        row = self.refund(refund_no)
        event = RefundEvent("sandbox", "r1", refund_no, row["order_no"], row["amount_fen"], RefundState.DONE)
        return self.do(refunds.record_callback, replace(event, **changes), "{}")

    def refund(self, refund_no):
        return next(row for row in self.rows(schema.refund) if row["refund_no"] == refund_no)

    def account(self, name):
        return {row["account_id"]: row["balance_fen"] for row in self.rows(schema.account)}.get(name, 0)

    def books(self):
        """What the household, the refunds under way, the provider and suspense have."""
        return tuple(map(self.account, (account_id(1), REFUNDS, "provider:sandbox", SUSPENSE)))

    def judged(self, number):
        """What is decided of a household now."""
        return next(one for one in self.decide() if one[0].account_id == account_id(number))

    def cases(self):
        return [(row["kind"], row["status"]) for row in self.rows(schema.anomaly_case)]

    def agrees(self):
        assert self.look(lambda connection: verify(connection, ESTATE)).mismatches == ()
