"""Published residential tariffs as data: dated, with their sources, and marked by how sure they are.

A list becomes a tariff of an estate through the editor or `published = "ID"` in an estate file. One that is not sure
has to be accepted as such (`unsure = true`); none replaces a look at the text of the price authority.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["QUALITIES", "PriceList", "price_lists", "written_out"]

QUALITIES = ("very good", "good", "fair", "weak", "example")
SURE = ("very good", "good")
OVERRIDES = ("id", "name", "valid_from")


@dataclass(frozen=True, slots=True)
class PriceList:
    """One published tariff; `note` says what is missing or doubtful."""

    list_id: str
    place: str
    place_en: str
    title: str
    title_en: str
    quality: str
    checked: str
    sources: tuple[str, ...]
    note: str
    note_en: str
    versions: tuple[Mapping[str, Any], ...]

    @property
    def is_sure(self) -> bool:
        """Whether it may be shown as official once a person has compared it with its source."""
        return self.quality in SURE

    def document(self) -> dict[str, Any]:
        """The tariff as a document."""
        return {
            "id": self.list_id,
            "name": f"{self.place}{self.title}",
            "versions": [dict(one) for one in self.versions],
        }


@cache
def price_lists() -> Mapping[str, PriceList]:
    """All lists by id."""
    data = tomllib.loads(files(__package__).joinpath("china.toml").read_text("utf-8"))
    found = {}
    for one in data["list"]:
        found[one["id"]] = PriceList(
            one["id"], one["place"], one["place_en"], one["title"], one["title_en"], one["quality"], one["checked"],
            tuple(data["sources"][name] for name in one["sources"]), one.get("note", ""), one.get("note_en", ""),
            tuple(one["versions"]),
        )  # fmt: skip
    return found


def written_out(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tariff of an estate file in which `published` names a list, as the list has it, with its own `id`, `name` and
    `valid_from` (of the newest version, which then stands alone); any other table as it is. `ValueError` for a list
    that is not there, is not sure and not accepted as such, or for other keys beside it.
    """
    if "published" not in table:
        return table
    found = price_lists().get(str(table["published"]))
    if found is None:
        raise ValueError(
            f"published = {table['published']!r}: there is no such list; known: {', '.join(price_lists())}"
        )
    if not found.is_sure and table.get("unsure") is not True:
        why = found.note_en or "its source names no official document"
        raise ValueError(
            f"published = {found.list_id!r} is not sure ({found.quality}): {why}; compare it with the text of the "
            "price authority, and write unsure = true to take it all the same"
        )
    if strange := sorted(set(table) - {"published", "unsure", *OVERRIDES}):
        allowed = ", ".join(OVERRIDES)
        raise ValueError(
            f"published = {found.list_id!r}: {', '.join(strange)} cannot stand beside it; allowed: {allowed}"
        )
    document = found.document()
    document |= {key: table[key] for key in ("id", "name") if key in table}
    if "valid_from" in table:
        document["versions"] = [document["versions"][-1] | {"valid_from": table["valid_from"]}]
    return document
