"""What the data field of each control code holds, piece by piece, for both editions and directions.

A piece is (role, bytes); 0 bytes is the rest. Roles say how a piece is read: di, value, seq, pa, secret, operator,
action, reserved, datetime, moment, address, baud, freeze, terminal, err, rest. A data field that is shorter than its
pieces is reported as such, not guessed at.
"""

from dataclasses import dataclass

from core.dlt645 import commands as codes
from core.dlt645 import edition1997 as old
from core.dlt645.commands import RelayAction
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, FUNCTION_MASK, REPLY_BIT

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
    codes.SECURITY: Function("security authentication", "安全认证", (("di", 4), ("operator", 4), ("security", 0)),
                             (("di", 4), ("security", 0))),
    codes.BROADCAST_TIME: Function("broadcast time", "广播校时", (("datetime", 6),)),
    codes.READ: Function("read data", "读数据", (("di", 4), ("load", 0)), (("di", 4), ("value", 0))),
    codes.READ_FOLLOW: Function("read follow-up data", "读后续数据", (("di", 4), ("seq", 1)),
                                (("di", 4), ("part", -1), ("seq", 1))),
    codes.READ_ADDRESS: Function("read address", "读通信地址", _NONE, (("address", 6),)),
    codes.WRITE: Function("write data", "写数据", (("di", 4), *_WHO, ("value", 0))),
    codes.WRITE_ADDRESS: Function("write address", "写通信地址", (("address", 6),)),
    codes.FREEZE: Function("freeze", "冻结命令", (("freeze", 4),)),
    codes.CHANGE_BAUD: Function("change baud rate", "更改通信速率", (("baud", 1),), (("baud", 1),)),
    codes.CHANGE_PASSWORD: Function("change password", "修改密码",
                                    (("di", 4), ("pa", 1), ("secret", 3), ("pa", 1), ("secret", 3)),
                                    (("pa", 1), ("secret", 3))),
    codes.CLEAR_DEMAND: Function("clear maximum demand", "最大需量清零", _WHO),
    codes.CLEAR_METER: Function("clear meter", "电表清零", (*_WHO, ("cipher", 0))),
    codes.CLEAR_EVENTS: Function("clear events", "事件清零", (*_WHO, ("events", 4))),
    codes.RELAY: Function("relay control", "跳合闸、报警、保电",
                          (*_WHO, ("action", 1), ("parameter", 1), ("moment", 6)),
                          (("execution", 0),)),
    codes.TERMINAL: Function("multi-function terminal output", "多功能端子输出控制命令",
                             (("terminal", 1),), (("terminal", 1),)),
}  # fmt: skip

FUNCTIONS_1997 = {
    old.READ_97: Function("read data", "读数据", (("di97", 2), ("rest", 0)), (("di97", 2), ("value97", 0))),
    old.READ_FOLLOW_97: Function(
        "read follow-up data", "读后续数据", (("di97", 2), ("rest", 0)), (("di97", 2), ("part", 0))
    ),
    old.REREAD_97: Function("read again", "重读数据", (("rest", 0),), (("di97", 2), ("value97", 0))),
    old.WRITE_97: Function("write data", "写数据", (("di97", 2), ("secret", 4), ("value97", 0)), (("rest", 0),)),
    codes.BROADCAST_TIME: Function("broadcast time", "广播校时", (("datetime", 6),)),
    old.WRITE_ADDRESS_97: Function("write address", "写设备地址", (("address", 6),), (("rest", 0),)),
    old.CHANGE_BAUD_97: Function("change baud rate", "更改通信速率", (("rest", 0),), (("rest", 0),)),
    old.CHANGE_PASSWORD_97: Function("change password", "修改密码", (("secret", 0),), (("secret", 0),)),
    old.CLEAR_DEMAND_97: Function("clear maximum demand", "最大需量清零", (("secret", 0),), (("rest", 0),)),
}

SEALED_LEVELS = frozenset((0x96, 0x98))

# What the level PA of a password means.
LEVELS = {
    0x96: ("ciphertext with MAC (newer profile)", "密文+MAC"),
    0x97: ("plaintext with MAC (newer profile)", "明文+MAC"),
    0x98: ("ciphertext with MAC", "密文+MAC"),
    0x99: ("plaintext with MAC", "明文+MAC"),
}

ACTIONS: dict[int, tuple[str, str]] = {
    RelayAction.TRIP: ("trip", "跳闸"),
    RelayAction.ALLOW_CLOSE: ("allow close (press the button)", "合闸允许"),
    RelayAction.CLOSE: ("direct close", "直接合闸"),
    RelayAction.TRIP_AND_RESTORE: ("trip with auto-restore", "跳闸自动恢复"),
    RelayAction.TRIP_AND_RESTORE_1E: ("trip with auto-restore (1E)", "跳闸自动恢复(1E)"),
    RelayAction.ALARM_ON: ("alarm", "报警"),
    RelayAction.ALARM_OFF: ("alarm off", "报警解除"),
    RelayAction.KEEP_POWER: ("keep power", "保电"),
    RelayAction.CANCEL_KEEP_POWER: ("cancel keep power", "保电解除"),
}

TERMINALS = {0: ("second pulse", "秒信号"), 1: ("demand period", "需量周期"), 2: ("slot switch", "时段投切")}


SECURITY_CLASS = 0x07  # DI3 of every identifier of 03H in 2007


def edition_of(control: int, data: bytes) -> str:
    """ "2007", "1997", or "" for a code of neither; 08H is the same in both and counts as 2007."""
    function = control & FUNCTION_MASK
    if control & FOLLOW_BIT and not control & REPLY_BIT:
        return ""  # a request does not continue anything: vendor codes 20, 21 and 23
    if function == codes.SECURITY:
        # 2007 names an identifier 07xxxxxx or, in a refusal, an error word; 1997 has one error byte
        named = len(data) >= 4 and data[3] == SECURITY_CLASS
        return "2007" if named or (len(data) == 2 and control & ABNORMAL_BIT) else "1997"
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
