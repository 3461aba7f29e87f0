"""A draft of a tariff: checked as it is saved, simulated, published by two people, in force at its boundary."""

import json

import pytest
from sqlalchemy import select

from core.tariff import TariffError, tariff_from_dict
from server.domain.tariff_drafts import cap_of, check_cap, merged, tariff_of_text
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, tariffs
from server.flows.estates import import_estate
from server.store import schema, tariff_drafts
from server.store.engine import reader
from server.store.estates import get_estate
from server.store.tariffs import get_tariff, load_tariffs
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, report, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, document, household, plant
from tests.server.test_billing import MIDNIGHT_NOV, PRICE, charges
from tests.server.test_ledger import tamper

DAY = 24 * HOUR
NOVEMBER = """
id = "single"
name = "one price with two tiers a month"
valid_from = "2026-11-01"
price = "0.60"
tier_steps = ["0.05", "0.25"]
tier_limits_wh = [200_000, 400_000]
tier_period = "month"
"""


def save(writer, text=NOVEMBER, now=None, **more):
    return writer.run(
        lambda unit: tariffs.save_draft(unit, ESTATE, text, note="", actor="anna", now=now or at(), **more)
    )


def simulate(engine, writer, draft_id, now=None, **more):
    with reader(engine) as connection:
        found = tariffs.simulate(connection, ESTATE, draft_id, now or at(), **more)
    writer.run(lambda unit: tariffs.keep_simulation(unit, ESTATE, draft_id, found))
    return found


def ask(writer, draft_id, now=None):
    return writer.run(lambda unit: approvals.request_publication(unit, ESTATE, draft_id, actor="anna", now=now or at()))


def approve(engine, writer, approval_id, now=None, actor="bert"):
    with engine.connect() as connection:
        sha = connection.execute(
            select(schema.approval.c.payload_sha256).where(schema.approval.c.approval_id == approval_id)
        ).scalar_one()
    return writer.run(lambda unit: approvals.approve(unit, ESTATE, approval_id, sha, actor=actor, now=now or at()))


def publish(engine, writer, text=NOVEMBER, now=None):
    draft_id = save(writer, text, now)
    simulate(engine, writer, draft_id, now)
    approve(engine, writer, ask(writer, draft_id, now), now)
    return draft_id


def stored(engine, tariff_id="single"):
    with reader(engine) as connection:
        return get_tariff(connection, ESTATE, tariff_id)


def cap(writer, yuan):
    writer.run(
        lambda unit: unit.connection.execute(schema.estate.update().values(price_cap_nf_per_wh=cap_of(yuan))) and None
    )


def test_a_published_price_begins_at_its_boundary_exactly(engine, writer):
    plant(writer, [household(1, opening_fen=100_000)])
    publish(engine, writer)
    assert [v.rate_prices_nf_per_wh[0] for v in stored(engine).versions] == [PRICE, 60_000_000]
    read(
        writer, reading(1, MIDNIGHT_NOV - HOUR, 1_010_000), reading(1, MIDNIGHT_NOV, 1_011_000),
        reading(1, MIDNIGHT_NOV + HOUR, 1_013_000),
    )  # fmt: skip
    charge(writer, MIDNIGHT_NOV + HOUR)
    assert [line["charge_nf"] for line in charges(engine)] == [11_000 * PRICE, 2_000 * 60_000_000]
    agrees(engine)


def test_two_people_are_needed_and_a_simulation_before(engine, writer):
    plant(writer)
    draft_id = save(writer)
    with pytest.raises(Refused, match="simulate the draft"):
        ask(writer, draft_id)
    simulate(engine, writer, draft_id)
    approval_id = ask(writer, draft_id)
    with pytest.raises(Refused, match="second person"):
        approve(engine, writer, approval_id, actor="anna")
    assert len(stored(engine).versions) == 1
    approve(engine, writer, approval_id)
    assert len(stored(engine).versions) == 2
    with pytest.raises(Conflict, match="published already"):
        writer.run(lambda unit: tariffs.discard(unit, ESTATE, draft_id, actor="anna", now=at()))


