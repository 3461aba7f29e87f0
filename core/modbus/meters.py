"""Register maps of real meters, each with the evidence that it rests on.

All four send the high word first. Where no source says what a register holds, there is none here: neither the balance,
purchase and switch registers of the DDSY1352 nor the configuration registers of the DDSU666 are known, and no source
says where the counters roll over. Scales: a single in kWh is 1000 Wh, a count of 0.01 kWh is 10 Wh.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from core.dlt645.entry import READ_WRITE
from core.modbus.maps import RELAY_EN, RELAY_ZH, MeterMap, Quantity, like
from core.modbus.rtu import READ_INPUT

COMBINED, FORWARD, REVERSE = 0x00000000, 0x00010000, 0x00020000
VOLTAGE, CURRENT, POWER, REACTIVE = 0x02010000, 0x02020000, 0x02030000, 0x02040000
APPARENT, POWER_FACTOR, ANGLE = 0x02050000, 0x02060000, 0x02070000
FREQUENCY, DEMAND_NOW = 0x02800002, 0x02800004
_A = 0x0100  # phase A within an identifier; B and C follow
_KILO, _MEGA = 1000, 10**6

DDSU666 = MeterMap(
    key="chint-ddsu666",
    model="Chint DDSU666",
    phases=1,
    bauds=(9600,),
    evidence=("Tasmota driver xnrg_11_ddsu666", "github.com/nobrega8/mbmap-library", "9600 8N1; writes take 10H"),
    quantities=(
        like(VOLTAGE | _A, 0x2000, "f32", _KILO),
        like(CURRENT | _A, 0x2002, "f32", _KILO),
        like(POWER, 0x2004, "f32", _MEGA),
        like(REACTIVE, 0x2006, "f32", _MEGA),
        like(POWER_FACTOR, 0x200A, "f32", _KILO),
        like(FREQUENCY, 0x200E, "f32", _KILO),
        like(FORWARD, 0x4000, "f32", _KILO),
        like(REVERSE, 0x400A, "f32", _KILO),
    ),
)

# register, identifier, scale of the single
_SDM630_TOTALS = (
    (0x0034, POWER, _KILO),
    (0x0038, APPARENT, _KILO),
    (0x003C, REACTIVE, _KILO),
    (0x003E, POWER_FACTOR, _KILO),
    (0x0046, FREQUENCY, _KILO),
    (0x0048, FORWARD, _KILO),
    (0x004A, REVERSE, _KILO),
    (0x0054, DEMAND_NOW, _KILO),
    (0x0156, COMBINED, _KILO),
)
# register of phase 1, identifier of the row; phases follow two registers apart
_SDM630_PHASES = (
    (0x0000, VOLTAGE), (0x0006, CURRENT), (0x000C, POWER), (0x0012, APPARENT), (0x0018, REACTIVE),
    (0x001E, POWER_FACTOR), (0x0024, ANGLE),
)  # fmt: skip
# register, English, Chinese, unit; quantities that DL/T 645 does not have
_SDM630_OWN = (
    (0x002A, "voltage, average", "平均电压", "mV"),
    (0x002E, "current, average", "平均电流", "mA"),
    (0x0030, "current, sum of the phases", "三相电流之和", "mA"),
    (0x0042, "phase angle, total", "总相角", "mdeg"),
    (0x004C, "forward reactive energy, total", "正向无功总电能", "varh"),
    (0x004E, "reverse reactive energy, total", "反向无功总电能", "varh"),
    (0x0050, "apparent energy, total", "视在总电能", "VAh"),
    (0x0052, "charge", "安时数", "mAh"),
    (0x0056, "maximum active demand", "有功最大需量", "mW"),
    (0x0158, "combined reactive energy, total", "组合无功总电能", "varh"),
)
# holding register, English, Chinese, unit: singles that hold whole numbers
_SDM630_PARAMETERS = (
    (0x0002, "demand period", "需量周期", "min"),
    (0x000A, "system type, 1 1p2w 2 3p3w 3 3p4w", "接线方式，1单相 2三相三线 3三相四线", ""),
    (0x0012, "parity and stop bits, code", "校验位和停止位代码", ""),
    (0x0014, "unit", "通信地址", ""),
    (0x001C, "baud rate, code 0 2400 to 4 38400", "波特率代码，0为2400至4为38400", ""),
)


def _sdm630() -> Iterator[Quantity]:
    for register, row in _SDM630_PHASES:
        for phase in range(3):
            yield like(row | _A * (phase + 1), register + 2 * phase, "f32", _KILO, function=READ_INPUT)
    for register, di, scale in _SDM630_TOTALS:
        yield like(di, register, "f32", scale, function=READ_INPUT)
    for register, en, zh, unit in _SDM630_OWN:
        yield Quantity(en, zh, register, "f32", unit, _KILO, READ_INPUT)
    for register, en, zh, unit in _SDM630_PARAMETERS:
        yield Quantity(en, zh, register, "f32", unit, access=READ_WRITE)


SDM630 = MeterMap(
    key="eastron-sdm630",
    model="Eastron SDM630",
    phases=3,
    bauds=(2400, 4800, 9600, 19200, 38400),
    evidence=(
        "lamaplc: register table",
        "SDM630Modbus MID V2 manual, page 28: holding registers, one single a write, system type by password",
        "SDM72D manual, page 14: total registers, units and the limit of values a read",
        "0156H is import plus export; one owner saw it stay at zero",
    ),
    registers_max=80,  # 40 singles
    quantities=tuple(_sdm630()),
)

DDS238 = MeterMap(
    key="hiking-dds238-2",
    model="Hiking DDS238-2 ZN/SR",
    phases=1,
    bauds=(9600, 4800, 2400, 1200),
    evidence=(
        "github.com/fawno/Modbus: register table, relay 0 off and 1 on, 06 is not understood",
        "gist of gabrielcolceriu",
        "captures of a reply of 18 registers from 0000H in Tasmota issues 7457 and 8634: total is import plus export",
        "github.com/dzlabing/dds238: reads 27 registers from 0000H; shows reactive power FFFEH as -2 var",
    ),
    gap_max=6,  # 0002H..0007H, 0012H..0014H and 0016H..0019H came in the blocks that others read
    quantities=(
        like(COMBINED, 0x0000, "u32", 10),
        like(REVERSE, 0x0008, "u32", 10),
        like(FORWARD, 0x000A, "u32", 10),
        like(VOLTAGE | _A, 0x000C, "u16", 100),
        like(CURRENT | _A, 0x000D, "u16", 10),
        like(POWER, 0x000E, "s16", 1000),
        like(REACTIVE, 0x000F, "s16", 1000),
        like(POWER_FACTOR, 0x0010, "u16", 1),
        like(FREQUENCY, 0x0011, "u16", 10),
        Quantity("unit", "通信地址", 0x0015, "high"),
        Quantity("baud rate, code 1 9600 to 4 1200", "波特率代码，1为9600至4为1200", 0x0015, "low"),
        Quantity(RELAY_EN, RELAY_ZH, 0x001A, "u16", access=READ_WRITE),
    ),
)

DDSY1352 = MeterMap(
    key="acrel-ddsy1352",
    model="Acrel DDSY1352",
    phases=1,
    bauds=(1200, 2400, 4800, 9600, 19200, 38400),
    evidence=("DDSY1352 operation manual, page 15; it does not say which direction the energies count",),
    quantities=(
        *(like(COMBINED | rate << 8, 2 * rate, "u32", 10) for rate in range(5)),
        Quantity("code", "编码", 0x000A, "u16", access=READ_WRITE, uncertain=True),
        like(VOLTAGE | _A, 0x000B, "u16", 100),
        like(CURRENT | _A, 0x000C, "u16", 10),
        like(POWER, 0x000D, "s16", 1000),
        like(APPARENT, 0x000F, "u16", 1000),
        like(POWER_FACTOR, 0x0010, "s16", 1),
    ),
)

METERS: Mapping[str, MeterMap] = MappingProxyType({one.key: one for one in (DDSU666, SDM630, DDS238, DDSY1352)})
