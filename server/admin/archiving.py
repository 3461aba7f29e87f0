"""The steps of archiving that write: done in a running server for the command, or by the command where none runs.

Each is one unit of the writer; the command says which file and goes on until nothing is left to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.clock import Clock
from server.errors import Refused
from server.flows import reading_archive as readings
from server.flows.archive import clear, file_hash, is_next_to_restore, move, put_back, restored
from server.store.unit import Unit, Writing

ACTOR = "command line"
READINGS = "readings "  # before the steps that move readings


def archive_step(writer: Writing, clock: Clock, estate_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Do one step: move, clear, put_back or restored."""
    step, path = str(message["step"]), Path(str(message.get("file", "")))
    if step.startswith(READINGS):
        return _readings_step(writer, clock, estate_id, step.removeprefix(READINGS), message)
    if step == "clear":
        return {"lines": writer.run(lambda unit: clear(unit, estate_id))}
    if step == "put_back":
        batches = [int(seq) for seq in message["batches"]]
        return {"lines": writer.run(lambda unit: put_back(unit, estate_id, path, batches))}
    sha256 = file_hash(path)
    if step == "move":
        act = writer.run(lambda unit: move(unit, estate_id, path, sha256, ACTOR, clock.now()))
    elif step == "restored":

        def end(unit: Unit) -> Any:
            known = is_next_to_restore(unit.connection, estate_id, path, sha256)
            return restored(unit, estate_id, known, ACTOR, clock.now())

        act = writer.run(end)
    else:
        raise Refused(f"there is no step {step!r} of archiving")
    return act._asdict()


def _readings_step(
    writer: Writing, clock: Clock, estate_id: str, step: str, message: Mapping[str, Any]
) -> dict[str, Any]:
    """Do one step with readings: move, clear, put_back or restored; the first two and the last tell what was done."""
    path = Path(str(message["file"]))
    if step in ("clear", "put_back"):
        portion = readings.clear if step == "clear" else readings.put_back
        at, meter_id = message["after"]
        count, after = writer.run(lambda unit: portion(unit, estate_id, path, (int(at), str(meter_id))))
        return {"readings": count, "after": after}
    sha256 = file_hash(path)
    if step == "move":
        act = writer.run(lambda unit: readings.move(unit, estate_id, path, sha256, ACTOR, clock.now()))
    elif step == "restored":

        def end(unit: Unit) -> Any:
            known = readings.to_restore(unit.connection, estate_id, path, sha256)
            return readings.restored(unit, estate_id, known, ACTOR, clock.now())

        act = writer.run(end)
    else:
        raise Refused(f"there is no step {step!r} of archiving readings")
    return act._asdict()
