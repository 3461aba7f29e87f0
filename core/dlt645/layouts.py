"""What the data field of each control code holds, piece by piece, for both editions and directions.

A piece is (role, bytes); 0 bytes is the rest. Roles say how a piece is read: di, value, seq, pa, secret, operator,
action, reserved, datetime, moment, address, baud, freeze, terminal, err, rest. A data field that is shorter than its
pieces is reported as such, not guessed at.
"""

from dataclasses import dataclass

Piece = tuple[str, int]

_WHO: tuple[Piece, ...] = (("pa", 1), ("secret", 3), ("operator", 4))
_NONE: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """One function code: its name and the pieces of request and normal reply."""

    name_en: str
    name_zh: str
    request: tuple[Piece, ...] = _NONE
    reply: tuple[Piece, ...] = _NONE


FUNCTIONS_2007 = {
    0x03: Function("security authentication", "安全认证", (("di", 4), ("operator", 4), ("security", 0)),
                   (("di", 4), ("security", 0))),
    0x08: Function("broadcast time", "广播校时", (("datetime", 6),)),
    0x11: Function("read data", "读数据", (("di", 4), ("load", 0)), (("di", 4), ("value", 0))),
    0x12: Function("read follow-up data", "读后续数据", (("di", 4), ("seq", 1)), (("di", 4), ("part", -1), ("seq", 1))),
    0x13: Function("read address", "读通信地址", _NONE, (("address", 6),)),
    0x14: Function("write data", "写数据", (("di", 4), *_WHO, ("value", 0))),
    0x15: Function("write address", "写通信地址", (("address", 6),)),
    0x16: Function("freeze", "冻结命令", (("freeze", 4),)),
    0x17: Function("change baud rate", "更改通信速率", (("baud", 1),), (("baud", 1),)),
    0x18: Function("change password", "修改密码", (("di", 4), ("pa", 1), ("secret", 3), ("pa", 1), ("secret", 3)),
                   (("pa", 1), ("secret", 3))),
    0x19: Function("clear maximum demand", "最大需量清零", _WHO),
    0x1A: Function("clear meter", "电表清零", (*_WHO, ("cipher", 0))),
    0x1B: Function("clear events", "事件清零", (*_WHO, ("events", 4))),
    0x1C: Function("relay control", "跳合闸、报警、保电", (*_WHO, ("action", 1), ("parameter", 1), ("moment", 6)),
                   (("execution", 0),)),
    0x1D: Function("multi-function terminal output", "多功能端子输出控制命令", (("terminal", 1),), (("terminal", 1),)),
}  # fmt: skip

FUNCTIONS_1997 = {
    0x01: Function("read data", "读数据", (("di97", 2), ("rest", 0)), (("di97", 2), ("value97", 0))),
    0x02: Function("read follow-up data", "读后续数据", (("di97", 2), ("rest", 0)), (("di97", 2), ("part", 0))),
    0x03: Function("read again", "重读数据", (("rest", 0),), (("di97", 2), ("value97", 0))),
    0x04: Function("write data", "写数据", (("di97", 2), ("secret", 4), ("value97", 0)), (("rest", 0),)),
    0x08: Function("broadcast time", "广播校时", (("datetime", 6),)),
    0x0A: Function("write address", "写设备地址", (("address", 6),), (("rest", 0),)),
    0x0C: Function("change baud rate", "更改通信速率", (("rest", 0),), (("rest", 0),)),
    0x0F: Function("change password", "修改密码", (("secret", 0),), (("secret", 0),)),
    0x10: Function("clear maximum demand", "最大需量清零", (("secret", 0),), (("rest", 0),)),
}

SEALED_LEVELS = frozenset((0x96, 0x98))

# What the level PA of a password means.
LEVELS = {
    0x96: ("ciphertext with MAC (newer profile)", "密文+MAC"),
    0x97: ("plaintext with MAC (newer profile)", "明文+MAC"),
    0x98: ("ciphertext with MAC", "密文+MAC"),
    0x99: ("plaintext with MAC", "明文+MAC"),
}

ACTIONS = {
    0x1A: ("trip", "跳闸"),
    0x1B: ("allow close (press the button)", "合闸允许"),
    0x1C: ("direct close", "直接合闸"),
    0x1D: ("trip with auto-restore", "跳闸自动恢复"),
    0x1E: ("trip with auto-restore (1E)", "跳闸自动恢复(1E)"),
    0x2A: ("alarm", "报警"),
    0x2B: ("alarm off", "报警解除"),
    0x3A: ("keep power", "保电"),
    0x3B: ("cancel keep power", "保电解除"),
}

TERMINALS = {0: ("second pulse", "秒信号"), 1: ("demand period", "需量周期"), 2: ("slot switch", "时段投切")}


SECURITY_CLASS = 0x07  # DI3 of every identifier of 03H in 2007


def edition_of(control: int, data: bytes) -> str:
    """ "2007", "1997", or "" for a code of neither; 08H is the same in both and counts as 2007."""
    function = control & 0x1F
    if control & 0x20 and not control & 0x80:
        return ""  # a request does not continue anything: vendor codes 20, 21 and 23
    if function == 0x03:
        # 2007 names an identifier 07xxxxxx or, in a refusal, an error word; 1997 has one error byte
        named = len(data) >= 4 and data[3] == SECURITY_CLASS
        return "2007" if named or (len(data) == 2 and control & 0x40) else "1997"
    if function in FUNCTIONS_2007:
        return "2007"
    return "1997" if function in FUNCTIONS_1997 else ""


def split(pieces: tuple[Piece, ...], data: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Cut a data field into its pieces; the second result is what no piece takes."""
    found: list[tuple[str, bytes]] = []
    start = 0
    for role, size in pieces:
        end = len(data) if size == 0 else max(start, len(data) + size) if size < 0 else start + size
        if end > len(data) or start == len(data):
            break
        found.append((role, data[start:end]))
        start = end
    return found, data[start:]