def test_a_simulation_says_old_new_and_difference_for_each_household(engine, writer):
    plant(writer, [household(1, opening_fen=100_000), household(2, opening_fen=100_000)])
    for day in range(1, 16):
        read(writer, reading(1, day * DAY, 1_000_000 + day * 20_000), reading(2, day * DAY, 1_000_000 + day * 1_000))
        charge(writer, day * DAY)
    draft_id = save(writer, now=at(15 * DAY))
    found = simulate(engine, writer, draft_id, at(15 * DAY))
    booked = {
        name: sum(row["charge_nf"] for row in rows(engine, "line") if row["account_id"] == name)
        for name in ("H0001", "H0002")
    }
    assert {row[0]: int(row[3]) for row in found["households"]} == booked
    more = 60_000_000 - PRICE
    assert {row[0]: int(row[4]) - int(row[3]) for row in found["households"]} == {
        "H0001": 300_000 * more, "H0002": 15_000 * more,
    }  # fmt: skip
    assert int(found["new_nf"]) - int(found["old_nf"]) == 315_000 * more
    with reader(engine) as connection:
        assert json.loads(tariff_drafts.get(connection, ESTATE, draft_id)["simulation"]) == found


def test_a_tariff_nobody_is_on_is_simulated_on_the_energy_of_another(engine, writer):
    plant(writer, [household(1, opening_fen=100_000)])
    read(writer, reading(1, DAY, 1_010_000))
    charge(writer, DAY)
    draft_id = save(writer, 'id = "new"\nvalid_from = "2026-01-01"\nprice = "0.50"\n', at(DAY))
    with pytest.raises(Refused, match="say whose energy"):
        simulate(engine, writer, draft_id, at(DAY))
    found = simulate(engine, writer, draft_id, at(DAY), of="single")
    assert int(found["new_nf"]) == 10_000 * 50_000_000
    approve(engine, writer, ask(writer, draft_id, at(DAY)), at(DAY))
    assert stored(engine, "new").versions[0].rate_prices_nf_per_wh[0] == 50_000_000


def test_a_price_over_the_cap_is_refused_when_it_is_saved(engine, writer):
    plant(writer)
    cap(writer, "0.85")
    with pytest.raises(Refused, match=r"2026-11-01: 0.9000 yuan/kWh \(tier 3\) is over the estate's price cap of 0.85"):
        save(writer)
    cap(writer, "0.90")
    draft_id = save(writer)
    simulate(engine, writer, draft_id)
    cap(writer, "0.89")
    with pytest.raises(Refused, match="over the estate's price cap"):
        ask(writer, draft_id)


def test_an_import_keeps_the_cap_too(engine, writer):
    plant(writer)
    capped = document(2)
    entry = capped.estate.__class__(**{
        **{name: getattr(capped.estate, name) for name in capped.estate.__dataclass_fields__},
        "price_cap_nf_per_wh": 10**8,
    })  # fmt: skip
    with pytest.raises(Refused, match="over the estate's price cap"):
        writer.run(
            lambda unit: import_estate(
                unit, type(capped)(entry, tariffs=(tariff_from_dict({**SINGLE, "id": "dear", "versions": [
                    SINGLE["versions"][0] | {"price": "1.01"}]}),)), at(),
            )
        )  # fmt: skip
    with reader(engine) as connection:
        assert get_estate(connection, ESTATE)["price_cap_nf_per_wh"] is None
        assert "dear" not in load_tariffs(connection, ESTATE)


