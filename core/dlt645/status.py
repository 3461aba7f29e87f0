"""Names of the bits in the seven status words (04 00 05 01..07), English and Chinese.

Bit 0 is the lowest bit of the first byte sent. Bits that depend on the meter's profile are not named: word 1 bits
0, 6 and 7, word 3 bits 10 and 11. Two-bit fields are named by their value.
"""

from core.dlt645.identifiers import STATUS_BLOCK

Name = tuple[str, str]

_PHASE_WORD = (
    (0, "loss of voltage", "失压"), (1, "undervoltage", "欠压"), (2, "overvoltage", "过压"),
    (3, "loss of current", "失流"), (4, "overcurrent", "过流"), (5, "overload", "过载"),
    (6, "reverse flow", "潮流反向"), (7, "phase break", "断相"), (8, "open current", "断流"),
)  # fmt: skip

# word: (bit, English, Chinese)
BITS: dict[int, tuple[tuple[int, str, str], ...]] = {
    1: (
        (1, "interval demand (else sliding)", "需量积算方式为区间式"), (2, "clock battery low", "时钟电池欠压"),
        (3, "backup battery low", "停电抄表电池欠压"), (4, "active power reversed", "有功功率方向反向"),
        (5, "reactive power reversed", "无功功率方向反向"), (8, "control loop error", "控制回路错误"),
        (9, "ESAM error", "ESAM错误"), (12, "program error", "内部程序错误"), (13, "memory fault", "存储器故障"),
        (14, "overdraft", "透支状态"), (15, "clock fault", "时钟故障"),
    ),
    2: (
        (0, "active power of phase A reversed", "A相有功功率反向"),
        (1, "active power of phase B reversed", "B相有功功率反向"),
        (2, "active power of phase C reversed", "C相有功功率反向"),
        (4, "reactive power of phase A reversed", "A相无功功率反向"),
        (5, "reactive power of phase B reversed", "B相无功功率反向"),
        (6, "reactive power of phase C reversed", "C相无功功率反向"),
    ),
    3: (
        (0, "second slot table in use", "运行第二套日时段表"), (3, "programming allowed", "编程允许"),
        (4, "relay open", "继电器断开"), (5, "second zone table in use", "运行第二套时区表"),
        (6, "relay commanded open", "继电器命令断"), (7, "pre-trip alarm", "预跳闸报警"),
        (12, "keep power", "保电"), (13, "identity authentication valid", "身份认证有效"),
        (14, "local account not opened", "本地未开户"), (15, "remote account not opened", "远程未开户"),
    ),
    4: _PHASE_WORD,
    5: _PHASE_WORD,
    6: _PHASE_WORD,
    7: (
        (0, "reverse voltage sequence", "电压逆相序"), (1, "reverse current sequence", "电流逆相序"),
        (2, "voltage unbalance", "电压不平衡"), (3, "current unbalance", "电流不平衡"),
        (4, "auxiliary power lost", "辅助电源失电"), (5, "power failure", "掉电"), (6, "demand over limit", "需量超限"),
        (7, "power factor low", "总功率因数超下限"), (8, "severe current unbalance", "电流严重不平衡"),
        (9, "meter cover open", "开表盖"), (10, "terminal cover open", "开端钮盖"),
    ),
}  # fmt: skip

# word: (lowest bit, width, value, English, Chinese)
_CHOICES = (
    (3, 1, 2, 0b01, "on auxiliary power", "辅助电源供电"),
    (3, 1, 2, 0b10, "on battery", "电池供电"),
    (3, 8, 2, 0b01, "prepaid by energy", "电量型预付费"),
    (3, 8, 2, 0b10, "prepaid by money", "电费型预付费"),
)


def status_names(number: int, word: int) -> tuple[Name, ...]:
    """What status word `number` (1..7) says, as (English, Chinese); empty for a word without set bits."""
    named = [(bit, (en, zh)) for bit, en, zh in BITS.get(number, ()) if word >> bit & 1]
    for of_word, low, width, value, en, zh in _CHOICES:
        if of_word == number and word >> low & (1 << width) - 1 == value:
            named.append((low, (en, zh)))
    return tuple(name for _, name in sorted(named))


def unknown_bits(number: int, word: int) -> int:
    """The bits that are set and have no name, as a mask: a profile's own, or something new; never to be dropped."""
    known = sum(1 << bit for bit, _, _ in BITS.get(number, ()))
    for of_word, low, width, _, _, _ in _CHOICES:
        if of_word == number:
            known |= ((1 << width) - 1) << low
    return word & ~known


def status_number(di: int) -> int | None:
    """The number of the status word that an identifier is, 0 for the block of all, else None."""
    if di == STATUS_BLOCK:
        return 0
    number = di & 0xFF
    return number if di >> 8 == STATUS_BLOCK >> 8 and 1 <= number <= 7 else None
