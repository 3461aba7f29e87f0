"""Published price lists: each one a sound tariff with a source and a mark, and charging as the golden table says."""

from datetime import datetime

import pytest

from core.tariff import tariff_from_dict, version_at
from core.tariff_order import charge_step
from server.errors import ConfigError
from server.intake.estate_file import read_estate
from server.price_lists import QUALITIES, price_lists, written_out
from tests.core.test_tariff_documents import registers
from tests.core.test_tariff_golden import CASES
from tests.house.sources import ROOT

GOLDEN = {  # tariff of the golden table: (list, a day at which it holds)
    "BJ-M": ("beijing-month", "2021-01-15"),
    "BJ-Y": ("beijing-year", "2026-11-15"),
    "CS-M": ("changsha-month", "2026-11-15"),
    "GZ-S": ("guangzhou", "2021-07-01"),
    "GZ-W": ("guangzhou", "2021-01-01"),
    "GZ-HB": ("guangzhou-shared", "2026-11-15"),
    "GZ-TOU-S": ("guangzhou-tou", "2022-07-01"),
    "SZ-S": ("shenzhen", "2027-07-01"),
    "SZ-W": ("shenzhen", "2027-01-01"),
    "SZ-TOU-S": ("shenzhen-tou", "2027-07-01"),
    "ZJ-Y": ("zhejiang", "2021-01-15"),
    "ZJ-TOU": ("zhejiang-tou", "2021-01-15"),
    "SH-TOU": ("shanghai-tou", "2021-01-15"),
    "SH-TOU-2012H2": ("shanghai-tou", "2012-08-01"),
    "SH-Y": ("shanghai-year", "2026-11-15"),
    "SC-M": ("sichuan-month", "2027-01-15"),
    "SC-M-JAS": ("sichuan-month", "2027-08-01"),
    "SC-DRY": ("sichuan-tou", "2027-01-15"),
    "SC-WET": ("sichuan-tou", "2027-06-15"),
    "GUIZ-Y": ("guizhou", "2021-01-15"),
    "GX-Y": ("guangxi", "2022-01-15"),
    "YN-F": ("yunnan", "2027-06-01"),
    "HI-S": ("hainan", "2027-06-01"),
    "SD-TOU": ("shandong-tou", "2026-09-01"),
    "SD-TOU-H": ("shandong-tou", "2026-12-15"),
    "CQ-TOU": ("chongqing-tou", "2024-01-15"),
}


def at(day):
    return int(datetime.fromisoformat(f"{day}T12:00+08:00").timestamp())


@pytest.mark.parametrize("list_id", price_lists())
def test_every_list_is_a_sound_tariff_with_sources_and_a_mark(list_id):
    one = price_lists()[list_id]
    tariff = tariff_from_dict(one.document())
    assert tariff.tariff_id == list_id
    assert one.quality in QUALITIES
    assert one.sources
    assert all((one.place, one.place_en, one.title, one.title_en, one.checked))
    assert bool(one.note) == bool(one.note_en)
    assert one.is_sure or one.note, "what is not sure says why"
    assert all(version.windows.workday for version in tariff.versions if version.kind == "tou")


def golden():
    for case in CASES.values():
        for number, segment in enumerate(case["segments"]):
            plain = "free_quota" not in case and "intervals_wh" not in segment and case["order_rule"] != "a"
            list_id, day = GOLDEN.get(segment["tariff"], ("", ""))
            if segment.get("tier_adder_wh"):
                list_id += "-large"
            if plain and list_id in price_lists():
                yield pytest.param(list_id, day, segment, id=f"{case['id']}-{number}")


@pytest.mark.parametrize(("list_id", "day", "segment"), list(golden()))
def test_the_lists_charge_what_the_golden_table_says(list_id, day, segment):
    version, season = version_at(tariff_from_dict(price_lists()[list_id].document()), at(day))
    energy, before = registers(segment["energy_wh"]), segment["counter_before_wh"]
    exact = charge_step(version, season, energy, before, settled_wh=[0] * 4)
    assert exact == sum(line["wh"] * line["price"] for line in lines_of(segment))


def lines_of(segment):
    for line in segment["lines"]:
        price = next(value for name, value in line.items() if name.startswith("price") and isinstance(value, int))
        wh = next(value for name, value in line.items() if name.endswith("wh"))
        yield {"wh": wh, "price": price}


def test_a_list_is_named_in_an_estate_file_and_may_begin_otherwise():
    found = written_out({"published": "guangzhou-tou", "id": "gz", "name": "广州", "valid_from": "2026-01-01"})
    tariff = tariff_from_dict(found)
    assert (tariff.tariff_id, tariff.name, len(tariff.versions)) == ("gz", "广州", 1)
    assert tariff.versions[0].rate_prices_nf_per_wh[1] == 99_500_875
    assert written_out({"id": "own"}) == {"id": "own"}
    assert len(tariff_from_dict(written_out({"published": "shanghai-tou", "unsure": True})).versions) == 2


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"published": "atlantis"}, "no such list; known: beijing-month"),
        ({"published": "changsha-month"}, "is not sure .example.*unsure = true"),
        ({"published": "changsha-month", "unsure": "yes"}, "is not sure"),
        ({"published": "guangzhou", "price": "0.1"}, "price cannot stand beside it"),
    ],
)
def test_what_cannot_be_taken_is_refused(table, why):
    with pytest.raises(ValueError, match=why):
        written_out(table)


def test_an_estate_file_takes_a_list_and_says_where_it_is_wrong(tmp_path):
    text = (ROOT / "docs" / "estate.example.toml").read_text("utf-8")
    start, end = text.index("[[tariff]]"), text.index("[[bus]]")
    path = tmp_path / "estate.toml"

    def read(tariff):
        path.write_text(text[:start] + tariff + text[end:], "utf-8")
        return read_estate(path, at("2026-11-15"))

    document = read('[[tariff]]\npublished = "guangzhou"\nid = "gz"\n\n')
    assert document.tariffs[0].versions[0].rate_prices_nf_per_wh[0] == 58_886_875
    with pytest.raises(ConfigError, match=r"estate.toml: published = 'hunan'"):
        read('[[tariff]]\npublished = "hunan"\n\n')
