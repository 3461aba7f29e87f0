"""Entries of the parameter identifiers (04): clock, counts, addresses, words, limits, tables, prices.

Parameters are readable and writable unless their row says otherwise. Where a filing of State Grid (2009 and later)
or one firmware is the only source, the row is marked uncertain.
"""

from collections.abc import Iterator

from core.dlt645.entry import READ_ONLY, READ_WRITE, WRITE_ONLY, Field, Identifier, record

ZONES_MAX = 14
SLOTS_MAX = 14
SLOT_TABLES = 8
RATES_MAX = 63
HOLIDAYS_MAX = 254
SCREENS_MAX = 254

_SCREEN = (Field("identifier", "显示数据项", 4, "di"), Field("number", "数据项序号", 1, "number"))

_LINE = (
    ("conductance", "电导系数"),
    ("susceptance", "电纳系数"),
    ("resistance", "电阻系数"),
    ("reactance", "电抗系数"),
)

# DI, English, Chinese, bytes, kind, unit, scale
_ROWS = (
    (0x04000101, "date and weekday", "日期及星期", 4, "date", "", 1),
    (0x04000102, "time", "时间", 3, "time", "s", 1),
    (0x04000103, "demand period", "最大需量周期", 1, "number", "min", 1),
    (0x04000104, "demand slip time", "滑差时间", 1, "number", "min", 1),
    (0x04000105, "pulse width", "校表脉冲宽度", 2, "number", "ms", 1),
    (0x04000106, "switch time of the zone tables", "两套时区表切换时间", 5, "minute", "", 1),
    (0x04000107, "switch time of the slot tables", "两套日时段表切换时间", 5, "minute", "", 1),
    (0x04000108, "switch time of the prices", "两套费率电价切换时间", 5, "minute", "", 1),
    (0x04000109, "switch time of the tiers", "两套阶梯切换时间", 5, "minute", "", 1),
    (0x0400010C, "date and time", "日期时间", 7, "datetime", "", 1),
    (0x04000201, "zones of the year", "年时区数", 1, "number", "", 1),
    (0x04000202, "day tables", "日时段表数", 1, "number", "", 1),
    (0x04000203, "slots of the day", "日时段数", 1, "number", "", 1),
    (0x04000204, "number of rates", "费率数", 1, "number", "", 1),
    (0x04000205, "public holidays", "公共假日数", 2, "number", "", 1),
    (0x04000206, "number of harmonics", "谐波分析次数", 1, "number", "", 1),
    (0x04000207, "number of tiers", "阶梯数", 1, "number", "", 1),
    (0x04000301, "screens shown by themselves", "自动循环显示屏数", 1, "number", "", 1),
    (0x04000302, "time of a screen", "每屏显示时间", 1, "number", "s", 1),
    (0x04000303, "decimals of energies shown", "显示电能小数位数", 1, "number", "", 1),
    (0x04000304, "decimals of powers shown", "显示功率小数位数", 1, "number", "", 1),
    (0x04000305, "screens shown by key", "按键循环显示屏数", 1, "number", "", 1),
    (0x04000306, "current transformer ratio", "电流互感器变比", 3, "number", "", 1),
    (0x04000307, "voltage transformer ratio", "电压互感器变比", 3, "number", "", 1),
    (0x04000401, "communication address", "通信地址", 6, "address", "", 1),
    (0x04000402, "meter number", "表号", 6, "address", "", 1),
    (0x04000403, "asset id", "资产管理编码", 32, "ascii", "", 1),
    (0x04000404, "rated voltage", "额定电压", 6, "ascii", "", 1),
    (0x04000405, "rated current", "额定电流", 6, "ascii", "", 1),
    (0x04000406, "maximum current", "最大电流", 6, "ascii", "", 1),
    (0x04000407, "active accuracy class", "有功准确度等级", 4, "ascii", "", 1),
    (0x04000408, "reactive accuracy class", "无功准确度等级", 4, "ascii", "", 1),
    (0x04000409, "active pulse constant", "有功常数", 3, "number", "imp/kWh", 1),
    (0x0400040A, "reactive pulse constant", "无功常数", 3, "number", "imp/kvarh", 1),
    (0x0400040B, "meter model", "电表型号", 10, "ascii", "", 1),
    (0x0400040C, "production date", "生产日期", 10, "ascii", "", 1),
    (0x0400040D, "protocol version", "协议版本号", 16, "ascii", "", 1),
    (0x0400040E, "customer number", "客户编号", 6, "address", "", 1),
    (0x04000601, "active combination word", "有功组合方式特征字", 1, "bits", "", 1),
    (0x04000602, "reactive combination word 1", "无功组合方式1特征字", 1, "bits", "", 1),
    (0x04000603, "reactive combination word 2", "无功组合方式2特征字", 1, "bits", "", 1),
    (0x04000701, "baud word of modulated infrared", "调制型红外光口通信速率特征字", 1, "baud", "bd", 1),
    (0x04000702, "baud word of contact infrared", "接触式红外光口通信速率特征字", 1, "baud", "bd", 1),
    (0x04000703, "baud word of port 1", "通信口1通信速率特征字", 1, "baud", "bd", 1),
    (0x04000704, "baud word of port 2", "通信口2通信速率特征字", 1, "baud", "bd", 1),
    (0x04000705, "baud word of port 3", "通信口3通信速率特征字", 1, "baud", "bd", 1),
    (0x04000801, "weekend word", "周休日特征字", 1, "bits", "", 1),
    (0x04000802, "slot table of weekends", "周休日采用的日时段表号", 1, "number", "", 1),
    (0x04000901, "load record mode word", "负荷记录模式字", 1, "bits", "", 1),
    *((0x04000900 | n, f"freeze mode word {n - 1}", f"冻结数据模式字{n - 1}", 1, "bits", "", 1) for n in range(2, 7)),
    (0x04000A01, "start of the load record", "负荷记录起始时间", 4, "yearless", "", 1),
    *(
        (0x04000A01 + n, f"interval of load class {n}", f"第{n}类负荷记录间隔时间", 2, "number", "min", 1)
        for n in range(1, 7)
    ),
    *((0x04000B00 | n, f"settlement day {n}", f"每月第{n}结算日", 2, "dayhour", "", 1) for n in range(1, 4)),
    *(
        (
            0x04000D01 + 4 * phase + n,
            f"{en} of phase {'ABC'[phase]}",
            f"{'ABC'[phase]}相{zh}",
            2,
            "number",
            "permille",
            1,
        )
        for phase in range(3)
        for n, (en, zh) in enumerate(_LINE)
    ),
    (0x04000E01, "limit of forward active power", "正向有功功率上限值", 3, "number", "mW", 100),
    (0x04000E02, "limit of reverse active power", "反向有功功率上限值", 3, "number", "mW", 100),
    (0x04000E03, "upper limit of the voltage", "电压上限值", 2, "number", "mV", 100),
    (0x04000E04, "lower limit of the voltage", "电压下限值", 2, "number", "mV", 100),
    (0x04001001, "alarm amount 1", "报警金额1限值", 4, "amount", "fen", 1),
    (0x04001002, "alarm amount 2", "报警金额2限值", 4, "amount", "fen", 1),
    (0x04001003, "overdraft limit", "透支金额限值", 4, "amount", "fen", 1),
    (0x04001004, "hoarding limit", "囤积金额限值", 4, "amount", "fen", 1),
    (0x04001005, "close-allowed amount", "合闸允许金额限值", 4, "amount", "fen", 1),
    (0x04001101, "run feature word", "电表运行特征字1", 1, "bits", "", 1),
    (0x04001104, "active report mode word", "主动上报模式字", 8, "bits", "", 1),
    (0x04001201, "start of hourly freezes", "整点冻结起始时间", 5, "minute", "", 1),
    (0x04001202, "interval of hourly freezes", "整点冻结时间间隔", 1, "number", "min", 1),
    (0x04001203, "time of the daily freeze", "日冻结时间", 2, "hourminute", "", 1),
    (0x04001401, "trip delay", "跳闸延时时间", 2, "number", "min", 1),
    (0x04800001, "vendor software version", "厂家软件版本号", 32, "ascii", "", 1),
    (0x04800002, "vendor hardware version", "厂家硬件版本号", 32, "ascii", "", 1),
    (0x04800003, "vendor id", "厂家编号", 32, "ascii", "", 1),
)

