"""Where things stand: head, buses, active faults, keys; faults beside the buses on wide terminals, below on others."""

from datetime import datetime
from typing import Any, NamedTuple

from sim.dashboard.sight import Sight, lasted
from sim.dashboard.text import (
    BAD,
    BOLD,
    DIM,
    GOOD,
    PLAIN,
    WARN,
    Glyphs,
    Row,
    Span,
    bar,
    cells,
    clip,
    fit,
    joined,
    right,
    sparks,
    spread,
    width_of,
)

LEAST = (40, 10)
BESIDE_FROM = 132
FAULTS_WIDTH = 64
FAULT_ROWS_BELOW = 5
FEW_ROWS = 3
CLASS_STYLES = {"theft": BAD, "benign": DIM}
CLASS, AGE = 13, 13
LABEL = 14
FIGURE = 11
BAR_LEAST, BAR_MOST = 6, 24
WIRE_REST = 7
PORT_DOWN = "port down"
LATE_MS, TOO_LATE_MS = 5, 50


class Column(NamedTuple):
    """A column of the buses' table; `least` is the width of terminal from which it is shown."""

    title: str
    width: int
    key: str
    least: int
    trouble: bool = False


COLUMNS = (
    Column("METERS", 7, "meters", 56),
    Column("ANSWERS", 11, "answers", 66),
    Column("SILENT", 8, "unanswered", 0),
    Column("COLLIDED", 9, "collisions", 74, trouble=True),
    Column("BAD SUM", 8, "bad_sums", 84, trouble=True),
    Column("GARBAGE", 9, "garbage_bytes", 96, trouble=True),
)


