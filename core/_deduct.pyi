from typing_extensions import Buffer

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
    prev_wh: Buffer,
    new_wh: Buffer,
    ratio: Buffer,
    tariff: Buffer,
    tier_period_wh: Buffer,
    balance_nf: Buffer,
    alarm1_fen: Buffer,
    alarm2_fen: Buffer,
    overdraft_fen: Buffer,
    flags: Buffer,
    charge_nf: Buffer,
    event: Buffer,
    tariffs: Buffer,
    *,
    modulus_wh: int = 1000000000,
    max_delta_wh: int = 100000000,
    index: Buffer | None = None,
    runs: Buffer | None = None,
    lo: int = 0,
    hi: int | None = None,
) -> None: ...
def update_levels(
    balance_nf: Buffer,
    alarm1_fen: Buffer,
    alarm2_fen: Buffer,
    overdraft_fen: Buffer,
    close_allowed_nf: Buffer,
    flags: Buffer,
    event: Buffer,
) -> None: ...
def level_after(
    balance_nf: int,
    alarm1_fen: int,
    alarm2_fen: int,
    overdraft_fen: int,
    close_allowed_nf: int,
    flags: int,
) -> tuple[int, int]: ...
def post_fen(charge_nf: Buffer, residue_nf: Buffer, posted_fen: Buffer) -> None: ...
def isa() -> str: ...
