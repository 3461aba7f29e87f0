from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, final

from typing_extensions import Buffer

class _ArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

# NumPy's stubs show the buffer protocol only from Python 3.12 on
_Array: TypeAlias = Buffer | _ArrayInterface

SLOTS: int
TRAITS: int
BLOCK_DAYS: int
DAYS_MAX: int

@final
class LoadTable:
    count: int
    origin_ms: int
    offset_ms: int
    first_day: int

    def __init__(
        self,
        keys: _Array,
        traits: _Array,
        profiles: _Array,
        weather: Callable[[int, int], _Array],
        *,
        origin_ms: int,
        offset_ms: int,
        export: bool = False,
    ) -> None: ...
    def energy(self, index: int, at_ms: int) -> int: ...
    def power_mw(self, index: int, at_ms: int) -> int: ...
    def reached_ms(self, index: int, energy: int) -> int: ...
    def boundaries(self, indices: _Array, day: int, out: _Array) -> None: ...
