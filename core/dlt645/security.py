"""The identifiers of command 03H (07, security and meter-held credit): names and layouts of both directions.

What follows identifier and operator in the request, and the identifier in the reply. Amounts and counts are binary,
low byte first, unlike everywhere else. Ciphers and MACs are shown as bytes: without the key nobody can judge them.
Key updates differ between profiles; only their names are stated.
"""

from dataclasses import dataclass
from enum import IntFlag

from core.dlt645.entry import Field


@dataclass(frozen=True, slots=True)
class SecurityItem:
    """One identifier of 07. `request` and `reply` are None where the layout is not confirmed."""

    name_en: str
    name_zh: str
    request: tuple[Field, ...] | None = None
    reply: tuple[Field, ...] | None = None


def _bytes(name_en: str, name_zh: str, length: int) -> Field:
    return Field(name_en, name_zh, length, "raw")


_MAC = _bytes("MAC", "MAC", 4)
_AMOUNT = Field("amount", "购电金额", 4, "binary", "fen")
_COUNT = Field("purchase count", "购电次数", 4, "binary")
_REMAINING = Field("remaining amount", "剩余金额", 4, "binary", "fen")
_CUSTOMER = Field("customer number", "客户编号", 6, "address")
_KEYS = _bytes("key information", "密钥信息", 4)
_CREDIT = (_AMOUNT, _COUNT, _bytes("MAC1", "MAC1", 4), _CUSTOMER, _bytes("MAC2", "MAC2", 4))

SECURITY = {
    0x070000FF: SecurityItem(
        "identity authentication", "身份认证",
        (_bytes("cipher", "密文", 8), _bytes("random number 1", "随机数1", 8), _bytes("factor", "分散因子", 8)),
        (_bytes("random number 2", "随机数2", 4), _bytes("ESAM serial number", "ESAM序列号", 8)),
    ),
    0x070001FF: SecurityItem(
        "authentication validity", "身份认证时效设置", (Field("validity", "有效时长", 2, "number", "min"), _MAC), ()
    ),
    0x070002FF: SecurityItem("end of authentication", "身份认证失效", (), (_CUSTOMER, _REMAINING, _COUNT, _KEYS)),
    0x070003FF: SecurityItem("infrared authentication", "红外认证", (_bytes("cipher", "密文", 8),), ()),
    0x070101FF: SecurityItem("open account", "开户", _CREDIT, ()),
    0x070102FF: SecurityItem("recharge", "充值", _CREDIT, ()),
    0x070103FF: SecurityItem(
        "wallet initialisation", "钱包初始化",
        (Field("amount", "预置金额", 4, "binary", "fen"), _MAC, _COUNT, _MAC), (),
    ),
    **{0x070201FF + (n << 8): SecurityItem(f"key update {n + 1}", f"密钥更新{n + 1}") for n in range(4)},
    0x070301FF: SecurityItem("key update (2013)", "密钥更新(2013)"),
    0x078001FF: SecurityItem("data readback", "数据回抄", (_bytes("descriptor", "数据回抄标识", 8),)),
    0x078002FF: SecurityItem("code comparison", "软件比对"),
    0x078003FF: SecurityItem(
        "infrared authentication request", "红外认证请求", (_bytes("random number", "随机数", 8),),
        (Field("meter number", "表号", 6, "address"), _bytes("ESAM serial number", "ESAM序列号", 8),
         _bytes("cipher", "密文", 8), _bytes("random number", "随机数", 8)),
    ),
    0x078102FF: SecurityItem(
        "status query", "状态查询", (), (_REMAINING, _MAC, _COUNT, _MAC, _CUSTOMER, _KEYS)
    ),
    0x07A005FF: SecurityItem("closing by card terminal", "CPU卡合闸命令"),
    0x07A006FF: SecurityItem("switch between local and remote mode", "本地远程模式切换"),
}  # fmt: skip


class Serr(IntFlag):
    """The error word (two bytes, low byte first) of a refused 03H; `SERR` names its bits for people."""

    OTHER = 1 << 0
    REPEATED = 1 << 1
    ESAM = 1 << 2
    IDENTITY = 1 << 3
    CUSTOMER = 1 << 4
    COUNT = 1 << 5
    HOARDING = 1 << 6
    FILE = 1 << 7
    SUSPENDED = 1 << 8
    TERMINAL_CLOSE = 1 << 9
    PASSWORD = 1 << 15


SERR = {
    0: ("other error", "其他错误"),
    1: ("repeated recharge", "重复充值"),
    2: ("ESAM verification failed", "ESAM验证失败"),
    3: ("identity authentication failed", "身份认证失败"),
    4: ("customer number does not match", "客户编号不匹配"),
    5: ("wrong recharge count", "充值次数错误"),
    6: ("purchase exceeds the hoarding limit", "购电超囤积"),
    7: ("address or file error", "地址或文件错误"),
    8: ("remote authentication suspended", "远程认证挂起"),
    9: ("terminal close failed", "终端合闸失败"),
    15: ("password setting error", "设置密码错误"),
}

# The two-byte answers of 1CH that meters of the ciphertext profile (level 98) give.
EXECUTION = {
    0: ("direct close", "直接合闸"),
    1: ("close allowed", "合闸允许"),
    2: ("direct trip", "直接跳闸"),
    3: ("delayed trip (timer)", "延时跳闸(延时时间)"),
    4: ("trip with auto-restore", "跳闸自动恢复"),
    5: ("delayed trip (high current)", "延时跳闸(大电流)"),
    8: ("keep power", "保电"),
    9: ("keep power cancelled", "保电解除"),
    10: ("alarm", "报警"),
    11: ("alarm off", "报警解除"),
}
EXECUTION_ERRORS = {
    0: ("meter suspended", "电能表挂起"),
    1: ("MAC error", "MAC错误"),
    2: ("wrong password or not authorised", "密码错或未授权"),
    3: ("authentication timed out", "身份认证超时"),
    4: ("deadline invalid", "截止时间无效"),
    5: ("trip failed (keep power)", "跳闸失败(保电)"),
    6: ("auto-restore trip failed (keep power)", "跳闸自动恢复失败(保电)"),
    7: ("restore time invalid", "自动恢复时间无效"),
    8: ("auto-restore trip failed (tripped)", "跳闸自动恢复失败(已跳闸)"),
}


def bit_names(names: dict[int, tuple[str, str]], word: int) -> tuple[tuple[str, str], ...]:
    """English and Chinese names of the bits set in a word; a set bit without a name is named by its number."""
    top = max(word.bit_length(), 0)
    return tuple(names.get(bit, (f"bit {bit}", f"位{bit}")) for bit in range(top) if word >> bit & 1)
