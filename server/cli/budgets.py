"""What each bus needs of its cycle, said at an import: from a file before it is taken in, or from the import itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from server.cli.languages import mark as _
from server.cli.languages import told
from server.domain.estate_document import EstateDocument
from server.intake.budgets import document_budgets, fields_of

NEEDS = _(
    "bus %(bus_id)s: %(meters)d meters x %(requests)s requests need %(need_s)d s of a %(cycle_s)d s cycle "
    "(%(percent)d %%)"
)
TIGHT = _("little is left for repeats, orders and healing")
REFUSED = _("refused, it cannot read its meters in time")
NOTHING = _("nothing was written")


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
