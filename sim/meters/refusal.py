"""Why a meter answers abnormally: the ERR byte of 2007."""

ERR_OTHER = 0x01
ERR_NO_DATA = 0x02
ERR_PASSWORD = 0x04
ERR_BAUD = 0x08
ERR_ZONES = 0x10
ERR_SLOTS = 0x20
ERR_RATES = 0x40


class RefusedError(Exception):
    """The meter answers abnormally with this ERR byte."""

    def __init__(self, err: int) -> None:
        super().__init__(f"ERR {err:02X}H")
        self.err = err
