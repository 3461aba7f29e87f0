"""Kinds of meters by the protocol that they speak, as a scenario names them and as a column keeps them.

A kind is one small number: the two editions of DL/T 645, then the Modbus models. `ModbusModel` says which register
map of `core.modbus` a model has and how many phases it may measure; the maps themselves are imported only by a world
that has such a meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

EDITION_2007, EDITION_1997, MODBUS = "dlt645-2007", "dlt645-1997", "modbus"
PROTOCOLS = (EDITION_2007, EDITION_1997, MODBUS)


@dataclass(frozen=True, slots=True)
class ModbusModel:
    """The key of the register map, and the numbers of phases, the usual one first."""

    map_key: str
    phases: tuple[int, ...]


MODELS: Mapping[str, ModbusModel] = MappingProxyType(
    {
        "ddsu666": ModbusModel("chint-ddsu666", (1,)),
        "sdm630": ModbusModel("eastron-sdm630", (3, 1)),
        "dds238": ModbusModel("hiking-dds238-2", (1,)),
        "ddsy1352": ModbusModel("acrel-ddsy1352", (1,)),
    }
)
KINDS = (EDITION_2007, EDITION_1997, *MODELS)
KIND_2007, KIND_1997, MODBUS_FIRST = range(3)
SWITCHING_KINDS = (KIND_2007, KINDS.index("dds238"))
"""Whose relay a master can move by something that a source knows."""


def kind_number(protocol: str, model: str) -> int:
    """The number of a protocol and, for Modbus, a model."""
    return KINDS.index(model if protocol == MODBUS else protocol)


def protocol_and_model(kind: int) -> tuple[str, str]:
    """What a scenario calls a kind; the model is empty outside Modbus."""
    return (KINDS[kind], "") if kind < MODBUS_FIRST else (MODBUS, KINDS[kind])
