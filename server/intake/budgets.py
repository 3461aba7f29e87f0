"""What each bus of an estate file needs of its cycle, and how a budget travels over the admin socket."""

from typing import Any

from server.domain.budget import Budget, Cycles, budget_of, wire_of
from server.domain.estate_document import EstateDocument


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
