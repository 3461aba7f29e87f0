"""Schemes and rules of households in an estate file: from the keys that were read to entries, and checked.

A household's limits are checked as they would hold: its own rules over each version of its scheme, over the estate's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.domain.estate_document import EstateDocument, HouseholdEntry, SchemeEntry, SchemeVersionEntry
from server.domain.schemes import PRESETS, check_order, definition_of, laid_over
from server.errors import ConfigError
from server.intake import estate_keys as keys
from server.languages import mark as _
from server.languages import wrong


def household_of(where: str, fields: dict[str, Any]) -> HouseholdEntry:
    """A household from its fields, with its rules gathered."""
    own = _rules(where, fields)
    return HouseholdEntry(**fields, own_rules=own)


def scheme_of(source: Path, fields: dict[str, Any]) -> SchemeEntry:
    """A scheme with its versions."""
    where = f"{source}: scheme {fields['scheme_id']}"
    versions = [
        keys.read_table(f"{where}, version {number}", table, keys.SCHEME_VERSION)
        for number, table in enumerate(fields["versions"], 1)
    ]
    return SchemeEntry(
        fields["scheme_id"],
        fields["name"],
        tuple(SchemeVersionEntry(one.pop("valid_from"), _rules(where, one)) for one in versions),
    )


def _rules(where: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Take the rules out of `fields`."""
    if fields.get("overdraft_fen", 0) < 0:
        raise wrong(_("%(where)s: overdraft is negative; allowed: how far below 0.00 the balance may go"), where=where)
    values = {key.field: fields.pop(key.field) for key in keys.RULES if key.field in fields}
    try:
        return definition_of(values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def check_limits(where: str, document: EstateDocument, home: HouseholdEntry) -> None:
    """Refuse limits out of order: they would warn after the cut, or cut and close in turn at one balance."""
    estate = asdict(document.estate)
    for definition in _definitions(document, home.scheme_id or document.estate.scheme_id or document.preset):
        try:
            check_order(laid_over(estate, definition, home.own_rules))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error


def _definitions(document: EstateDocument, scheme_id: str | None) -> Iterator[Mapping[str, Any]]:
    found = [entry for entry in document.schemes if entry.scheme_id == scheme_id]
    if found:
        yield from (version.rules for version in found[0].versions)
    elif scheme_id is not None and scheme_id in PRESETS:
        yield PRESETS[scheme_id].definition
    else:
        yield {}
