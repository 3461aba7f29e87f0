"""The picture of a running estate: it fits exactly, says what is so, and gives up the least important first."""

from collections import deque

import pytest

from sim.dashboard import ASCII, UNICODE, Sight, painted, picture, snapshot
from sim.dashboard.sight import lasted
from sim.dashboard.text import bar, cells, fit, sparks, width_of

SIZES = [(40, 10), (50, 14), (80, 24), (97, 30), (131, 24), (132, 24), (140, 40), (300, 80)]


def bus(number, **changes):
    counted = {"answers": 123_456, "unanswered": 12, "collisions": 0, "bad_sums": 3, "garbage_bytes": 99}
    recent = {"transactions_per_s": float(number), "utilisation": number / 300}
    return {"bus": f"b{number}-1", "meters": 256, "port_up": True, "recent": recent, **counted} | changes


def fault(number, **changes):
    label = {"meter": f"6450000{number:05d}", "kind": "silent", "start_s": 1_791_860_000 + number}
    return label | {"class": "communication", "bus": "b1-1"} | changes


def seen(buses=3, faults=(), **time):
    metrics = {
        "estate": "翠湖花园", "seed": 3, "households": 500, "meters": 512, "relays_open": 12, "elapsed_s": 60.0,
        "transactions": 600, "ports_down": 0, "buses": [bus(number) for number in range(1, buses + 1)],
        "recent": {
            "seconds": 5.0, "transactions_per_s": 1234.5, "utilisation": 0.818,
            "lag": {"p50_ms": 0.12, "p99_ms": 0.45, "max_ms": 3.2, "events": 900},
        },
    }  # fmt: skip
    shown = {
        "world_civil": "2026-10-13T17:05:12+08:00", "world_s": 1_791_882_312.0, "clock": "machine", "speed": 60,
        "leap_until": None, "anchor": {"factor": 60},
    } | time  # fmt: skip
    sight = Sight()
    sight.take(metrics, shown, list(faults))
    return sight


def text(sight, width=80, height=24, glyphs=UNICODE):
    return [painted(row, colour=False).rstrip() for row in picture(sight, width, height, glyphs)]


@pytest.mark.parametrize("size", [*SIZES, (39, 24), (80, 9), (1, 1)])
@pytest.mark.parametrize(("buses", "faults"), [(1, 0), (3, 2), (200, 70)])
def test_every_row_is_as_wide_as_the_terminal_and_there_are_as_many_as_it_has(size, buses, faults):
    for glyphs in (UNICODE, ASCII):
        rows = picture(seen(buses, [fault(n) for n in range(faults)]), *size, glyphs)
        assert len(rows) == size[1]
        assert {width_of(row) for row in rows} == {size[0]}


def test_it_says_what_matters():
    rows = text(seen(faults=[fault(7, kind="unmetered_tap", **{"class": "theft"})]))
    whole = "\n".join(rows)
    assert rows[0].startswith("翠湖花园")
    assert rows[0].endswith("Tue 2026-10-13  17:05:12")
    assert text(seen(faults=[fault(1, meter=None)]))[-2].startswith("b1-1  silent")
    for said in (
        "512 meters · 500 households · 3 buses · 12 relays open", "▶ ×60", "1,234.5 /s", "81.8%", "seed 3",
        "0.12 ms median   0.45 ms p99   3.20 ms most", "ACTIVE FAULTS 1", "645000000007  unmetered_tap", "theft",
        "6 h 11 min", "q quit",
    ):  # fmt: skip
        assert said in whole
    assert [row.split()[0] for row in rows[8:11]] == ["b1-1", "b2-1", "b3-1"]


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ({"speed": 0}, "■ paused"),
        ({"clock": "stepped"}, "stepped by a client"),
        ({"speed": "max", "leap_until": "2026-11-12T16:00:00Z"}, "» leaping to 2026-11-13 00:00"),
    ],
)
def test_a_world_that_does_not_simply_run_says_so(time, said):
    assert said in text(seen(**time))[1]


def test_what_does_not_fit_is_left_out_whole_and_the_speed_stays():
    narrow = text(seen(200, [fault(n) for n in range(70)]), 50, 14)
    assert narrow[1] == "512 meters · 500 households · 200 buses      ▶ ×60"
    assert narrow[-1].endswith("space pause")
    assert "ACTIVE FAULTS 70" in "\n".join(narrow)
    roomy = text(seen(3, [fault(n) for n in range(10)]), 80, 24)
    assert roomy[-2].startswith("645000000000"), "rows that no bus needs are the faults'"
    wide = text(seen(3, [fault(n) for n in range(70)]), 140, 24)
    assert "BUS " in wide[7]
    assert "ACTIVE FAULTS 70" in wide[7], "faults stand beside the buses"
    assert "and 56 more, begun earlier" in wide[-2]
    assert text(seen(), 39, 24)[0] == "needs 40 x 10, has 39 x 24"


def test_buses_scroll_to_the_last_and_are_sorted_on_demand():
    sight = seen(200)
    sight.scroll = 1000
    rows = text(sight)
    assert "BUS 188–200 OF 200" in rows[7]
    assert rows[20].startswith("b200-1")
    sight.scroll, sight.busiest_first = -5, True
    assert text(sight)[8].startswith("b200-1")


def test_the_curve_is_the_difference_of_two_looks_and_stands_still_with_virtual_time():
    sight = seen()
    later = sight.metrics | {"transactions": 700, "elapsed_s": 62.0}
    sight.take(later, sight.time, [])
    sight.take(later, sight.time, [])
    assert sight.history == deque([50.0])


def test_a_port_that_is_gone_stands_where_the_use_of_the_wire_was():
    sight = seen()
    sight.metrics["buses"][1] |= {"port_up": False}
    sight.metrics["ports_down"] = 1
    assert ["port down" in row for row in text(sight)[8:11]] == [False, True, False]
    assert snapshot(sight).endswith("faults 0 ports_down 1")
    assert {width_of(row) for row in picture(sight, 40, 10, ASCII)} == {40}


def test_one_line_has_it_all():
    said = snapshot(seen(faults=[fault(1)]))
    assert said == (
        "2026-10-13T17:05:12+08:00 x60 meters 512 buses 3 relays_open 12 transactions 600 per_s 1234.5 wire 81.8% "
        "lag_ms p50 0.12 p99 0.45 max 3.2 faults 1"
    )


def test_text_is_measured_in_cells():
    assert [cells(one) for one in ("Cuihu", "翠湖", "é", "ｶ")] == [5, 4, 1, 1]
    assert fit("翠湖花园", 5) == "翠湖 "
    assert [lasted(s) for s in (5, 65, 3700, 90_000)] == ["5 s", "1 min 05 s", "1 h 01 min", "1 d 1 h"]
    assert [span.text for span in bar(0.001, 10, ASCII)] == ["#", "........."]
    assert [span.text for span in bar(1.7, 4, ASCII)] == ["####", ""]
    assert sparks([0, 1, 2, 4, 8], 4, UNICODE)[0].text == "▁▂▄█"
    assert sparks([0, 0], 4, UNICODE)[0].text == "▁▁"