def picture(sight: Sight, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """Exactly `height` rows of `width` columns."""
    if width < LEAST[0] or height < LEAST[1]:
        return _filled([[Span(f"needs {LEAST[0]} x {LEAST[1]}, has {width} x {height}")]], width, height)
    head = _head(sight, width, glyphs)
    room = height - len(head) - 1
    if width >= BESIDE_FROM:
        left = width - FAULTS_WIDTH - 3
        pairs = zip(
            _filled(_buses(sight, left, room, glyphs), left, room),
            _filled(_faults(sight, FAULTS_WIDTH, room, glyphs), FAULTS_WIDTH, room),
            strict=True,
        )
        body: list[Row] = [[*bus, Span("   "), *fault] for bus, fault in pairs]
    else:
        spare = room - len(sight.buses) - 2
        below = _faults(sight, width, max(spare, min(room // 3, FAULT_ROWS_BELOW + 1)), glyphs)
        buses = room - len(below) - 1
        body = [*_filled(_buses(sight, width, buses, glyphs), width, buses), [], *below]
    return [*_filled([*head, *body], width, height - 1), clip(_foot(sight, width, glyphs), width)]


def _head(sight: Sight, width: int, glyphs: Glyphs) -> list[Row]:
    metrics, recent = sight.metrics, sight.metrics["recent"]
    between = f" {glyphs.dot} "
    counts = [
        [Span(f"{number:,} {word}")]
        for number, word in (
            (metrics["meters"], "meters"),
            (metrics["households"], "households"),
            (len(metrics["buses"]), "buses"),
        )
    ]
    opened = metrics["relays_open"]
    counts.append([Span(f"{opened:,} relays open", WARN if opened else DIM)])
    speed = _speed(sight, glyphs)
    since = [Span(f"up {lasted(metrics['elapsed_s'])}{between}seed {metrics['seed']}", DIM)]
    rate = f"{recent['transactions_per_s']:,.1f} /s"
    curve_width = width - LABEL - FIGURE - 1
    return [
        spread([Span(metrics["estate"], BOLD)], [Span(f"{sight.civil:%a %Y-%m-%d  %H:%M:%S}", BOLD)], width),
        spread(joined(counts, between, width - width_of(speed) - 2), speed, width),
        [Span(glyphs.rule * width, DIM)],
        [
            Span(fit("Transactions", LABEL), DIM),
            Span(right(rate, FIGURE), BOLD),
            Span(" "),
            *sparks(sight.history, curve_width, glyphs),
        ],
        spread(
            [
                Span(fit("Wire in use", LABEL), DIM),
                Span(right(f"{recent['utilisation']:.1%}", FIGURE), BOLD),
                Span(" "),
                *bar(recent["utilisation"], BAR_MOST, glyphs),
            ],
            since,
            width,
        ),
        _lag(recent, width, glyphs),
        [],
    ]


def _lag(recent: dict[str, Any], width: int, glyphs: Glyphs) -> Row:
    lag = recent["lag"]
    if not lag["events"]:
        return [Span(fit("Lag", LABEL), DIM), Span(right(glyphs.dash, FIGURE), DIM)]
    worst = lag["p99_ms"]
    style = BAD if worst > TOO_LATE_MS else WARN if worst > LATE_MS else BOLD
    pieces = [
        [Span(fit("Lag", LABEL), DIM), Span(right(f"{lag['p50_ms']:.2f} ms", FIGURE), BOLD), Span(" median", DIM)],
        [Span(f"{worst:.2f} ms", style), Span(" p99", DIM)],
        [Span(f"{lag['max_ms']:.2f} ms"), Span(" most", DIM)],
        [Span(f"of {lag['events']:,} events in {recent['seconds']:.0f} s", DIM)],
    ]
    return joined(pieces, "   ", width)


def _speed(sight: Sight, glyphs: Glyphs) -> Row:
    time = sight.time
    if time["leap_until"] is not None:
        until = datetime.fromisoformat(time["leap_until"]).astimezone(sight.civil.tzinfo)
        return [Span(f"{glyphs.leaps} leaping to {until:%Y-%m-%d %H:%M}", WARN)]
    if time["clock"] == "stepped":
        return [Span(f"{glyphs.stands} stepped by a client", WARN)]
    if time["speed"] == 0:
        return [Span(f"{glyphs.stands} paused", WARN)]
    return [Span(f"{glyphs.runs} {glyphs.times}{time['speed']}", GOOD)]


def _buses(sight: Sight, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """A header and as many buses as there is room for."""
    buses = sight.buses
    rows = max(height - 1, 0)
    sight.scroll = max(0, min(sight.scroll, len(buses) - rows))
    shown = buses[sight.scroll : sight.scroll + rows]
    columns = [column for column in COLUMNS if width >= column.least]
    fixed = sum(column.width for column in columns) + 9 + 1 + WIRE_REST
    name = max(8, min(24, max((cells(bus["bus"]) for bus in shown), default=0), width - fixed - BAR_LEAST))
    name = max(name, cells(_title(sight, len(shown), len(buses), glyphs)))
    bars = max(BAR_LEAST, min(BAR_MOST, width - fixed - name))
    head = (
        fit(_title(sight, len(shown), len(buses), glyphs), name)
        + right("PER S", 9)
        + " "
        + fit("WIRE", bars + WIRE_REST)
    )
    made: list[Row] = [[Span(head + "".join(right(column.title, column.width) for column in columns), DIM)]]
    return made + [_bus(bus, name, bars, columns, glyphs) for bus in shown]


def _title(sight: Sight, shown: int, all_of_them: int, glyphs: Glyphs) -> str:
    if shown == all_of_them:
        return "BUS"
    return f"BUS {sight.scroll + 1}{glyphs.dash}{sight.scroll + shown} OF {all_of_them}"


def _bus(bus: dict[str, Any], name: int, bars: int, columns: list[Column], glyphs: Glyphs) -> Row:
    recent = bus["recent"]
    quiet = recent["transactions_per_s"] == 0
    row = [
        Span(fit(bus["bus"], name)),
        Span(right(f"{recent['transactions_per_s']:,.1f}", 9), DIM if quiet else PLAIN),
        Span(" "),
        *_wire(bus, bars, glyphs),
    ]
    for column in columns:
        style = DIM if not bus[column.key] else WARN if column.trouble else PLAIN
        row.append(Span(right(f"{bus[column.key]:,}", column.width), style))
    return row


def _wire(bus: dict[str, Any], bars: int, glyphs: Glyphs) -> Row:
    """How much of the wire is used, or that the port has gone."""
    if not bus["port_up"]:
        return [Span(fit(PORT_DOWN, bars + WIRE_REST), BAD)]
    used = bus["recent"]["utilisation"]
    quiet = bus["recent"]["transactions_per_s"] == 0
    return [*bar(used, bars, glyphs), Span(right(f"{used:.0%}", 5) + "  ", DIM if quiet else PLAIN)]


def _faults(sight: Sight, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """A header and the newest faults."""
    faults = sight.faults
    if not faults:
        return [[Span("No active fault", DIM)]]
    tells_rest = len(faults) >= height > FEW_ROWS
    rows = height - 2 if tells_rest else height - 1
    made: list[Row] = [[Span("ACTIVE FAULTS ", DIM), Span(f"{len(faults):,}", BAD)]]
    made += [_fault(fault, sight, width) for fault in faults[: max(rows, 0)]]
    if tells_rest:
        made.append([Span(f"and {len(faults) - rows:,} more, begun earlier", DIM)])
    return made


def _fault(fault: dict[str, Any], sight: Sight, width: int) -> Row:
    since_s = sight.time["world_s"] - fault["start_s"]
    place = fault["meter"] or fault["bus"]
    row: list[Span] = [Span(f"{place}  "), Span(fault["kind"], CLASS_STYLES.get(fault["class"], WARN))]
    group, age = right(fault["class"], CLASS), right(lasted(max(0, since_s)), AGE)
    room = width - width_of(row)
    end = [Span(group, DIM), Span(age)] if room > CLASS + AGE else [Span(age)]
    return spread(row, end, width)


def _foot(sight: Sight, width: int, glyphs: Glyphs) -> Row:
    if sight.message:
        return [Span(sight.message, BAD)]
    keys = [("q", "quit"), (glyphs.arrows, "buses"), ("s", "by name" if sight.busiest_first else "busiest first")]
    if sight.time["clock"] != "stepped":
        pause = "resume" if sight.time["speed"] == 0 else "pause"
        keys += [("space", pause), ("+ -", "speed"), ("n", "step 1 h"), ("N", "1 day")]
    return joined([[Span(key, BOLD), Span(f" {word}", DIM)] for key, word in keys], "   ", width)


def _filled(rows: list[Row], width: int, height: int) -> list[Row]:
    blank: list[Row] = [[] for _ in range(max(0, height - len(rows)))]
    return [clip(row, width) for row in [*rows[:height], *blank]]
