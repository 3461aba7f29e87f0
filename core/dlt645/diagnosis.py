"""Known mistakes of other programs in a sound frame: an offset that was forgotten or added twice."""

from core.dlt645.anatomy import OFFSET, Text
from core.dlt645.frame import Frame
from core.dlt645.identifiers import lookup


def suspicions(frame: Frame) -> tuple[Text, ...]:
    """Mistakes of other programs: an identifier of 2007 that makes sense only with another offset."""
    di = frame.identifier
    if di is None or lookup(di) is not None:
        return ()
    plain = di.to_bytes(4, "little")
    for by, en, zh in (
        (OFFSET, "the data was sent without the +33H offset", "数据域未加33H"),
        (-OFFSET, "the +33H offset was added twice", "数据域重复加33H"),
    ):
        meant = int.from_bytes(bytes((byte + by) & 0xFF for byte in plain), "little")
        if lookup(meant) is not None:
            return ((f"{en}: {meant:08X} was meant", f"{zh}：应为{meant:08X}"),)
    return ()
