"""Carries refunds to the providers: asked once, then asked for under the same number until somebody can tell.

That a provider may have heard of a refund is committed before it does. From then on it is first asked what became of
it, and told again only if it has never heard of it; only its own word settles a refund, and its refusal counts only
where it knows of no refund under this number. A provider that cannot tell is left alone for a while, so that its
silence costs one question and not one for each of its refunds; those of which it could tell least come last, since the
fault may be their own.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from sqlalchemy import Engine, RowMapping

from server.clock import Clock, Now
from server.domain.refunds import RESERVED, next_try_ms
from server.errors import Conflict, EstateError, Refused
from server.flows import refunds as flows
from server.pay.provider import Paid, Provider, RefundState
from server.store import refunds as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

REFUNDS_MAX = 100
PAUSE_MAX_MS = 60_000  # of a provider that cannot tell: what is ordered meanwhile is not late when it is back

log = logging.getLogger("estate645.jobs")


class RefundJob:
    """Looks after open refunds every few seconds, and at once when one was ordered."""

    name = "refunds"
    interval_s = 5.0

    def __init__(
        self,
        engine: Engine,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        *,
        providers: Mapping[str, Provider],
        public_url: str = "",
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._providers = providers
        self._public_url = public_url.rstrip("/")
        self._silences: dict[str, int] = {}  # questions in a row that a provider could not answer
        self._paused_ms: dict[str, int] = {}  # until when it is left alone

    def run_once(self) -> None:
        """Carry what is due; one that fails does not hold up the others."""
        now_ms = self._clock.now().machine_ms
        paused = {name for name, until_ms in self._paused_ms.items() if until_ms > now_ms}
        with reader(self._engine) as connection:
            rows = kept.due_refunds(connection, self._estate_id, now_ms, limit=REFUNDS_MAX, besides=paused)
        for row in rows:
            try:
                if row["provider"] not in paused and not self._carry(row):
                    paused.add(row["provider"])
            except Conflict:
                log.info("refund %s was settled meanwhile", row["refund_no"])
            except Exception:
                log.exception("refund %s could not be carried on, the others are", row["refund_no"])

    def _carry(self, row: RowMapping) -> bool:
        """Take one refund a step on; False where its provider cannot tell."""
        refund_no = row["refund_no"]
        provider = self._providers.get(row["provider"])
        if provider is None:
            detail = f"nobody can be asked: {row['provider']} is not set up here"
            self._run(lambda unit, now: flows.note_open(unit, self._estate_id, refund_no, detail, now))
            return True
        told = True
        try:
            state = self._ask(provider, row)
            detail = "the provider is at it" if state is RefundState.PENDING else ""
        except Refused as error:
            state, detail = RefundState.FAILED, str(error)
        except EstateError as error:
            log.warning("refund %s: %s cannot tell: %s", refund_no, provider.name, error)
            state, detail, told = RefundState.PENDING, str(error), False
        self._note(provider.name, told=told)
        self._run(lambda unit, now: flows.hear(unit, self._estate_id, refund_no, state, detail, now))
        return told

    def _note(self, name: str, *, told: bool) -> None:
        """Leave a provider alone that could not tell, the longer the oftener."""
        if told:
            self._silences.pop(name, None)
            self._paused_ms.pop(name, None)
            return
        tries, now_ms = self._silences.get(name, 0), self._clock.now().machine_ms
        self._silences[name] = tries + 1
        self._paused_ms[name] = min(next_try_ms(tries, now_ms), now_ms + PAUSE_MAX_MS)

    def _ask(self, provider: Provider, row: RowMapping) -> RefundState:
        """What the provider says of the refund, told of it first where it has not heard of it."""
        refund_no, amount_fen = row["refund_no"], row["amount_fen"]
        paid = Paid(row["order_no"] or "", row["transaction_id"])
        if row["status"] != RESERVED:
            state = asyncio.run(provider.query_refund(paid, refund_no, amount_fen))
            if state is not None:
                return state
        self._run(lambda unit, now: flows.mark_asked(unit, self._estate_id, refund_no, now))
        notify_url = f"{self._public_url}/callbacks/{provider.name}" if self._public_url else ""
        return asyncio.run(
            provider.refund(
                paid, refund_no, amount_fen, total_fen=row["paid_fen"], reason=row["reason"], notify_url=notify_url
            )
        )

    def _run(self, work: Callable[[Unit, Now], object]) -> None:
        self._writer.run(lambda unit: work(unit, self._clock.now()), urgent=True)
