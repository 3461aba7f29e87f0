"""A status word as pages and API show it: raw, its bits by name, and those that have none."""

from dataclasses import dataclass

from core.dlt645.status import status_names, unknown_bits

RELAY_WORD = 3


@dataclass(frozen=True, slots=True)
class StatusSaid:
    """Status word 3: four hexadecimal digits, names of its bits, and the mask of bits without a name (empty: none)."""

    raw: str
    names: tuple[str, ...]
    unknown: str


def status_said(word: int | None, language: str) -> StatusSaid | None:
    """What a read-back said, in the language of the page; None before the first."""
    if word is None:
        return None
    names = tuple(zh if language == "zh_CN" else en for en, zh in status_names(RELAY_WORD, word))
    unknown = unknown_bits(RELAY_WORD, word)
    return StatusSaid(f"{word:04X}", names, f"{unknown:04X}" if unknown else "")
