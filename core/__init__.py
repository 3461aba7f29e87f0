"""What both ends of the wire must agree on, and the hot loops.

The compiled modules are private; their functions are offered here. There is no slower twin to fall
back on: a missing extension stops the import and names the command that builds it.
"""

try:
    from core._crc import (
        CRC_MODBUS,
        CRC_X25,
        check_batch,
        crc16_modbus,
        crc16_x25,
        crc_batch,
        dlt_sum,
        sum_batch,
    )
    from core._deduct import (
        E_MAX_WH,
        EVENT_ALARM1,
        EVENT_ALARM2,
        EVENT_BACKWARDS,
        EVENT_CLOSE_ALLOWED,
        EVENT_JUMP,
        EVENT_NONE,
        EVENT_RANGE,
        EVENT_TRIP,
        FLAG_KEEP_POWER,
        FLAG_LEVEL_MASK,
        RATIO_MAX,
        ROW_BYTES,
        deduct,
        level_after,
        post_fen,
        update_levels,
    )
    from core._isa import available as isa_available
    from core._isa import isa
    from core._isa import use as use_isa
    from core._scan import ABSENT, NO_IDENTIFIER, decode_dlt645, encode_dlt645
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the compiled module {missing.name} is missing; build it with `make setup` "
        "or `python setup.py build_ext --inplace` in the source tree"
    ) from missing

__all__ = [
    "ABSENT",
    "CRC_MODBUS",
    "CRC_X25",
    "EVENT_ALARM1",
    "EVENT_ALARM2",
    "EVENT_BACKWARDS",
    "EVENT_CLOSE_ALLOWED",
    "EVENT_JUMP",
    "EVENT_NONE",
    "EVENT_RANGE",
    "EVENT_TRIP",
    "E_MAX_WH",
    "FLAG_KEEP_POWER",
    "FLAG_LEVEL_MASK",
    "NO_IDENTIFIER",
    "RATIO_MAX",
    "ROW_BYTES",
    "check_batch",
    "crc16_modbus",
    "crc16_x25",
    "crc_batch",
    "decode_dlt645",
    "deduct",
    "dlt_sum",
    "encode_dlt645",
    "isa",
    "isa_available",
    "level_after",
    "post_fen",
    "sum_batch",
    "update_levels",
    "use_isa",
]
