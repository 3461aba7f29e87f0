"""How many of what, as English says it."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 bus`, `2 buses`; without `many` the plural is `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