# Later filings, one firmware: limits, prices and settlement dates of the tiers in one piece of 70 bytes.
_LADDER = (
    *(Field(f"tier limit {n}", f"第{n}阶梯值", 4, "number", "Wh", 10) for n in range(1, 7)),
    *(Field(f"tier price {n}", f"第{n}阶梯电价", 4, "number", "nf/Wh", 10_000) for n in range(1, 8)),
    *(Field(f"settlement date {n}", f"第{n}年结算日", 3, "monthdayhour") for n in range(1, 7)),
)
_LADDERS = (
    (0x040606FF, "tier table in use, 1", "当前套第1张阶梯表"),
    (0x040607FF, "tier table in use, 2", "当前套第2张阶梯表"),
    (0x04060AFF, "spare tier table, 1", "备用套第1张阶梯表"),
    (0x04060BFF, "spare tier table, 2", "备用套第2张阶梯表"),
)

_READ_ONLY = frozenset((0x04800001, 0x04800002, 0x04800003))
_FILED_LATER = frozenset((0x0400010C, 0x04000306, 0x04000307, 0x0400040E))


def parameter_entries() -> Iterator[Identifier]:
    """All entries of 04, each identifier once (single holidays are made by `holiday`)."""
    for di, en, zh, length, kind, unit, scale in _ROWS:
        access = READ_ONLY if di in _READ_ONLY else READ_WRITE
        yield Identifier(di, en, zh, length, kind, unit, scale, access=access, uncertain=di in _FILED_LATER)
    yield from _status_words()
    yield from _passwords()
    yield Identifier(0x04001501, "active report status", "主动上报状态字", 0, "raw", access=READ_WRITE, uncertain=True)
    for number in (1, 2):
        yield from _tables(number)
        yield from _prices(number)
    for di, en, zh in _LADDERS:
        yield record(di, en, zh, _LADDER, access=READ_WRITE, uncertain=True)


