"""Writes what a scan found as an estate file that `import` accepts, for a person to complete.

A household of its own for each meter of 2007 whose register was read: its names and its room are placeholders, and the
tariff costs nothing until somebody writes the price, so that nobody is charged or cut by a draft. What needs
a person's word (other protocols, a second line setting on one port) stands there as comments with the reason.
"""

import json
from collections import Counter
from collections.abc import Iterator

from core.dlt645.profiles import EDITION_2007
from server.collect.scanning import Findings, FoundMeter

REGISTER_STEP_WH = 10
_HEAD = """# Draft of a scan of {url}. Complete it (names, rooms, tariff), then: estate645 import FILE
# 扫描{url}生成的草稿：请补全名称、房间和电价，再运行 estate645 import FILE

[estate]
id = "draft"
name = "to be named 待命名"

[[tariff]]
id = "to-be-priced"
name = "no price yet 尚未定价"

[[tariff.versions]]
valid_from = "2000-01-01T00:00:00+08:00"
kind = "single"
price = "0.00"                  # yuan per kWh; write the published price
tier_period = "none"

[[bus]]
id = "bus-1"
url = {quoted}
baud = {baud}
parity = "{parity}"

[[building]]
id = "1"
name = "to be named 待命名"
"""
_HOME = """
[[room]]
id = "room-{number}"
building = "1"
floor = 1
door = "{number}"

[[household]]
account = "H{number:04d}"
room = "room-{number}"
holder = "to be named 待命名"
tariff = "to-be-priced"
meter = "{meter.address}"{note}
bus = "bus-1"
start_wh = {meter.total_wh}
{rates}"""


def draft(url: str, findings: Findings) -> str:
    """The whole file."""
    settings = Counter((one.baud, one.parity) for one in findings.meters if one.protocol == EDITION_2007)
    baud, parity = settings.most_common(1)[0][0] if settings else (2400, "E")
    quoted = json.dumps(url, ensure_ascii=False)
    parts = [_HEAD.format(url=" ".join(url.split()), quoted=quoted, baud=baud, parity=parity)]
    number = 0
    for meter in findings.meters:
        reason = _unfit(meter, baud, parity)
        if reason:
            parts.append(f"\n# {meter.protocol} {meter.address} {meter.baud} 8{meter.parity}1: {reason}\n")
            continue
        number += 1
        rates = f"start_rates_wh = {list(meter.rates_wh)}\n" if _are_steps(meter.rates_wh) else ""
        words = _comment(" ".join(filter(None, (meter.model, meter.profile))))
        parts.append(_HOME.format(number=number, meter=meter, note=f"  # {words}" if words else "", rates=rates))
    parts += [f"\n# {line}\n" for line in untold(findings)]
    return "".join(parts)


def untold(findings: Findings) -> Iterator[str]:
    """What the scan could not tell, one line each, English and Chinese."""
    for meter in findings.meters:
        if not meter.edition_known:
            yield (
                f"{meter.protocol} {meter.address}: refuses every read, so its edition is uncertain; look at its "
                f"nameplate / 拒绝所有读取，版本不能确定，请查看铭牌"
            )
    for protocol, address in findings.clashes:
        yield (
            f"{protocol} {address}: several meters speak at this address; give one another address with only it "
            f"connected / 该地址有多只表同时应答，请单独接线改地址"
        )
    for protocol, pattern in findings.nameless:
        yield (
            f"{protocol} {pattern}: a meter answers without its address; read it from the nameplate / "
            f"有表应答但不报地址，请从铭牌抄录"
        )
    for protocol, pattern in findings.doubts:
        yield (
            f"{protocol} {pattern}: more was heard here than was found (noise, or meters that do not answer "
            f"shortened addresses); scan again with --tries 3 or --thorough / "
            f"应答多于找到的表，请用--tries 3或--thorough重扫"
        )
    for protocol in findings.gave_up:
        yield f"{protocol}: given up, the line never falls silent / 线路一直有信号，已放弃"
    if findings.meters:
        yield (
            "two meters of one address with equal registers answer as one: compare the count with what is installed / "
            "地址和读数都相同的两只表无法区分，请核对安装数量"
        )


def _unfit(meter: FoundMeter, baud: int, parity: str) -> str:
    if meter.protocol != EDITION_2007:
        return (
            "enter it by hand with its protocol (for modbus also model, unit and a number of 12 digits) / "
            "请手工填写 protocol（modbus 还需 model、unit 和 12 位表号）"
        )
    if (meter.baud, meter.parity) != (baud, parity):
        return "set it to the line of the others first / 请先改为与其他表相同的速率和校验"
    if meter.total_wh is None or not _are_steps((meter.total_wh,)):
        return "its register could not be read / 未能读到电能示数"
    return ""


def _are_steps(registers_wh: tuple[int, ...]) -> bool:
    return bool(registers_wh) and all(one >= 0 and one % REGISTER_STEP_WH == 0 for one in registers_wh)


def _comment(text: str) -> str:
    return "".join(one for one in text if one.isprintable())
