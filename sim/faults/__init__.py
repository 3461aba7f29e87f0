"""What goes wrong, when, and the labels that say so afterwards.

A fault begins at a world time, by the scenario's schedule, by rates, or by the control API, and may end. Kinds come in
four classes: thefts, meters, communication, and benign ones that only look like the others. Each kind says which keys
it takes, what it does at its beginning and end, and what its label tells; `KINDS` has them by name. Nothing here knows
the world: it is seen through a narrow `Stage`.
"""

from sim.estate import FaultConfig
from sim.faults.board import ActiveFault, FaultBoard
from sim.faults.fault import (
    BENIGN,
    BUS,
    COMMUNICATION,
    GATE,
    HOUSEHOLD,
    METER,
    THEFT,
    Fault,
    Key,
    StillRunning,
    WrongPlace,
)
from sim.faults.registry import KINDS

__all__ = [
    "BENIGN",
    "BUS",
    "COMMUNICATION",
    "GATE",
    "HOUSEHOLD",
    "KINDS",
    "METER",
    "THEFT",
    "ActiveFault",
    "Fault",
    "FaultBoard",
    "FaultConfig",
    "Key",
    "StillRunning",
    "WrongPlace",
]
