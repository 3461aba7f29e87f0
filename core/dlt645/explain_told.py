"""What the explanation of a data field gathers: rows of bytes with their meaning, values, and what is wrong.

Rows hold the bytes without the 33H offset, in wire order (low byte first).
"""

from dataclasses import dataclass, field

from core.dlt645.anatomy import Text
from core.dlt645.display import Reading


@dataclass(frozen=True, slots=True)
class Row:
    """Some bytes and what they are."""

    data: bytes
    name_en: str
    name_zh: str
    text_en: str = ""
    text_zh: str = ""


@dataclass(slots=True)
class Told:
    """What a data field says, gathered piece by piece."""

    rows: list[Row] = field(default_factory=list)
    values: tuple[Reading, ...] = ()
    identifier: str | None = None
    refusal: tuple[Text, ...] = ()
    problems: tuple[Text, ...] = ()
    di: int = 0
    level: int = 0
    holds_password: bool = False

    def add(self, data: bytes, name: Text, text: Text = ("", "")) -> None:
        """Note some bytes with their name and meaning."""
        self.rows.append(Row(data, *name, *text))

    def complain(self, en: str, zh: str) -> None:
        """Note something that the bytes should not be."""
        self.problems += ((en, zh),)

    def add_values(self, data: bytes, found: tuple[Reading, ...]) -> None:
        """Note decoded values under the bytes that they came from."""
        self.values = found
        for at, reading in enumerate(found):
            text = (reading.text_en, reading.text_zh)
            self.add(data if at == 0 else b"", (reading.name_en, reading.name_zh), text)