BAD = {
    "no tariff": ("price = 1.0", "has no id|quoted text"),
    "a float": ('id = "single"\nvalid_from = "2027-01-01"\nprice = 0.5', "quoted text"),
    "not TOML": ("id = ", "neither TOML nor JSON"),
    "two": ('[[tariff]]\nid = "a"\n[[tariff]]\nid = "b"', "one tariff"),
    "the past": (NOVEMBER.replace("2026-11-01", "2026-01-01"), "begins in the past"),
    "nothing new": (json.dumps(SINGLE), "nothing that is not in force"),
    "another zone": (NOVEMBER.replace("id =", 'time_zone = "UTC"\nid =', 1), "time zone"),
    "too long": ("#" * 100_001, "at most 100000"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_document_that_cannot_be_a_draft_is_refused(engine, writer, name):
    plant(writer)
    text, why = BAD[name]
    with pytest.raises(Refused, match=why):
        save(writer, text)


def test_a_draft_over_another_tariff_than_the_stored_one_is_not_published(engine, writer):
    plant(writer)
    first, second = save(writer), save(writer, NOVEMBER.replace("0.60", "0.61"))
    for draft_id in (first, second):
        simulate(engine, writer, draft_id)
    approval_id = ask(writer, second)
    approve(engine, writer, ask(writer, first))
    with pytest.raises(Conflict, match="has changed since"):
        approve(engine, writer, approval_id)
    assert stored(engine).versions[1].rate_prices_nf_per_wh[0] == 60_000_000


def test_a_draft_that_would_have_begun_is_not_published(engine, writer):
    plant(writer)
    draft_id = save(writer)
    simulate(engine, writer, draft_id)
    late = at(MIDNIGHT_NOV, 0)
    approval_id = ask(writer, draft_id, at(MIDNIGHT_NOV - 60, 0))
    with pytest.raises(Refused, match="would have begun already"):
        approve(engine, writer, approval_id, late)


def test_a_draft_never_takes_away_a_version_that_has_begun_since_it_was_drafted(engine, writer):
    soon = {**SINGLE["versions"][0], "valid_from": "2026-10-13T10:05:00+08:00", "price": "1.00"}
    plant(writer, tariffs=({**SINGLE, "versions": [*SINGLE["versions"], soon]}, BY_RATES))
    early, late = save(writer), save(writer)
    for draft_id in (early, late):
        simulate(engine, writer, draft_id)
    read(writer, reading(1, 2 * HOUR, 1_004_000))
    charge(writer, 2 * HOUR)
    with pytest.raises(Refused, match="has begun since"):
        ask(writer, late, at(3 * HOUR, 0))
    approval_id = ask(writer, early)
    with pytest.raises(Refused, match="has begun since"):
        approve(engine, writer, approval_id, at(3 * HOUR, 0))
    assert len(stored(engine).versions) == 2
    agrees(engine)


def test_a_later_draft_replaces_what_was_planned_and_never_what_has_begun(engine, writer):
    plant(writer)
    publish(engine, writer)
    publish(engine, writer, NOVEMBER.replace("2026-11-01", "2026-12-01"))
    assert [v.valid_from_s for v in stored(engine).versions][1:] == [START_S + MIDNIGHT_NOV + 30 * DAY]
    with pytest.raises(NotFound):
        ask(writer, "none")


def test_an_estate_file_that_does_not_know_a_published_version_leaves_it(engine, writer):
    planned = plant(writer)
    publish(engine, writer)
    for now in (at(), at(MIDNIGHT_NOV + DAY)):
        writer.run(lambda unit, now=now: import_estate(unit, planned, now))
        assert len(stored(engine).versions) == 2
    other = {**SINGLE, "versions": [*SINGLE["versions"], SINGLE["versions"][0] | {"valid_from": "2026-11-01"}]}
    with pytest.raises(Conflict, match="two people have published"):
        writer.run(lambda unit: import_estate(unit, document(2, tariffs=(other, BY_RATES)), at()))


def test_the_cap_names_tier_and_rate():
    dear = tariff_from_dict(BY_RATES)
    check_cap(dear, dear.versions, None)
    check_cap(dear, dear.versions, 120_000_000)
    with pytest.raises(TariffError, match=r"1.2000 yuan/kWh \(tier 1, sharp\)"):
        check_cap(dear, dear.versions, 119_999_999)
    for text in ("0", "-1", "x", 5):
        with pytest.raises(ValueError, match=r"."):
            cap_of(text)


def test_toml_and_json_and_the_table_of_an_estate_file_are_the_same():
    wanted = tariff_from_dict(SINGLE)
    assert tariff_of_text(json.dumps(SINGLE)) == wanted
    assert tariff_of_text(json.dumps({"tariff": [SINGLE]})) == wanted
    assert merged(None, wanted, START_S) is wanted


def test_invariant_06_a_version_that_two_people_published_is_theirs(sqlite_engine):
    writer = Writer(sqlite_engine)
    plant(writer)
    publish(sqlite_engine, writer)
    publish(sqlite_engine, writer, NOVEMBER.replace("2026-11-01", "2026-12-01"))
    asked = [json.loads(row["payload"])["withdrawn_s"] for row in rows(sqlite_engine, "approval")]
    assert sorted(asked) == [[], [START_S + MIDNIGHT_NOV]]
    agrees(sqlite_engine)
    for change, said in (
        ("tariff SET definition = replace(definition, '60000000', '20000000')", "is not what two people published"),
        (
            "tariff_draft SET definition = replace(definition, '60000000', '20000000')",
            "is not what two people agreed to",
        ),
        ("approval SET approved_by = requested_by", "became a tariff without a second person"),
        ("approval SET status = 'waiting'", "but nobody agreed to it"),
    ):
        tamper(sqlite_engine, change.split()[0], f"UPDATE {change}")
        assert any(said in one.detail for one in report(sqlite_engine).mismatches), said
    writer.stop()