def holiday(di: int) -> Identifier | None:
    """The entry of one public holiday, 04 03 00 nn."""
    number = di & 0xFF
    if di >> 8 != 0x040300 or not 1 <= number <= HOLIDAYS_MAX:
        return None
    return Identifier(di, f"public holiday {number}", f"第{number}公共假日日期及日时段表号", 4, "holiday",
                      access=READ_WRITE)  # fmt: skip


def screen(di: int) -> Identifier | None:
    """The entry of what one screen shows, 04 04 01 nn (by itself) and 04 04 02 nn (by key)."""
    number, which = di & 0xFF, di >> 8 & 0xFF
    if di >> 16 != 0x0404 or which not in (1, 2) or not 1 <= number <= SCREENS_MAX:
        return None
    en, zh = (("by itself", "自动循环"), ("by key", "按键循环"))[which - 1]
    return record(di, f"screen {number} shown {en}", f"{zh}显示第{number}屏", _SCREEN, access=READ_WRITE)


def _status_words() -> Iterator[Identifier]:
    words = tuple(0x04000500 | word for word in range(1, 8))
    for word in words:
        number = word & 0xFF
        yield Identifier(word, f"status word {number}", f"电表运行状态字{number}", 2, "bits")
    # One firmware appends its four-byte key state to the block.
    yield Identifier(0x040005FF, "status words, block", "电表运行状态字数据块", 14, "bits", "", 1, words, len(words), 4)


def _passwords() -> Iterator[Identifier]:
    for level in range(10):
        di = 0x04000C01 + level
        yield Identifier(di, f"password of level {level}", f"{level}级密码", 4, "secret", access=WRITE_ONLY)


def _tables(number: int) -> Iterator[Identifier]:
    """Zone table and slot tables of one of the two sets; a meter sends as many entries as it has."""
    base, zh = number << 16 | 0x04 << 24, f"第{number}套"
    yield Identifier(
        base, f"zone table of set {number}", f"{zh}时区表数据", 3, "zone", members_max=ZONES_MAX, access=READ_WRITE
    )
    for table in range(1, SLOT_TABLES + 1):
        en = f"slot table {table} of set {number}"
        zh_name = f"{zh}第{table}日时段表数据"
        yield Identifier(base | table, en, zh_name, 3, "slot", members_max=SLOTS_MAX, access=READ_WRITE)


def _prices(number: int) -> Iterator[Identifier]:
    base, zh = 0x04050000 | number << 8, f"第{number}套"
    for rate in range(1, RATES_MAX + 1):
        en, name_zh = f"price of rate {rate}, set {number}", f"{zh}费率{rate}电价"
        yield Identifier(base | rate, en, name_zh, 4, "number", "nf/Wh", 10_000, access=READ_WRITE)
    members = tuple(base | rate for rate in range(1, 5))
    en, name_zh = f"prices, set {number}, block", f"{zh}费率电价数据块"
    yield Identifier(base | 0xFF, en, name_zh, 16, "number", "nf/Wh", 10_000, members, RATES_MAX, access=READ_WRITE)
    tiers = 0x04060000 | (number - 1) << 9
    for tier in range(1, 8):
        en, name_zh = f"tier limit {tier}, set {number}", f"{zh}第{tier}阶梯值"
        yield Identifier(tiers | tier, en, name_zh, 4, "number", "Wh", 10, access=READ_WRITE, uncertain=True)
        en, name_zh = f"tier price {tier}, set {number}", f"{zh}第{tier}阶梯电价"
        yield Identifier(
            tiers | 0x100 | tier, en, name_zh, 4, "number", "nf/Wh", 10_000, access=READ_WRITE, uncertain=True
        )
