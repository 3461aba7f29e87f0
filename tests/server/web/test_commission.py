"""Commissioning at the console: found, named, checked, taken in; who may, and what is wrong is said at its meter."""

from dataclasses import dataclass, replace

import pytest

from core.tariff import tariff_from_dict
from server.store import schema
from server.store.tariffs import save_tariff
from tests.server.estates import BY_RATES, SINGLE
from tests.server.web.conftest import ESTATE, WORLD_S

NEW, KNOWN, UNIT = "202600010101", "000000000001", "17"


@dataclass(frozen=True)
class Found:
    protocol: str
    address: str
    profile: str = "standard"
    model: str = "E645"
    total_wh: int | None = 12_340
    rates_wh: tuple = ()


@dataclass(frozen=True)
class Search:
    state: str = "done"
    probes: int = 123
    protocol: str = "2007"
    error: str = ""
    meters: tuple = (Found("2007", NEW), Found("2007", KNOWN), Found("modbus", UNIT, "chint-ddsu666", "Chint DDSU666"))
    doubts: tuple = (("clash", "2007", "000000000007"),)
    addresses: tuple = ()


class Searches:
    def __init__(self):
        self.search = None
        self.calls = []
        self.registers = {NEW: (12_350, ()), UNIT: (1234, ())}

    def of(self, bus_id):
        return self.search

    def start(self, bus_id, addresses=()):
        self.calls.append(("start", bus_id, *addresses))

    def end(self, bus_id):
        self.calls.append(("end", bus_id))

    def registers_wh(self, bus_id, meter):
        return self.registers.get(meter.address, (None, ()))


@pytest.fixture
def site(web):
    """The operator's browser, the searches, and how often the collector was told to read anew."""
    searches, reloads = Searches(), []
    web.site.state.web = replace(web.state, searches=searches)
    web.state.bell.listen("estate", lambda *_: reloads.append(1))
    for definition in (SINGLE, BY_RATES):
        tariff = tariff_from_dict(definition)
        web.state.writer.run(lambda unit, tariff=tariff: save_tariff(unit.connection, ESTATE, tariff, 0))
    return web.signed_in("operator"), searches, reloads


def form(**changes):
    """Everything right for the new meter; `changes` by field."""
    fields = {
        "take": "1",
        "room": "1-301",
        "building": "1",
        "floor": "3",
        "holder": "王伟",
        "tariff": "single",
    } | changes
    return {f"{name}-2007-{NEW}": value for name, value in fields.items()}


def post(site, web, path, data):
    return site[0].post(f"/buses/bus1/{path}", data=data, headers=web.csrf("operator"))


def test_before_a_search_the_page_says_what_it_will_do(web, site):
    page = site[0].get("/buses/bus1/search")
    assert page.status_code == 200
    assert "开始查找" in page.text
    assert post(site, web, "search", {}).status_code == 303
    assert post(site, web, "search/end", {}).status_code == 303
    assert site[1].calls == [("start", "bus1"), ("end", "bus1")]


def test_numbers_of_nameplates_go_with_the_search_and_stay_in_its_form(web, site):
    assert post(site, web, "search", {"addresses": "777, 202600010102"}).status_code == 303
    assert site[1].calls == [("start", "bus1", "000000000777", "202600010102")]
    site[1].search = Search(addresses=("000000000777",), doubts=(("silent", "", "000000000777"),))
    page = site[0].get("/buses/bus1/search").text
    assert 'value="000000000777"' in page
    assert "此铭牌表号无应答" in page
    wrong = post(site, web, "search", {"addresses": "77x"})
    assert wrong.status_code == 422
    assert "不是表号" in wrong.text


def test_while_it_searches_the_page_looks_again_by_itself(web, site):
    site[1].search = Search("running", meters=())
    page = site[0].get("/buses/bus1/search").text
    assert 'hx-trigger="every 2s"' in page
    assert "已询问 123 次" in page
    site[1].search = Search("running")
    page = site[0].get("/buses/bus1/search").text
    assert NEW in page
    assert "<input" not in page.split('id="found"')[1]  # what is looked at anew would wipe out what somebody types


def test_what_was_found_has_a_form_and_what_is_installed_has_none(web, site):
    site[1].search = Search()
    page = site[0].get("/buses/bus1/search").text
    assert f'name="room-2007-{NEW}"' in page
    assert f'name="meter-modbus-{UNIT}"' in page
    assert f'name="room-2007-{KNOWN}"' not in page
    assert "已装于 1-101" in page
    assert "2007 000000000007" in page
    assert "有些 DL/T 645-1997 电表对查找不应答" in page
    assert 'hx-trigger="every 2s"' not in page


def test_a_failed_search_says_why(web, site):
    site[1].search = Search("failed", error="bus bus1 is not open", meters=(), doubts=())
    assert "查找失败" in site[0].get("/buses/bus1/search").text


