"""The editor of tariffs: every published list comes back from its form as it was, and errors stand by their fields."""

import json
import re

import pytest

from core.tariff import tariff_from_dict
from server.domain.tariff_preview import days_of, month_nf
from server.price_lists import price_lists
from server.store import schema
from server.web.tariff_form import FormReader, TariffForm, form_of, read_form
from tests.server.test_tariff_drafts import NOVEMBER
from tests.server.web.test_bills import billed

__all__ = ["billed"]


class Sent(dict):
    """A form as it is sent: repeated fields are lists."""

    def getlist(self, name):
        value = self.get(name, [])
        return value if isinstance(value, list) else [value]


def sent(form):
    """The fields that a browser would send for a form."""
    data = Sent({**form.head, "seasons": str(len(form.seasons))})
    data |= {f"t{number}": name for number, name in enumerate(form.registers, 1)}
    for place, season in enumerate(form.seasons):
        data[f"s{place}-m"] = [str(month) for month in season.months]
        data |= {
            f"s{place}-p{row}-{tier}": text for row, own in enumerate(season.prices) for tier, text in enumerate(own)
        }
        data |= {f"s{place}-l{tier}": text for tier, text in enumerate(season.limits)}
        for kind in season.windows:
            for number, (begin, rate) in enumerate(season.rows(kind)):
                data |= {f"s{place}-{kind}-b{number}": begin, f"s{place}-{kind}-r{number}": rate or "flat"}
    return data


def read(data):
    form = read_form(data, data.getlist)
    return form, FormReader(form, str).document()


@pytest.mark.parametrize("list_id", price_lists())
def test_a_published_list_comes_back_from_its_form(list_id):
    tariff = tariff_from_dict(price_lists()[list_id].document())
    version = tariff.versions[-1]
    form, document = read(sent(form_of(tariff, version)))
    assert form.errors == {}
    [again] = tariff_from_dict(document).versions
    assert again == version


def guangzhou():
    tariff = tariff_from_dict(price_lists()["guangzhou-tou"].document())
    return sent(form_of(tariff, tariff.versions[-1]))


