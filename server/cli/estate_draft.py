"""Writes what a scan found as an estate file that `import` accepts, for a person to complete.

A household of its own for each meter whose register was read: its names and its room are placeholders, and the tariff
costs nothing until somebody writes the price, so that nobody is charged or cut by a draft. A Modbus unit has no number
of its own, so it gets one that no nameplate has. What needs a person's word (a second line setting on one port, a unit
that several models fit) stands there as comments with the reason, in both languages.
"""

import json
from collections import Counter
from collections.abc import Iterator

from core.dlt645.profiles import EDITION_2007
from server.cli.languages import mark as _
from server.cli.languages import told
from server.collect.scanning import MODBUS, Findings, FoundMeter
from server.intake.estate_values import REGISTER_STEP_WH

_HEAD = """# {title}

[estate]
id = "draft"
name = "{unnamed}"

[[tariff]]
id = "to-be-priced"
name = "{unpriced}"

[[tariff.versions]]
valid_from = "2000-01-01T00:00:00+08:00"
kind = "single"
price = "0.00"                  # {price}
tier_period = "none"

[[bus]]
id = "bus-1"
url = {quoted}
baud = {baud}
parity = "{parity}"

[[building]]
id = "1"
name = "{unnamed}"
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
holder = "{unnamed}"
tariff = "to-be-priced"
meter = "{address}"{note}
bus = "bus-1"
start_wh = {meter.total_wh}
{more}"""


UNNAMED = _("to be named")
PLACEHOLDER = _("no number of a meter; write the one on its nameplate")
TITLE = _("Draft of a scan of %(url)s. Complete it (names, rooms, tariff), then: estate645 import FILE")


def draft(url: str, findings: Findings) -> str:
    """The whole file."""
    settings = Counter((one.baud, one.parity) for one in findings.meters)
    baud, parity = settings.most_common(1)[0][0] if settings else (2400, "E")
    parts = [
        _HEAD.format(
            title=_both(TITLE, url=" ".join(url.split())),
            unnamed=_both(UNNAMED), unpriced=_both(_("no price yet")), baud=baud, parity=parity,
            price=_both(_("yuan per kWh; write the published price")), quoted=json.dumps(url, ensure_ascii=False),
        )
    ]  # fmt: skip
    number = 0
    for meter in findings.meters:
        reason = _unfit(meter, baud, parity)
        if reason:
            parts.append(f"\n# {meter.protocol} {meter.address} {meter.baud} 8{meter.parity}1: {_both(reason)}\n")
            continue
        number += 1
        parts.append(_home(number, meter))
    parts += [f"\n# {line}\n" for line in untold(findings)]
    return "".join(parts)


def _home(number: int, meter: FoundMeter) -> str:
    """One household with what the scan knows of its meter."""
    more, address = "", meter.address
    note = " ".join(filter(None, (meter.model, meter.profile)))
    if meter.protocol != EDITION_2007:
        more += f'protocol = "{meter.protocol}"\n'
    if meter.protocol == MODBUS:
        address = f"9{int(meter.address):011d}"
        more += f'model = "{meter.profile}"\nunit = {int(meter.address)}\n'
        note = f"{meter.model}: {_both(PLACEHOLDER)}"
    if _are_steps(meter.rates_wh):
        more += f"start_rates_wh = {list(meter.rates_wh)}\n"
    note = _comment(note)
    return _HOME.format(number=number, meter=meter, address=address, note=f"  # {note}" if note else "", more=more,
                        unnamed=_both(UNNAMED))  # fmt: skip


def untold(findings: Findings, lang: str = "both") -> Iterator[str]:
    """What the scan could not tell, one line each."""
    for meter in findings.meters:
        if not meter.edition_known:
            yield told(
                _("%(protocol)s %(address)s: refuses every read, so its edition is uncertain; look at its nameplate"),
                lang, protocol=meter.protocol, address=meter.address,
            )  # fmt: skip
    for protocol, address in findings.clashes:
        yield told(
            _(
                "%(protocol)s %(address)s: several meters speak at this address; give one another address with only it "
                "connected"
            ),
            lang, protocol=protocol, address=address,
        )  # fmt: skip
    for protocol, pattern in findings.nameless:
        yield told(_("%(protocol)s %(address)s: a meter answers without its address; read it from the nameplate"),
                   lang, protocol=protocol, address=pattern)  # fmt: skip
    for protocol, pattern in findings.doubts:
        yield told(
            _(
                "%(protocol)s %(address)s: more was heard here than was found (noise, or meters that do not answer "
                "shortened addresses); scan again with --tries 3 or --thorough"
            ),
            lang, protocol=protocol, address=pattern,
        )  # fmt: skip
    for address in findings.silent:
        yield told(
            _("%(address)s: nobody answers to this number of a nameplate; look at it, the wires, baud and parity"),
            lang, address=address,
        )  # fmt: skip
    for protocol in findings.gave_up:
        yield told(_("%(protocol)s: given up, the line never falls silent"), lang, protocol=protocol)
    yield told(
        _("some meters of 1997 answer no search: --addresses asks them by the numbers on their nameplates"), lang
    )
    if findings.meters:
        yield told(
            _("two meters of one address with equal registers answer as one: compare the count with what is installed"),
            lang,
        )


def _unfit(meter: FoundMeter, baud: int, parity: str) -> str:
    """Why a meter is no household of the draft, as a message; empty when it is."""
    if meter.protocol == MODBUS and not meter.profile:
        return _("no model, or several, fit its registers; enter it by hand with model, unit and a number of 12 digits")
    if (meter.baud, meter.parity) != (baud, parity):
        return _("set it to the line of the others first")
    if meter.total_wh is None or meter.total_wh < 0 or (meter.protocol != MODBUS and not _are_steps((meter.total_wh,))):
        return _("its register could not be read")
    return ""


def _both(message: str, **fields: object) -> str:
    return told(message, "both", **fields)


def _are_steps(registers_wh: tuple[int, ...]) -> bool:
    return bool(registers_wh) and all(one >= 0 and one % REGISTER_STEP_WH == 0 for one in registers_wh)


def _comment(text: str) -> str:
    return "".join(one for one in text if one.isprintable())
