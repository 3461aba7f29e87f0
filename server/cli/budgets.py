"""What each bus needs of its cycle, said at an import: from a file before it is taken in, or from the import itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from server.cli.languages import mark as _
from server.cli.languages import told
from server.domain.budget import Budget, Cycles, budget_of, wire_of
from server.domain.estate_document import EstateDocument

NEEDS = _(
    "bus %(bus_id)s: %(meters)d meters x %(requests)s requests need %(need_s)d s of a %(cycle_s)d s cycle "
    "(%(percent)d %%)"
)
TIGHT = _("little is left for repeats, orders and healing")
REFUSED = _("refused, it cannot read its meters in time")
NOTHING = _("nothing was written")


def fields_of(budget: Budget) -> dict[str, Any]:
    """A budget as the admin socket sends it."""
    return {
        "bus_id": budget.bus_id,
        "meters": budget.meters,
        "requests": f"{budget.requests_milli / 1000:.1f}",
        "need_s": -(-budget.need_ms // 1000),
        "cycle_s": budget.cycle_ms // 1000,
        "percent": budget.permille // 10,
        "fits": budget.fits,
        "tight": budget.tight,
    }


def lines_of(budgets: Iterable[Mapping[str, Any]], lang: str) -> list[str]:
    """One line a bus, with a warning where little or nothing is left."""
    found = []
    for one in budgets:
        warning = "" if not one["tight"] else "; " + told(TIGHT if one["fits"] else REFUSED, lang)
        found.append(told(NEEDS, lang, **one) + warning)
    return found


def show(document: EstateDocument, lang: str) -> int:
    """Print the budget of each bus of a file; 1 when one is overfull."""
    budgets = document_budgets(document)
    for line in lines_of(map(fields_of, budgets), lang):
        print(line)
    print(told(NOTHING, lang))
    return int(not all(budget.fits for budget in budgets))


def document_budgets(document: EstateDocument) -> list[Budget]:
    """What each bus of a file would need of its cycle."""
    site = document.estate
    cycles = Cycles(
        site.reading_cycle_s, site.status_cycle_s, site.variables_cycle_s, site.clock_cycle_s, bool(site.daily_freeze)
    )
    hung: dict[str, list[tuple[str, str]]] = {bus.bus_id: [] for bus in document.buses}
    for home in document.households:
        hung.setdefault(home.bus_id, []).append((home.protocol, "household"))
    for gate in document.gates:
        hung.setdefault(gate.bus_id, []).append((gate.protocol, "gate"))
    return [
        budget_of(
            bus.bus_id,
            wire_of(bus.baud, bus.parity, bus.stop_bits, bus.reply_delay_max_ms, bus.frame_gap_ms),
            cycles,
            hung[bus.bus_id],
        )
        for bus in document.buses
    ]
