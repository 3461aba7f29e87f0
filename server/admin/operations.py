"""What commands may do in a running server: see its buses, ask on them, listen to them, take an estate file in.

Questions are reads and go through the lane of their bus, behind control orders and demanded reads. An import is one
unit of the server's own writer, and the collector takes the new buses and meters a moment later.
"""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine

from core.dlt645.masking import Masker
from server.admin.archiving import archive_step
from server.admin.service import Operation
from server.admin.wire import question_of
from server.clock import Clock
from server.collect.passwords import Passwords
from server.collect.supervisor import Supervisor
from server.errors import Refused
from server.flows.estates import import_estate
from server.flows.passwords import relock_passwords
from server.intake.budgets import fields_of
from server.intake.estate_file import read_estate
from server.intake.secrets import without_passwords
from server.keyring import Keyring
from server.store.unit import Writing

FILES = frozenset({"estate.toml", "households.csv", "history.csv"})
ANSWER_S = 60.0  # a question waits for control orders and reads that go before it
LINGER_MAX_S = 5.0
NOTES = ("", "refused", "accepted")  # of a password that was tried
IDLE_S = 1.0  # so often a silent trace looks whether its client is still there
BEHIND_MAX = 10_000  # chunks; a client that does not take them loses the rest, never the collector


class Operations:
    """The operations of one server; without a collector there is nothing to ask or to listen to."""

    def __init__(
        self,
        engine: Engine,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        collector: Supervisor | None,
        keyring: Keyring,
        passwords: Passwords | None = None,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock
        self._estate_id = estate_id
        self._found_collector = collector
        self._keyring = keyring
        self._passwords = passwords

    def all(self) -> Mapping[str, Operation]:
        """By name."""
        return {
            "buses": self.buses,
            "hear": self.hear,
            "trace": self.trace,
            "import": self.take_in,
            "rekey": self.rekey,
            "archive": self.archive,
            "password-tries": self.password_tries,
        }

    def buses(self, _message: Mapping[str, Any]) -> dict[str, Any]:
        """Every bus with its line, and how it is doing."""
        lines = {one.bus_id: one.line for one in self._collector.plans}
        return {
            "done": [
                {"bus": one.bus_id, "url": one.url, "baud": line.baud, "parity": line.parity,
                 "stop_bits": line.stop_bits, "open": one.open, "waiting": one.waiting, "trouble": one.last_error,
                 "meters": one.meters, "silent_meters": one.silent_meters, "last_reply_ms": one.last_reply_ms,
                 "next_s": one.next_s}
                for one in self._collector.status()
                if (line := lines.get(one.bus_id)) is not None
            ]
        }  # fmt: skip

    def hear(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Ask `wire` on a bus and give back all that was heard."""
        question = question_of(str(message["wire"]))
        linger_s = min(int(message.get("linger_ms", 0)) / 1000, LINGER_MAX_S)
        promise = self._collector.ask(str(message["bus"]), question, linger_s)
        try:
            heard = promise.result(ANSWER_S)
        except TimeoutError as error:
            promise.cancel()
            raise Refused(f"the bus did not get to this question within {ANSWER_S:g} s") from error
        return {
            "done": {
                "frames": [frame.to_wire(0).hex() for frame in heard.frames],
                "garbage_bytes": heard.garbage_bytes,
                "latency_ms": round(heard.latency_s * 1000),
            }
        }

    def trace(self, message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Every chunk of bytes on a bus as it goes by, without passwords.

        An empty one comes now and then, so that a client gone is noticed.
        """
        chunks: SimpleQueue[tuple[int, bool, bytes]] = SimpleQueue()
        masks = {True: Masker(), False: Masker()}  # here, so that no password leaves this process

        def tap(sent: bool, data: bytes) -> None:
            if chunks.qsize() < BEHIND_MAX:
                chunks.put((time.time_ns() // 1_000_000, sent, data))

        end = self._collector.listen(str(message["bus"]), tap)
        try:
            while True:
                try:
                    ms, sent, data = chunks.get(timeout=IDLE_S)
                except Empty:
                    ms, sent, data = 0, False, b""
                yield {"ms": ms, "sent": sent, "bytes": masks[sent].feed(data).hex()}
        finally:
            end()

    def take_in(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Import the estate file whose texts the client has read."""
        files = message["files"]
        if not isinstance(files, Mapping) or not FILES.issuperset(files) or "estate.toml" not in files:
            raise Refused(f"an import brings {', '.join(sorted(FILES))} and nothing else")
        with TemporaryDirectory() as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(str(text), "utf-8")
            document = read_estate(Path(folder), self._clock.now().world_s)
        if document.estate.estate_id != self._estate_id:
            raise Refused(
                f"this server serves estate {self._estate_id!r}, the file is of {document.estate.estate_id!r}"
            )
        ready = without_passwords(self._engine, self._keyring, document)
        done = self._writer.run(lambda unit: import_estate(unit, ready, self._clock.now()))
        return {
            "done": {
                "estate": document.estate.estate_id, "households": done.households,
                "new_households": done.new_households, "rooms": done.rooms, "buses": done.buses, "gates": done.gates,
                "users": done.users, "budgets": list(map(fields_of, done.budgets)),
            }
        }  # fmt: skip

    def rekey(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Lock every password with the first key of the server's file, which must be the one that the client names."""
        self._keyring.reload()
        if self._keyring.trouble:
            raise Refused(self._keyring.trouble)
        if self._keyring.names[0] != str(message["key"]):
            raise Refused(
                "the running server still has the keys of its start; restart it, then run `estate645 rekey` once more"
            )
        done = self._writer.run(lambda unit: relock_passwords(unit, self._keyring.relock, self._clock.now()))
        return {"done": {"locked": done.locked, "changed": done.changed, "unopened": list(done.unopened)}}

    def archive(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """One step of archiving, of a file that this process can read."""
        return {"done": archive_step(self._writer, self._clock, self._estate_id, message)}

    def password_tries(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """How often a meter has refused a password today, after `note` of a command that has tried one itself."""
        meter_id, note = str(message["meter"]), str(message.get("note", ""))
        if self._passwords is None or not re.fullmatch(r"[0-9]{12}", meter_id) or note not in NOTES:
            raise Refused(f"passwords are counted of meters with 12 digits, with one of the notes {', '.join(NOTES)}")
        if note == "refused":
            self._passwords.refused(meter_id, "")
        elif note == "accepted":
            self._passwords.accepted(meter_id)
        return {"done": self._passwords.today(meter_id)}

    @property
    def _collector(self) -> Supervisor:
        if self._found_collector is None:
            raise Refused("this server does not read meters; ask the one with collect = true")
        return self._found_collector
