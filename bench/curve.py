"""`python -m bench.curve SVG`: ns per meter of the deduction from 10,000 to 5 million meters, as a plot.

One call of the kernel at each size, random and grouped order in turns. The line joins the fastest repetitions, which
others on the machine disturbed least; bars reach up to the medians. Time is that of the thread, so that waiting for
a processor does not count. A flat line is a cost that stays linear.
"""

import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.deduct import SEED, batch
from bench.deduct_peers import by_kernel, grouped
from bench.machine import describe
from bench.report import cpu_seconds, interleave

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, 5_000_000)
REPETITIONS = 15
METERS_A_SAMPLE = 300_000
NS_PER_S = 1e9
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 20, 50, 50
COLOURS = {"random": "#b45309", "grouped": "#1d4ed8"}
NS_STEP = 5


def measure() -> dict[str, dict[int, list[float]]]:
    """Samples in ns per meter by order and size; one size in memory at a time."""
    measured: dict[str, dict[int, list[float]]] = {order: {} for order in COLOURS}
    for meters in SIZES:
        columns = batch(meters, SEED)
        sorted_columns, runs = grouped(columns)
        candidates = {
            "random": partial(_sample, partial(by_kernel, columns), meters),
            "grouped": partial(_sample, partial(by_kernel, sorted_columns, runs), meters),
        }
        for order, samples in interleave(candidates, REPETITIONS, f"curve {meters}").items():
            measured[order][meters] = samples
    return measured


def _sample(action: Callable[[], object], meters: int) -> float:
    calls = max(1, METERS_A_SAMPLE // meters)
    return cpu_seconds(lambda: [action() for _ in range(calls)]) / calls / meters * NS_PER_S


def svg(measured: dict[str, dict[int, list[float]]], title: str) -> str:
    """The plot: sizes in equal steps, ns per meter from zero."""
    top = max(statistics.median(s) for by_size in measured.values() for s in by_size.values())
    top = NS_STEP * (int(top / NS_STEP) + 1)

    def x(meters: int) -> float:
        return LEFT + SIZES.index(meters) * (WIDTH - LEFT - RIGHT) / (len(SIZES) - 1)

    def y(ns: float) -> float:
        return HEIGHT - BOTTOM - ns * (HEIGHT - TOP - BOTTOM) / top

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{LEFT}" y="20">{title}</text>',
    ]
    for ns in range(0, top + 1, NS_STEP):
        lines.append(f'<path d="M{LEFT} {y(ns):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y(ns) + 4:.1f}" text-anchor="end">{ns}</text>')
    lines += [f'<text x="{x(m):.1f}" y="{HEIGHT - 28}" text-anchor="middle">{m:,}</text>' for m in SIZES]
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">meters; ns per meter</text>')
    for number, (order, by_size) in enumerate(measured.items()):
        colour = COLOURS[order]
        points = " ".join(f"{x(m):.1f},{y(min(s)):.1f}" for m, s in by_size.items())
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for meters, samples in by_size.items():
            low, high = min(samples), statistics.median(samples)
            lines.append(f'<path d="M{x(meters):.1f} {y(low):.1f}V{y(high):.1f}" stroke="{colour}"/>')
        lines.append(f'<text x="{LEFT + 150 * number}" y="38" fill="{colour}">{order} order</text>')
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    """Measure, print the fastest repetition and the median of each, write the plot."""
    measured = measure()
    machine = describe()
    for order, by_size in measured.items():
        print(order, {m: (round(min(s), 2), round(statistics.median(s), 2)) for m, s in by_size.items()})
    Path(sys.argv[1]).write_text(svg(measured, f"deduct, {machine['isa']}, {machine['cpu']}"), "utf-8")


if __name__ == "__main__":
    main()
