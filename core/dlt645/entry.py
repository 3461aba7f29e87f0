"""What one row of the identifier tables says: names, length, kind of value, unit, access.

A plain item has one value. A block repeats one value (`items` or `members_max`). A record is a row of unlike
`fields`. `uncertain` marks what only one source states or where meters differ: it is read, but shown as such.
`scale` is what one count of the field is worth in `unit`.
"""

from dataclasses import dataclass

READ_ONLY = "R"
READ_WRITE = "RW"
WRITE_ONLY = "W"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a record; `length` in bytes, 0 for the rest of the data (the last field only)."""

    name_en: str
    name_zh: str
    length: int
    kind: str
    unit: str = ""
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Identifier:
    """One data identifier. `length` is the usual number of bytes (0: any), `items` the members of a block."""

    di: int
    name_en: str
    name_zh: str
    length: int
    kind: str
    unit: str = ""
    scale: int = 1
    items: tuple[int, ...] = ()
    members_max: int = 1
    tail: int = 0  # bytes that some meters append to a block and that are not its members
    fields: tuple[Field, ...] = ()
    access: str = READ_ONLY
    uncertain: bool = False

    @property
    def item_length(self) -> int:
        """Bytes of one member (of the value itself when this is no block)."""
        return self.length // max(1, len(self.items))

    @property
    def values_per_member(self) -> int:
        """How many decoded values one member has: a demand is a power and the minute it was reached."""
        if self.fields:
            return len(self.fields)
        return 2 if self.kind in ("demand", "signed demand") else 1


def record(
    di: int,
    name_en: str,
    name_zh: str,
    fields: tuple[Field, ...],
    *,
    access: str = READ_ONLY,
    uncertain: bool = False,
) -> Identifier:
    """An identifier whose data is a row of unlike fields; an answer may end behind any whole field."""
    length = sum(field.length for field in fields)
    return Identifier(di, name_en, name_zh, length, "record", fields=fields, access=access, uncertain=uncertain)


def raw(di: int, name_en: str, name_zh: str, length: int = 0, *, access: str = READ_ONLY) -> Identifier:
    """An identifier whose inner layout no two sources agree on: its bytes are shown as they came."""
    return Identifier(di, name_en, name_zh, length, "raw", access=access, uncertain=True)
