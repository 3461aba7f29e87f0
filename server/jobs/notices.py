"""Hands queued notices to their channels; the receipt, not the hand-over, makes them delivered."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import notices as flows
from server.notify.sender import Dispatch, Outgoing, Sender
from server.store import notices as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

BATCH_MAX = 200
ATTEMPTS_MAX = 3
Render = Callable[[str, Mapping[str, Any], str], str]


class NoticeJob:
    """Sends what is queued, each notice at most three times."""

    name = "notices"
    interval_s = 0.5

    def __init__(
        self,
        engine: Engine,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        *,
        senders: Mapping[str, Sender],
        render: Render,
        language: str = "zh_CN",
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._senders, self._render, self._language = senders, render, language

    def run_once(self) -> None:
        """Send one batch. The row says "sent" before the channel has it, so that a receipt cannot overtake it."""
        with reader(self._engine) as connection:
            rows = kept.queued(connection, self._estate_id, limit=BATCH_MAX)
        for row in rows:
            sender = self._senders.get(row["channel"])
            notice_id = row["notice_id"]
            if sender is None:
                self._fail(notice_id, f"no sender for the channel {row['channel']}", final=True)
                continue
            self._writer.run(partial(self._mark_sent, notice_id))
            done = self._send(sender, row)
            if not done.sent:
                self._fail(notice_id, done.failure, final=row["attempts"] + 1 >= ATTEMPTS_MAX)

    def _mark_sent(self, notice_id: str, unit: Unit) -> None:
        flows.mark_sent(unit, self._estate_id, notice_id, self._clock.now())

    def _send(self, sender: Sender, row: Any) -> Dispatch:
        language = row["language"] or self._language
        text = self._render(row["kind"], json.loads(row["arguments"]), language)
        return sender.send(
            Outgoing(self._estate_id, row["notice_id"], row["account_id"], row["kind"], row["phone"], text)
        )

    def _fail(self, notice_id: str, reason: str, *, final: bool) -> None:
        self._writer.run(
            lambda unit: flows.mark_failed(unit, self._estate_id, notice_id, reason, self._clock.now(), final=final)
        )
