"""Small figures that the server draws itself as SVG: tier bar, strip of states, shares; and the data of charts.

Everything is integer arithmetic in the figure's own coordinates; classes carry the colours, so that no style
attribute is needed.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIER_BAR_WIDTH = 750
TIER_GAP = 4
STRIP_WIDTH = 1000
LAST_TIER_SHARE = 5  # the open last tier takes a fifth of the bar


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a horizontal bar: start, width, and the class that colours it."""

    x: int
    width: int
    tone: str


def strip(counts: Mapping[str, int], order: Sequence[str]) -> list[Segment]:
    """Households by state as one bar of 1000 units; every state that exists is at least 3 units wide."""
    total = sum(counts.get(name, 0) for name in order)
    pieces: list[Segment] = []
    at = 0
    for name in order:
        count = counts.get(name, 0)
        if not count:
            continue
        width = max(3, STRIP_WIDTH * count // total)
        pieces.append(Segment(at, width, f"s-{name}"))
        at += width + 2
    return pieces


@dataclass(frozen=True, slots=True)
class TierBar:
    """The tier bar: its pieces, the filled width and where the marker stands."""

    pieces: tuple[Segment, ...]
    filled: int
    marker: int
    tier: int  # 1-based, the tier that holds now
    rest_wh: int | None  # energy left in this tier; None in the last


def tier_bar(used_wh: int, limits_wh: Sequence[int]) -> TierBar:
    """Where `used_wh` stands among tiers; limits are inclusive upper limits, the last tier is open."""
    bounded = TIER_BAR_WIDTH * (LAST_TIER_SHARE - 1) // LAST_TIER_SHARE if limits_wh else 0
    top = limits_wh[-1] if limits_wh else 0
    edges = [0, *(bounded * limit // top for limit in limits_wh), TIER_BAR_WIDTH]
    pieces = tuple(Segment(start, max(1, end - start - TIER_GAP), "t0") for start, end in itertools.pairwise(edges))
    tier = 1 + sum(1 for limit in limits_wh if used_wh > limit)
    rest = limits_wh[tier - 1] - used_wh if tier <= len(limits_wh) else None
    filled = bounded * min(used_wh, top) // top if top else 0
    if rest is None and top:
        filled = min(TIER_BAR_WIDTH, bounded + (used_wh - top) * bounded // top)
    return TierBar(pieces, filled, max(0, filled - 2), tier, rest)


def share_bar(parts: Sequence[tuple[str, int]], width: int = 220) -> list[Segment]:
    """Parts of a whole as one bar, in order; an existing part is at least 2 units wide."""
    total = sum(count for _, count in parts)
    pieces: list[Segment] = []
    at = 0
    for tone, count in parts:
        if count:
            size = max(2, (width - len(parts)) * count // total)
            pieces.append(Segment(at, size, tone))
            at += size + 1
    return pieces


def sparkline(values: Sequence[int], width: int = 120, height: int = 22) -> str:
    """An SVG path through `values`, scaled to the box with a margin of 2."""
    if len(values) < 2:
        return ""
    low, span = min(values), max(1, max(values) - min(values))
    points = [
        (2 + index * (width - 4) // (len(values) - 1), height - 3 - (value - low) * (height - 6) // span)
        for index, value in enumerate(values)
    ]
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def token_bar(used: int, allowed: int, width: int = 200) -> list[Segment]:
    """A counter of at most `allowed` tokens as separate blocks; above 24 blocks they merge into a share."""
    if allowed > 24:
        return share_bar((("f1", used), ("t0", max(0, allowed - used))), width)
    size = max(1, width // max(1, allowed))
    return [Segment(n * size, max(1, size - 2), "f1" if n < used else "t0") for n in range(allowed)]


def bar_chart(
    labels: Sequence[str],
    values: Sequence[int | None],
    *,
    name: str,
    unit: str,
    scale: int,
    unfinished: int | None = None,
) -> dict[str, object]:
    """Data of a bar chart; values are integers in the small unit, `scale` of them make one `unit`."""
    return {
        "kind": "bar", "labels": list(labels), "unit": unit, "scale": scale, "decimals": 2,
        "unfinished": -1 if unfinished is None else unfinished,
        "series": [{"name": name, "values": list(values)}],
    }  # fmt: skip


def line_chart(
    labels: Sequence[str], values: Sequence[int | None], *, name: str, unit: str, scale: int,
    lines: Sequence[tuple[int, str]] = (), step: bool = False,
) -> dict[str, object]:  # fmt: skip
    """Data of a line chart with horizontal reference lines (value in the small unit, word)."""
    return {
        "kind": "line", "labels": list(labels), "unit": unit, "scale": scale, "decimals": 2, "unfinished": -1,
        "series": [{"name": name, "values": list(values), "step": step}],
        "lines": [{"value": value, "word": word} for value, word in lines],
    }  # fmt: skip
