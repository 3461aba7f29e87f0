"""Why a meter answers abnormally: the ERR byte of 2007, and the error word of a sealed 1CH."""

ERR_OTHER = 0x01
ERR_NO_DATA = 0x02
ERR_PASSWORD = 0x04
ERR_BAUD = 0x08
ERR_ZONES = 0x10
ERR_SLOTS = 0x20
ERR_RATES = 0x40

MAC_WRONG = 1 << 1
NOT_ALLOWED = 1 << 2
DEADLINE_INVALID = 1 << 4
TRIP_KEPT = 1 << 5
RESTORE_KEPT = 1 << 6
RESTORE_TIME_INVALID = 1 << 7
RESTORE_TRIPPED = 1 << 8


class RefusedError(Exception):
    """The meter answers abnormally with this ERR byte, or to a sealed 1CH with this word."""

    def __init__(self, err: int, word: int = NOT_ALLOWED) -> None:
        super().__init__(f"ERR {err:02X}H")
        self.err = err
        self.word = word
