from typing import Any, Protocol, TypeAlias

from typing_extensions import Buffer

class _ArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

# NumPy's stubs show the buffer protocol only from Python 3.12 on
_Array: TypeAlias = Buffer | _ArrayInterface

ABSENT: int
NO_IDENTIFIER: int

def decode_dlt645(
    buf: _Array,
    off: _Array,
    addr: _Array,
    ctrl: _Array,
    dlen: _Array,
    di: _Array,
    value: _Array,
    error: _Array,
    *,
    width: int = 4,
    signed_values: bool = False,
    final: bool = False,
) -> tuple[int, int, int]: ...
def encode_dlt645(addr: _Array, di: int, out: _Array) -> None: ...
