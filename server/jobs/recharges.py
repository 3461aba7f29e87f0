"""Carries recharges into meters and sets their limits and prices, over the lanes of the running collector.

    waiting -> the meter's count is asked, one above it committed -> running: RechargeRun -> booked | refused | again

A recharge whose answer was lost is run again with the same count, which begins by asking the meter for its own; no
other is ever sent. Settings are read first, written only where the meter shows something else, and read back.
"""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Engine, RowMapping

from core.dlt645.commands import Command, Password, Read, Write, reply_value
from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import OVERDRAFT_AMOUNT, REMAINING_AMOUNT, decode_value, encode_value
from core.dlt645.prepaid import QueryStatus, Status
from core.dlt645.search import Heard
from core.errors import CoreError, MeterRefused, ProtocolMisuse
from core.vending import Booked, Order, RechargeRun, Refused, VendingBackend, VendingUnavailable, check_line
from core.vending.recharge import VALIDITY_S, Wanted
from server.clock import Clock
from server.collect.dialect import WRONG_PASSWORD
from server.collect.passwords import Passwords
from server.collect.work import Unlock
from server.domain.local_fee import SETTINGS
from server.errors import EstateError
from server.flows import credits
from server.flows import recharges as flows
from server.store import credits as credits_kept
from server.store import recharges as kept
from server.store.engine import reader
from server.store.unit import Writing

BATCH_MAX = 50
ANSWER_S = 60.0  # a command waits for control orders and reads that go before it
SEED_BYTES = 32
ATTEMPTS = 3

Ask = Callable[[str, Command], "Future[Heard]"]
"""Sends a command on a bus; what was heard, an error of the line, or silence."""

log = logging.getLogger("estate645.jobs")


