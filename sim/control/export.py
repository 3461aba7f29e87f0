"""GET /truth/export: what an auditor judges by, of all meters or of one bus or household, as one JSON array.

The truth of many meters over a long time is large; a slice for each meter keeps the wire from waiting.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.export import export_lines

if TYPE_CHECKING:
    from sim.control.api import Control


def export(control: "Control", query: dict[str, str], _body: Any) -> Iterator[Any]:
    """The estate, its meters (?meter= for one, ?bus= for those of a line) and the labels."""
    world = control.world
    chosen: list[str] = []
    if "meter" in query:
        chosen = [world.household(query["meter"]).meter.config.address]
    elif "bus" in query:
        if query["bus"] not in world.buses:
            raise ValueError(f"no bus {query['bus']}; there are {control.bus_names()}")
        chosen = [meter.config.address for meter in world.buses[query["bus"]].meters()]
    lines: list[dict[str, Any]] = []
    for line in export_lines(world, chosen):
        lines.append(line)
        yield lines
