"""The route of the control API that records a bus while it runs.

POST /record {"bus", "file"}   write everything from now on to a new file; null ends it

Only a new file whose name ends with .pcap is written: whoever may talk to the simulator may not overwrite anything.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import RecordingError, ScenarioError
from sim.scenario.section import Section

if TYPE_CHECKING:
    from sim.control.api import Control

SUFFIX = ".pcap"


def record(control: "Control", _query: dict[str, str], body: Any) -> Iterator[Any]:
    """POST /record."""
    section = Section("/record", "body", body)
    bus_id = section.text("bus")
    bus = control.world.buses.get(bus_id)
    if bus is None:
        raise ScenarioError(f"/record: there is no bus {bus_id}; allowed: {control.bus_names()}")
    if not section.has("file"):
        raise section.wrong("file", f"an absolute path that ends with {SUFFIX}, or null to end the recording")
    path = None if section.raw("file") is None else Path(section.text("file"))
    section.finish()
    ended = bus.recording
    if path is None:
        bus.stop_recording()
    else:
        _refuse(path)
        bus.record(path, control.world.origin_ms * 1000)
    yield {"bus": bus_id, "file": None if path is None else str(path), "ended": None if ended is None else str(ended)}


def _refuse(path: Path) -> None:
    if not path.is_absolute() or path.suffix != SUFFIX:
        raise ScenarioError(f"/record: file {path}; allowed: an absolute path that ends with {SUFFIX}")
    if path.exists():
        raise RecordingError(f"{path} exists; name another file, or remove it")