@pytest.mark.parametrize(
    ("changes", "where", "why"),
    [
        ({"tariff_id": ""}, "tariff_id", "Give it an id"),
        ({"valid_from": "soon"}, "valid_from", "Choose the day"),
        ({"t1": "peak"}, "registers", "two of them are the same"),
        ({"t1": "night"}, "registers", "another rate"),
        ({"s0-p2-0": "1,2"}, "s0-prices", "T2, tier 1: 1,2 is no price"),
        ({"s0-p2-0": "-1"}, "s0-prices", "no price"),
        ({"s0-p2-0": "0.123456789"}, "s0-prices", "at most eight decimals"),
        ({"s1-p4-2": ""}, "s1-prices", "T4, tier 3: a price is missing"),
        ({"s1-p4-0": "", "s1-p4-1": "", "s1-p4-2": ""}, "s1-prices", "T4, tier 1: a price is missing"),
        ({"s0-l1": ""}, "s0-limits", "3 tiers have 2 limits"),
        ({"s0-l1": "260"}, "s0-limits", "Limits rise"),
        ({"s0-l1": "much"}, "s0-limits", "no energy in kWh"),
        ({"s0-m": ["5"]}, "s1-months", "Months in no season: 6, 7, 8, 9, 10"),
        ({"s0-m": [str(month) for month in range(4, 11)]}, "s1-months", "Months in two seasons: 4"),
        ({"s0-workday-b1": "25:00"}, "s0-workday", "25:00 is no time of the day"),
        ({"s0-workday-b1": "00:00"}, "s0-workday", "Two windows begin at 00:00"),
        ({"s0-workday-r1": "deep"}, "s0-workday", "a rate that no register counts"),
        ({f"s1-workday-b{n}": "" for n in range(14)}, "s1-workday", "give those of this season too"),
        (
            {f"s{s}-workday-b{n}": "" for n in range(14) for s in (0, 1)} | {"s0-weekend-b0": "00:00"},
            "s0-workday",
            "need those of workdays",
        ),
        ({"tier_period": "none"}, "tier_period", "choose one"),
        ({"tier_period": "year", "tier_start": "1301"}, "tier_start", "as MMDD"),
        ({"tier_start": "29"}, "tier_start", "from 1 to 28"),
        ({"settlement_day": "0"}, "settlement_day", "from 1 to 28"),
        ({"levies": "x"}, "levies", "Levies: x is no price"),
        ({"kind": "single", "quota": "x"}, "quota", "no energy in kWh"),
        ({"s0-p2-1": "1.2"}, "order_rule", "by other steps at other rates"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_by_its_field(changes, where, why):
    form, _document = read(Sent(guangzhou() | changes))
    assert why in form.errors[where]
    assert where in form.slots


def test_a_window_alone_holds_all_day_and_the_last_one_runs_over_midnight():
    data = Sent(guangzhou() | {f"s0-workday-b{n}": "" for n in range(14)} | {"s0-workday-b0": "08:00"})
    _form, document = read(data)
    [season] = [one for one in document["versions"][0]["seasons"] if 5 not in one["months"]]
    assert document["versions"][0]["periods"] == [{"from": "00:00", "to": "24:00", "rate": "valley"}]
    assert season["periods"][-1] == {"from": "19:00", "to": "00:00", "rate": "flat"}


def test_what_a_form_cannot_say_stays_with_the_text():
    own = [{"months": list(range(1, 13)), "registers": ["deep", "peak", "flat", "valley"], "prices": {"flat": "0.5"}}]
    tariff = tariff_from_dict({"id": "x", "valid_from": "2026-01-01", "prices": {"flat": "0.5"}, "seasons": own})
    assert form_of(tariff, tariff.versions[0]) is None
    noon = tariff_from_dict({"id": "x", "valid_from": "2026-01-01T12:00", "price": "0.5"})
    assert form_of(noon, noon.versions[0]) is None


def test_the_preview_is_what_the_kernel_would_charge():
    version = tariff_from_dict(price_lists()["guangzhou-tou"].document()).versions[-1]
    summer, winter = version.seasons
    valley, flat, peak = 8, 9, 7  # hours of a day
    share = 240_000 // 24
    exact = share * (valley * 22_914_475 + flat * 58_886_875 + peak * 99_500_875)
    assert month_nf(version, summer, 240_000) == exact
    assert month_nf(version, winter, 240_000) == exact + 40_000 * 5_000_000
    [day] = days_of(version)
    assert day.kinds == ()
    assert day.months == (5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4)
    assert [(one.start_minute, one.price_nf_per_wh) for one in day.pieces][:2] == [(0, 22_914_475), (480, 58_886_875)]
    periods = [{"from": "00:00", "to": "24:00", "rate": "flat"}]
    split = tariff_from_dict(
        price_lists()["guangzhou-tou"].document()["versions"][-1] | {"id": "x", "holiday_periods": periods}
    )
    assert [one.kinds for one in days_of(split.versions[0])] == [("workday",), ("holiday",)]
    unsaid = tariff_from_dict({"id": "x", "valid_from": "2026-01-01", "prices": {"flat": "0.5", "peak": "0.6"}})
    assert (month_nf(unsaid.versions[0], unsaid.versions[0].seasons[0], 1), days_of(unsaid.versions[0])) == (None, [])


def english(web):
    client, token = web.signed_in("operator"), web.csrf("operator")["X-CSRF-Token"]
    client.cookies.set("estate645_language", "en")
    return client, token


def test_a_tariff_is_drafted_with_the_form_and_changed_again(billed):
    client, token = english(billed)
    assert "Draft a change" in client.get("/tariffs").text
    fields = guangzhou() | {"csrf": token, "tariff_id": "gz-2027", "valid_from": "2027-01-01", "note": "first"}
    wrong = client.post("/tariffs/editor", data={**fields, "act": "keep", "s0-p2-0": "1,2"})
    assert wrong.status_code == 422
    assert "T2, tier 1: 1,2 is no price" in wrong.text
    assert 'value="1,2"' in wrong.text
    kept = client.post("/tariffs/editor", data={**fields, "act": "keep"})
    assert kept.status_code == 303, kept.text
    page = kept.headers["location"]
    text = client.get(page).text
    for words in ("Price over the day", "0.99500875", "/tariffs/editor?draft="):
        assert words in text
    again = client.get(re.search(r"/tariffs/editor\?draft=\w+", text)[0]).text
    assert 'value="gz-2027"' in again
    draft_id = page.rsplit("/", 1)[1]
    second = client.post("/tariffs/editor", data={**fields, "act": "keep", "replaces": draft_id, "s0-l0": "250"})
    assert second.status_code == 303
    drafts = {row["draft_id"]: row["status"] for row in billed.rows(schema.tariff_draft.select())}
    assert sorted(drafts.values()) == ["discarded", "draft"]
    assert drafts[draft_id] == "discarded"


def test_the_preview_follows_what_is_typed_and_says_what_is_wrong(billed):
    client, token = english(billed)
    fields = guangzhou() | {"csrf": token}
    text = client.post("/tariffs/editor/preview", data=fields).text
    for words in ("A month would cost", "200 kWh", "¥117.48", 'id="e-s0-prices"', "hx-swap-oob"):
        assert words in text
    text = client.post("/tariffs/editor/preview", data={**fields, "s0-p2-0": "1,2"}).text
    assert "T2, tier 1: 1,2 is no price" in text
    assert "The preview appears when every field is sound." in text
    billed.execute(schema.estate.update().values(price_cap_nf_per_wh=85_000_000))
    text = client.post("/tariffs/editor/preview", data=fields).text
    assert "over the estate&#39;s price cap of 0.8500" in text
    assert "A month would cost" in text


def test_seasons_come_and_go_and_text_becomes_a_form(billed):
    client, token = english(billed)
    fields = guangzhou() | {"csrf": token}
    assert 'id="s2"' in client.post("/tariffs/editor", data={**fields, "act": "season"}).text
    assert 'id="s1"' not in client.post("/tariffs/editor", data={**fields, "act": "drop-1"}).text
    filled = client.post("/tariffs/editor/text", data={"csrf": token, "document": NOVEMBER, "act": "fill"})
    assert 'name="s0-p0-1" value="0.6500"' in filled.text
    wrong = client.post("/tariffs/editor/text", data={"csrf": token, "document": "price = 1", "act": "keep"})
    assert (wrong.status_code, "has no id" in wrong.text) == (422, True)
    odd = json.dumps({"id": "x", "valid_from": "2027-01-01T12:00", "price": "0.5"})
    told = client.post("/tariffs/editor/text", data={"csrf": token, "document": odd, "act": "fill"}).text
    assert "A form cannot say all of this document" in told
    known = client.get("/tariffs/editor?tariff=single").text
    assert 'value="single"' in known
    assert 'value="2026-11-01"' in known


def test_an_empty_form_begins_with_one_season():
    assert TariffForm().seasons[0].months == set(range(1, 13))


def test_what_the_rules_refuse_is_said_in_the_language_of_the_page(billed):
    client, token = english(billed)
    client.cookies.set("estate645_language", "zh_CN")
    text = client.post("/tariffs/editor/text", data={"csrf": token, "document": NOVEMBER.replace("month", "week")})
    assert (text.status_code, "第1版：tier_period 没有" in text.text) == (422, True)
    broken = client.post("/tariffs/editor/text", data={"csrf": token, "document": "price = ="}).text
    assert "文档既不是 TOML 也不是 JSON" in broken
    fields = guangzhou() | {"csrf": token, "tariff_id": "single", "valid_from": "2020-01-01"}
    for path in ("/tariffs/editor", "/tariffs/editor/preview"):
        page = client.post(path, data={**fields, "act": "keep"}).text
        assert "电价“single”：改动了已生效的版本" in page
    form = {"csrf": token, "document": "price = 1", "begin": "2026-10-13T08:00", "until": "2026-10-13T09:00"}
    refused = client.post("/tariffs/rerates", data={**form, "reason": "r"})
    assert (refused.status_code, "电价没有编号，请写上" in refused.text) == (422, True)