class RechargeJob:
    """Looks for recharges and settings every few seconds, and at once when one was ordered."""

    name = "recharges"
    interval_s = 5.0

    def __init__(
        self,
        engine: Engine,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        *,
        ask: Ask,
        backend: VendingBackend | None,
        is_simulated: Callable[[str], bool],
        unlock: Unlock,
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._ask = ask
        self._backend = backend
        self._is_simulated = is_simulated
        self._passwords = Passwords.over(unlock, lambda: datetime.fromtimestamp(clock.now().world_s, UTC))

    def run_once(self) -> None:
        """Carry what is due; one that fails does not hold up the others."""
        now_ms = self._clock.now().machine_ms
        with reader(self._engine) as connection:
            recharges = kept.due_recharges(connection, self._estate_id, now_ms, limit=BATCH_MAX)
            settings = kept.due_settings(connection, self._estate_id, now_ms, limit=BATCH_MAX)
            wanted = credits_kept.due(connection, self._estate_id, now_ms, limit=BATCH_MAX)
        for row in recharges:
            self._guarded(partial(self._carry, row), f"recharge {row['recharge_id']}")
        for row in settings:
            self._guarded(partial(self._set, row), f"setting {row['name']} of meter {row['meter_id']}")
        for row in wanted:
            self._guarded(partial(self._credit, row), f"the credit of meter {row['meter_id']}")

    def _credit(self, row: RowMapping) -> None:
        """Ask a meter what it still has and what it has overdrawn, and keep its frames."""
        said, frames = [], []
        for identifier in (REMAINING_AMOUNT, OVERDRAFT_AMOUNT):
            command = Read(row["meter_id"], identifier)
            reply = self._answer(row["bus_id"], command)
            said.append(self._value(command, identifier, reply))
            frames.append("" if reply is None else encode(reply, 0).hex())
        self._writer.run(
            lambda unit: credits.hear(
                unit, self._estate_id, row, said[0], said[1], " ".join(frames), self._clock.now()
            )
        )  # fmt: skip

    def _guarded(self, work: Callable[[], None], what: str) -> None:
        try:
            work()
        except Exception:
            log.exception("%s could not be carried on, the others are", what)

    def _carry(self, row: RowMapping) -> None:
        """One recharge as far as it goes now."""
        recharge_id, resumed = row["recharge_id"], row["status"] == "running"
        try:
            backend = self._fit_backend(row["url"])
            count = row["purchase_count"] if resumed else self._issue(row, backend)
            order = Order(row["meter_id"], row["customer"], count, row["amount_fen"])
        except (CoreError, EstateError) as error:
            self._note(flows.note_undecided, recharge_id, str(error))
            return
        validity_s = VALIDITY_S / self._clock.anchor.factor
        run = RechargeRun(order, os.urandom(SEED_BYTES), resumed=resumed, validity_s=validity_s)
        self._drive(run, row["bus_id"], backend)
        outcome = run.outcome
        if isinstance(outcome, Booked):
            detail = f"count {outcome.count}, proven by its {outcome.proof}"
            self._writer.run(
                lambda unit: flows.settle_booked(
                    unit, self._estate_id, recharge_id, outcome.remaining_fen, detail, self._clock.now()
                )
            )
        elif isinstance(outcome, Refused):
            self._note(flows.settle_refused, recharge_id, "; ".join(name for name, _ in outcome.names))
        elif outcome is not None:
            self._note(flows.note_undecided, recharge_id, "; ".join(name for name, _ in outcome.names))

    def _note(self, flow: Callable[..., None], recharge_id: str, detail: str) -> None:
        self._writer.run(lambda unit: flow(unit, self._estate_id, recharge_id, detail, self._clock.now()))

    def _fit_backend(self, url: str) -> VendingBackend:
        """The backend, if it may meet this line; `ProtocolMisuse` says why not."""
        if self._backend is None:
            raise ProtocolMisuse("no vending backend is configured; set vending_backend")
        check_line(self._backend, is_simulated=self._is_simulated(url))
        return self._backend

    def _issue(self, row: RowMapping, backend: VendingBackend) -> int:
        """Ask the meter for its count and commit the next one before anything carries it."""
        meter_id = row["meter_id"]
        reply = self._answer(row["bus_id"], QueryStatus(meter_id))
        if reply is None or reply.abnormal:
            raise ProtocolMisuse(f"meter {meter_id} did not tell its purchase count")
        status = Status.read(reply.data[4:])
        if not backend.vouches_for(meter_id, status):
            raise ProtocolMisuse(f"the status of meter {meter_id} has a wrong MAC")
        return self._writer.run(
            lambda unit: flows.issue_count(
                unit, self._estate_id, row["recharge_id"], status.count, self._clock.now()
            )
        )  # fmt: skip

    def _drive(self, run: RechargeRun, bus_id: str, backend: VendingBackend) -> None:
        while (step := run.next_step()) is not None:
            if isinstance(step, Wanted):
                try:
                    made = step.ask(backend)
                except VendingUnavailable as error:
                    log.warning("the vending backend did not answer: %s", error)
                    run.backend_failed()
                else:
                    run.supply(made)
                continue
            reply = self._answer(bus_id, step, attempts=1)
            if reply is None:
                run.silent(time.monotonic())
            else:
                run.take(reply, time.monotonic())

    def _answer(self, bus_id: str, command: Command, *, attempts: int = ATTEMPTS) -> Frame | None:
        """The reply to a command; None for silence, and for a line that is away."""
        for _ in range(attempts):
            promise = self._ask(bus_id, command)
            try:
                heard = promise.result(ANSWER_S)
            except (TimeoutError, EstateError, CoreError) as error:
                promise.cancel()
                log.info("bus %s: %s", bus_id, error or "no answer in time")
                continue
            reply = next((one for one in heard.frames if isinstance(one, Frame) and command.match(one)), None)
            if reply is not None:
                return reply
        return None

    def _set(self, row: RowMapping) -> None:
        """Read one figure, write it where it differs, and believe only what is read back."""
        setting, meter_id, bus_id = SETTINGS[row["name"]], row["meter_id"], row["bus_id"]
        detail = ""
        shown = self._shown(bus_id, meter_id, setting.identifier)
        if shown is not None and shown != row["wanted"]:
            detail = self._write(row, setting.identifier)
            shown = self._shown(bus_id, meter_id, setting.identifier)
        if shown is None:
            detail = detail or "the meter does not tell it"
        self._writer.run(
            lambda unit: flows.note_setting(unit, self._estate_id, row, shown, detail, self._clock.now())
        )  # fmt: skip

    def _shown(self, bus_id: str, meter_id: str, identifier: int) -> int | None:
        command = Read(meter_id, identifier)
        return self._value(command, identifier, self._answer(bus_id, command))

    def _value(self, command: Read, identifier: int, reply: Frame | None) -> int | None:
        """The figure in a reply, if it is one."""
        if reply is None or reply.abnormal:
            return None
        try:
            value: Any = decode_value(identifier, reply_value(command, reply))[0]
        except CoreError:
            return None
        return value if isinstance(value, int) else None

    def _write(self, row: RowMapping, identifier: int) -> str:
        """Send the write once; why it was refused, or nothing."""
        try:
            code = self._passwords(row["meter_id"], row["password"])
            secret = Password(row["password_level"], code)
            command = Write(row["meter_id"], identifier, encode_value(identifier, [row["wanted"]]), secret)
            reply = self._answer(row["bus_id"], command, attempts=1)
            if reply is not None:
                reply_value(command, reply)
                self._passwords.accepted(row["meter_id"])
        except MeterRefused as refusal:
            if refusal.err & WRONG_PASSWORD:
                self._passwords.refused(row["meter_id"], row["password"])
            return str(refusal)
        except (CoreError, EstateError) as error:
            return str(error)
        return ""
