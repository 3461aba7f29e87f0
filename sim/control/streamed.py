"""Routes whose answer is long: made and sent piece by piece, never whole in memory.

GET /truth                 every household and main meter as it really is
GET /truth/labels          faults with span and energy
GET /truth/export          what an auditor judges by, of all meters or of one bus or household

A route here yields JSON text, one household, meter or label a step. A thread of the control API asks the loop for the
next piece when it has sent the one before, so the loop spends a slice at a time on it and a slow reader costs nothing.
Energies and registers are those of the instant at which the answer began.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sim.export import export_lines
from sim.truth import gate_truth, household_truth, truth_head

if TYPE_CHECKING:
    from sim.control.api import Control

PIECE_CHARS = 65_536
Pieces = Iterator[str]


def gathered(pieces: Pieces) -> Iterator[str | None]:
    """Steps of the loop that end with one piece of some size; an empty one when nothing is left."""
    texts, size = [], 0
    for text in pieces:
        texts.append(text)
        size += len(text)
        if size >= PIECE_CHARS:
            break
        yield None
    yield "".join(texts)


def truth(control: "Control", _query: dict[str, str], _body: Any) -> Pieces:
    """GET /truth."""
    world, at_ms = control.world, control.world.now_ms
    yield json.dumps(truth_head(world, at_ms)).removesuffix("}") + ', "households": '
    yield from _array(household_truth(household, at_ms) for household in world.households.values())
    yield ', "gates": ['
    for number, (gate, group) in enumerate(zip(world.gates.values(), world.fleet.groups, strict=True)):
        for _ in group.days_until(at_ms):
            yield ""
        yield _item(number, gate_truth(gate.meter, gate.config.gate_id, gate.config.feeds, at_ms))
    yield "]}"


def labels(control: "Control", _query: dict[str, str], _body: Any) -> Pieces:
    """GET /truth/labels."""
    board, now_ms = control.world.faults, control.world.now_ms
    return _array(board.label(active, now_ms) for active in list(board.faults))


def export(control: "Control", query: dict[str, str], _body: Any) -> Pieces:
    """GET /truth/export: the estate, its meters (?meter= for one, ?bus= for those of a line) and the labels."""
    world = control.world
    chosen: list[str] = []
    if "meter" in query:
        chosen = [world.household(query["meter"]).meter.config.address]
    elif "bus" in query:
        if query["bus"] not in world.buses:
            raise ValueError(f"no bus {query['bus']}; there are {control.bus_names()}")
        chosen = [meter.config.address for meter in world.buses[query["bus"]].meters()]
    return _array(export_lines(world, chosen))


def _array(items: Iterable[dict[str, Any]]) -> Pieces:
    yield "["
    for number, item in enumerate(items):
        yield _item(number, item)
    yield "]"


def _item(number: int, item: dict[str, Any]) -> str:
    return (", " if number else "") + json.dumps(item)


STREAMED = {"/truth": truth, "/truth/labels": labels, "/truth/export": export}
