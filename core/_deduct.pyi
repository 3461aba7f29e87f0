from typing import Any, Protocol, TypeAlias

from typing_extensions import Buffer

class _ArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

# NumPy's stubs show the buffer protocol only from Python 3.12 on
_Array: TypeAlias = Buffer | _ArrayInterface

EVENT_NONE: int
EVENT_ALARM1: int
EVENT_ALARM2: int
EVENT_TRIP: int
EVENT_CLOSE_ALLOWED: int
EVENT_BACKWARDS: int
EVENT_JUMP: int
EVENT_RANGE: int
FLAG_LEVEL_MASK: int
FLAG_KEEP_POWER: int
E_MAX_WH: int
RATIO_MAX: int
ROW_BYTES: int

def deduct(
    prev_wh: _Array,
    new_wh: _Array,
    ratio: _Array,
    tariff: _Array,
    tier_period_wh: _Array,
    balance_nf: _Array,
    alarm1_fen: _Array,
    alarm2_fen: _Array,
    overdraft_fen: _Array,
    flags: _Array,
    charge_nf: _Array,
    event: _Array,
    tariffs: _Array,
    *,
    modulus_wh: int = 1000000000,
    max_delta_wh: int = 100000000,
    index: _Array | None = None,
    runs: _Array | None = None,
    lo: int = 0,
    hi: int | None = None,
) -> None: ...
def update_levels(
    balance_nf: _Array,
    alarm1_fen: _Array,
    alarm2_fen: _Array,
    overdraft_fen: _Array,
    close_allowed_nf: _Array,
    flags: _Array,
    event: _Array,
) -> None: ...
def level_after(
    balance_nf: int,
    alarm1_fen: int,
    alarm2_fen: int,
    overdraft_fen: int,
    close_allowed_nf: int,
    flags: int,
) -> tuple[int, int]: ...
def post_fen(charge_nf: _Array, residue_nf: _Array, posted_fen: _Array) -> None: ...
