"""The tiles of the wall and the sums over all households: only what changed is worked out, and nothing is mixed up."""

import itertools

import pytest

from server.store import schema
from server.web.operator import board, tiles
from tests.server.web.conftest import ESTATE, WORLD_S
from tests.server.web.test_overview import sell


class Drawing:
    """Macros that show little."""

    def tile(self, tile, selected=False):
        return f"<{tile.room}{'!' if selected else ''} {tile.state}>" if tile else "<>"

    def row(self, number, columns):
        return f"{number}:<!--here-->;"

    def building(self, building):
        return f"{building.name} <!--here--> kW <!--here-->."


@pytest.fixture
def board_of(web, monkeypatch):
    """A look at the board at some second: what it shows, as what, and the rooms whose tiles were made for it."""
    made, real = [], board.tile_of
    monkeypatch.setattr(board, "tile_of", lambda row, *a, **k: made.append(row.room_id) or real(row, *a, **k))
    its = board.Board(dict.fromkeys(tiles.STATES, ""), Drawing())

    def look(seconds=0, cases=frozenset(), selected=""):
        made.clear()
        households = web.site.state.overview.look()
        shown = its.shown(households, cases, WORLD_S + seconds, 900)
        return shown, b"".join(shown.parts(households.columns.by_building(), selected)).decode(), list(made)

    return look


def test_only_tiles_that_change_are_made(web, board_of):
    page = "1 栋 1.72 kW 1:<1-101 normal><1-102 normal>;."
    assert board_of()[1:] == (page, ["1-101", "1-102"])
    assert board_of()[1:] == (page, [])
    sell(web, "A2")
    shown, marked, made = board_of(selected="1-101")
    assert [tile.figure for tile in shown.tiles] == ["0", "5"]
    page = page.replace("1-102 normal", "1-102 vlow")
    assert (marked, made) == (page.replace("1-101", "1-101!"), ["1-102"])
    assert board_of()[1:] == (page, []), "a mark is never kept"


def test_names_are_escaped_wherever_the_shape_of_a_tile_has_them(web):
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(room_id=None))
    room = schema.room.update().where(schema.room.c.room_id == "1-102")
    web.execute(room.values(room_id="<b>&", door="<i>"))
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(room_id="<b>&"))
    page = web.signed_in("operator").get("/wall").text
    assert 'data-room="&lt;b&gt;&amp;"' in page
    assert "<span>&lt;i&gt;</span>" in page
    assert ("<b>&" in page, "<i>" in page, "\ue000" in page, "<!--" in page) == (False, False, False, False)


def test_who_shares_the_tiles_shares_nothing_else(web):
    """Everything that is kept is of one language and of nobody; who may look is asked each time."""
    people = {role: web.signed_in(role) for role in ("operator", "cashier")}
    for role, language in itertools.product(people, ("zh_CN", "en", "zh_CN")):
        people[role].cookies.set("estate645_language", language)
        for path in ("/wall", "/today"):
            page = people[role].get(path).text
            other = "cashier" if role == "operator" else "operator"
            assert (web.csrf(role)["X-CSRF-Token"] in page, web.csrf(other)["X-CSRF-Token"] in page) == (True, False)
            assert ('href="/supply"' in page) is (role == "operator")
            assert ("正常" in page, "Normal" in page) == (language == "zh_CN", language == "en"), (path, role)
    people["operator"].post("/logout", data={"csrf": web.csrf("operator")["X-CSRF-Token"]})
    assert people["operator"].get("/wall").headers["location"].startswith("/login")
    assert web.signed_in("resident").get("/wall").status_code == 403


def test_silence_alone_changes_a_tile_and_contact_brings_back_what_it_was(web, board_of):
    _, before, _ = board_of(3600)
    shown, page, made = board_of(3601)
    assert [tile.state for tile in shown.tiles] == ["lost", "lost"]
    assert (shown.counts["lost"], shown.counts["normal"], shown.counts["all"]) == (2, 0, 2)
    assert (page.count("lost"), made) == (2, ["1-101", "1-102"])
    heard = schema.meter_live.update().where(schema.meter_live.c.meter_id == "000000000001")
    web.execute(heard.values(contact_at=WORLD_S + 60))
    shown, page, made = board_of(3602)
    assert [tile.state for tile in shown.tiles] == ["normal", "lost"]
    assert (shown.counts["lost"], shown.counts["normal"], made) == (1, 1, [])
    assert page == before.replace("<1-102 normal>", "<1-102 lost>")


def test_cases_and_power_are_seen_by_the_next_look(web, board_of):
    assert board_of()[0].counts["case"] == 0
    shown, _, made = board_of(cases=frozenset({"1-102", "9-999"}))
    assert ([tile.flags for tile in shown.tiles], shown.counts["case"]) == ([(), ("case",)], 1)
    assert made == ["1-102"]
    assert board_of()[0].counts["case"] == 0
    web.execute(schema.meter_live.update().values(power_mw=1_000_000))
    assert board_of()[1:] == ("1 栋 2.00 kW 1:<1-101 normal><1-102 normal>;.", [])


def test_an_older_look_that_comes_late_takes_nothing_back(web):
    """Two pages look at once; the one that looked first may reach the board last."""
    made = board.Board(dict.fromkeys(tiles.STATES, ""), Drawing())
    old = web.site.state.overview.look()
    sell(web)
    new = web.site.state.overview.look()
    figures = [
        made.shown(look, frozenset(), WORLD_S + seconds, 900).tiles[0].figure
        for look, seconds in ((old, 0), (new, 0), (old, 3601), (new, 0))
    ]
    assert figures == ["0", "5", "5", "5"]


def test_columns_say_what_the_rows_say(web):
    """Sums are taken from columns that commits change in places; the rows themselves are the oracle."""
    sell(web)
    web.execute(schema.supply.update().where(schema.supply.c.meter_id == "000000000002").values(relay="permitted"))
    live = schema.meter_live.update().where(schema.meter_live.c.meter_id == "000000000001")
    web.site.state.overview.look()
    web.execute(live.values(reading_at=WORLD_S - 30, power_mw=None))
    web.execute(schema.bus.insert().values(estate_id=ESTATE, bus_id="bus0", url="x"))
    web.site.state.overview.look()
    web.execute(schema.meter.update().where(schema.meter.c.meter_id == "000000000001").values(bus_id="bus0"))
    web.state.bell.ring("meter", "000000000001")
    found = web.site.state.overview.look()
    assert [row.reading_at for row in found.rows] == [WORLD_S - 30, None]
    columns = found.columns
    assert (columns.off, columns.oldest_at) == (1, WORLD_S - 30)
    assert (columns.fresh(WORLD_S - 30), columns.fresh(WORLD_S - 29)) == (1, 0)
    assert (columns.power.power_mw, columns.power.known, columns.power.households) == (860_000, 1, 2)
    assert columns.by_building() == {"1": columns.power}
    assert list(columns.by_bus(WORLD_S - 60)) == [("bus0", 1, 1), ("bus1", 0, 1)]
