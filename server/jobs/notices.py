"""Hands queued notices to their channels; the receipt, not the hand-over, makes them delivered.

A message goes by the operator's gateway where there is one, else by the sandbox of a simulated world; with neither it
fails at once. What a channel refused, or whose receipt does not come, is tried again after a growing pause, three times
in all. While the channel itself is away notices wait for it, up to a day, it is asked now and then, each time with
another notice, and from the second time on a case tells people of it. What has come to be untrue meanwhile is not sent.
One notice that cannot be worded or sent holds up no other, and a channel that is slow ends the round, so that the job
can stop.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, RowMapping

from server.clock import Clock, Now
from server.flows import message_gateway
from server.flows import notices as flows
from server.notify.gateway import GATEWAY
from server.notify.sender import Dispatch, Outgoing, Sender
from server.store import notices as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

BATCH_MAX = 200
ATTEMPTS_MAX = 3
PAUSES_MS = (0, 5_000, 60_000)  # before the first, second and third attempt
AWAY_PAUSES_MS = (5_000, 15_000, 60_000)  # before a channel that was away is asked again; the last one from then on
TOLD_TIMES = 2  # one failure alone is no news
AWAY_MS_MAX = 86_400_000  # a warning of yesterday is none
RECEIPT_WAIT_MS = 10 * 60 * 1000
ROUND_MS_MAX = 2_000  # of handing over; the rest is for the next round, half a second later

Render = Callable[[str, Mapping[str, Any], str], str]

log = logging.getLogger("estate645.jobs")


class NoticeJob:
    """Sends what is queued; `render(kind, arguments, language)` words a notice for its reader."""

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
        self._not_before_ms: dict[str, int] = {}
        self._away_times = self._away_until_ms = 0
        self._away_since: int | None = None
        self._may_be_told = True  # of a gateway that is away, by this process or the one before

    def run_once(self) -> None:
        """Send what is due, then take back what got no receipt in time."""
        now = self._clock.now()
        if GATEWAY not in self._senders:
            self._is_back(message_gateway.GONE, now)
        now_ms = now.machine_ms
        with reader(self._engine) as connection:
            queued = kept.queued(connection, self._estate_id, now.world_s, limit=BATCH_MAX)
            unanswered = kept.unanswered(connection, self._estate_id, now_ms - RECEIPT_WAIT_MS, limit=BATCH_MAX)
        waiting = {row["notice_id"]: self._not_before_ms.get(row["notice_id"], 0) for row in queued}
        self._not_before_ms = {name: at_ms for name, at_ms in waiting.items() if at_ms}
        for row in queued:
            if now_ms < self._away_until_ms or self._clock.now().machine_ms - now_ms > ROUND_MS_MAX:
                break
            if waiting[row["notice_id"]] <= now_ms:
                self._hand_over(row, now_ms)
        for row in unanswered:
            self._fail(row["notice_id"], "no receipt came", attempts=row["attempts"])

    def _hand_over(self, row: RowMapping, now_ms: int) -> None:
        """Send one notice. The row says "sent" before the channel has it, so that a receipt cannot overtake it."""
        notice_id, attempts = row["notice_id"], row["attempts"] + 1
        channel = self._channel_of(row)
        arguments = self._writer.run(lambda unit: self._begin(unit, notice_id, channel))
        if arguments is None:
            return
        done = self._send(row, channel, arguments)
        if done.away and now_ms - row["created_ms"] <= AWAY_MS_MAX:
            self._wait_for_channel(notice_id, done.failure, now_ms)
            return
        if self._away_times and not done.away:
            log.warning("the channel %s takes messages again", channel)
            self._away_times, self._away_since = 0, None
        if channel == GATEWAY and not (done.away or done.final):
            self._is_back(message_gateway.BACK, self._clock.now())
        if channel not in self._senders or done.final or done.away:
            self._fail(notice_id, done.failure, attempts=ATTEMPTS_MAX)
        elif not done.sent:
            self._not_before_ms[notice_id] = now_ms + PAUSES_MS[min(attempts, len(PAUSES_MS) - 1)]
            self._fail(notice_id, done.failure, attempts=attempts)

    def _wait_for_channel(self, notice_id: str, why: str, now_ms: int) -> None:
        """It may be this notice that brings the channel down: others are tried before it."""
        if not self._away_times:
            log.error("a channel takes no messages, which wait for it: %s", why)
        self._away_until_ms = now_ms + AWAY_PAUSES_MS[min(self._away_times, len(AWAY_PAUSES_MS) - 1)]
        self._not_before_ms[notice_id] = now_ms + AWAY_PAUSES_MS[-1]
        self._away_times += 1
        now = self._clock.now()
        since = self._away_since = now.world_s if self._away_since is None else self._away_since
        tells = self._away_times >= TOLD_TIMES

        def put_back(unit: Unit) -> None:
            flows.put_back(unit, self._estate_id, notice_id, why)
            if tells:
                message_gateway.tell_away(unit, self._estate_id, why, since, now)

        self._writer.run(put_back)
        self._may_be_told = self._may_be_told or tells

    def _is_back(self, resolution: str, now: Now) -> None:
        """Nothing is to be told of the gateway any more."""
        if self._may_be_told:
            self._writer.run(lambda unit: message_gateway.tell_back(unit, self._estate_id, resolution, now))
            self._may_be_told = False

    def _channel_of(self, row: RowMapping) -> str:
        """Which channel a message goes by: the gateway, or else the only other one that there can be."""
        if GATEWAY in self._senders:
            return GATEWAY
        return next(iter(self._senders), flows.MESSAGE) if row["channel"] == flows.MESSAGE else str(row["channel"])

    def _begin(self, unit: Unit, notice_id: str, channel: str) -> str | None:
        """Mark a notice as sent; its arguments as they are now, None where it is not to be sent any more."""
        now = self._clock.now()
        if not flows.bring_up_to_date(unit, self._estate_id, notice_id, now):
            return None
        flows.mark_sent(unit, self._estate_id, notice_id, now, channel=channel)
        found = kept.get(unit.connection, self._estate_id, notice_id)
        return None if found is None else str(found["arguments"])

    def _send(self, row: RowMapping, channel: str, arguments: str) -> Dispatch:
        sender = self._senders.get(channel)
        if sender is None:
            what = flows.NO_GATEWAY if channel == flows.MESSAGE else f"no sender for the channel {channel}"
            return Dispatch(sent=False, delivered=False, failure=what)
        language = row["language"] or self._language
        try:
            text = self._render(row["kind"], json.loads(arguments), language)
            own = (self._estate_id, row["notice_id"], row["account_id"], row["kind"], row["phone"], text)
            return sender.send(Outgoing(*own, language, row["event_at"]))
        except Exception as error:
            log.exception("notice %s (%s) could not be sent", row["notice_id"], row["kind"])
            return Dispatch(sent=False, delivered=False, failure=f"{type(error).__name__}: {error}")

    def _fail(self, notice_id: str, reason: str, *, attempts: int) -> None:
        final = attempts >= ATTEMPTS_MAX
        self._writer.run(
            lambda unit: flows.mark_failed(unit, self._estate_id, notice_id, reason, self._clock.now(), final=final)
        )