def test_checking_writes_nothing_and_shows_the_register_of_now(web, site):
    site[1].search = Search()
    page = post(site, web, "install/check", form())
    assert page.status_code == 200
    assert "有应答，可以接入" in page.text
    assert "12.35 kWh" in page.text
    assert 'formaction="/buses/bus1/install"' in page.text
    assert web.rows(schema.meter.select().where(schema.meter.c.meter_id == NEW)) == []


def test_installing_takes_it_in_at_the_register_of_now_and_lets_the_collector_read_it(web, site):
    site[1].search = Search()
    answer = post(site, web, "install", form())
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/buses/bus1/search?installed=1"
    [meter] = web.rows(schema.meter.select().where(schema.meter.c.meter_id == NEW))
    assert (meter["start_wh"], meter["installed_at"], meter["room_id"], meter["bus_id"]) == (
        12_350,
        WORLD_S,
        "1-301",
        "bus1",
    )
    [account] = web.rows(schema.account.select().where(schema.account.c.account_id == "H1-301"))
    assert (account["holder"], account["tariff_id"], account["balance_fen"]) == ("王伟", "single", 0)
    [room] = web.rows(schema.room.select().where(schema.room.c.room_id == "1-301"))
    assert (room["floor"], room["door"]) == (3, "301")
    assert web.rows(schema.audit.select())[-1]["verb"] == "meter.installed"
    assert site[2] == [1]
    assert "已接入 1 块电表" in site[0].get("/buses/bus1/search?installed=1").text


def test_a_modbus_unit_is_taken_in_under_the_number_of_its_nameplate(web, site):
    site[1].search = Search()
    fields = {"take": "1", "room": "1-302", "building": "1", "floor": "3", "holder": "x", "tariff": "single",
              "meter": "202600019999"}  # fmt: skip
    answer = post(site, web, "install", {f"{name}-modbus-{UNIT}": value for name, value in fields.items()})
    assert answer.status_code == 303, answer.text
    [meter] = web.rows(schema.meter.select().where(schema.meter.c.meter_id == "202600019999"))
    assert (meter["protocol"], meter["model"], meter["unit"], meter["start_wh"]) == (
        "modbus",
        "chint-ddsu666",
        17,
        1234,
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"room": ""}, "请填写房间号"),
        ({"room": "1 301"}, "请填写房间号"),
        ({"room": "1/301"}, "请填写房间号"),
        ({"room": "1-101"}, "该房间已有住户"),
        ({"building": "9"}, "请选择楼栋"),
        ({"floor": "three"}, "楼层须为 -20 至 300 的整数"),
        ({"floor": "301"}, "楼层须为 -20 至 300 的整数"),
        ({"holder": " "}, "请填写缴费人"),
        ({"tariff": "none"}, "请选择电价"),
        ({"tariff": "tou"}, "没有四个费率表底"),
    ],
)
def test_what_is_wrong_is_said_at_its_meter_and_nothing_is_taken_in(web, site, changes, said):
    site[1].search = Search()
    page = post(site, web, "install/check", form(**changes)).text
    assert said in page
    assert 'formaction="/buses/bus1/install"' not in page
    assert post(site, web, "install", form(**changes)).status_code == 422
    assert web.rows(schema.meter.select().where(schema.meter.c.meter_id == NEW)) == []


def test_a_meter_that_does_not_tell_its_register_is_not_taken_in(web, site):
    site[1].search = Search()
    for register in ((None, ()), (12_345, ()), (12_340, (1, 2, 3, 4))):
        site[1].registers[NEW] = register
        assert "刚才未读到表底" in post(site, web, "install/check", form()).text


def test_a_room_and_a_number_serve_one_meter_of_the_form(web, site):
    second = "202600010102"
    site[1].search = Search(meters=(Found("2007", NEW), Found("2007", second)))
    site[1].registers[second] = (10, ())
    both = form() | {name.replace(NEW, second): value for name, value in form().items()}
    assert "重复填写" in post(site, web, "install/check", both).text
    assert post(site, web, "install", both).status_code == 422


def test_nothing_ticked_is_nothing_done(web, site):
    site[1].search = Search()
    assert post(site, web, "install", {}).status_code == 422


@pytest.mark.parametrize("role", ["admin", "cashier", "reader", "resident"])
def test_only_an_operator_commissions(web, site, role):
    client = web.signed_in(role)
    assert client.get("/buses/bus1/search").status_code == 403
    assert client.post("/buses/bus1/install", data=form(), headers=web.csrf(role)).status_code == 403


def test_a_bus_of_nobody_and_a_server_that_does_not_read(web):
    client = web.signed_in("operator")
    assert client.get("/buses/none/search").status_code == 404
    assert client.get("/buses/bus1/search").status_code == 422
