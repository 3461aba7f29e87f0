from numpy import int32, int64, uint8, uint16
from numpy.typing import NDArray

RATES: int

def stream(
    prev_wh: NDArray[int32],
    new_wh: NDArray[int32],
    ratio: NDArray[int32],
    tariff: NDArray[uint16],
    tier_period_wh: NDArray[int64],
    balance_nf: NDArray[int64],
    alarm1_fen: NDArray[int32],
    alarm2_fen: NDArray[int32],
    overdraft_fen: NDArray[int32],
    flags: NDArray[uint8],
    charge_nf: NDArray[int64],
    event: NDArray[uint8],
) -> None: ...
