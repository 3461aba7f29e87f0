"""Who may do what: the rules that the table must keep, whatever verbs are added."""

import pytest

from server.domain.access import ROLES, VERBS, allows

MONEY_BACK = {"refund.order", "refund.decide", "suspense.assign", "reconciliation.load", "reconciliation.settle"}
MONEY = {"topup.sell", "topup.reverse"} | MONEY_BACK
SUPPLY = {verb for verb in VERBS if verb.startswith("supply.") and verb not in ("supply.view", "supply.stop")}


def verbs_of(role: str) -> set[str]:
    return {verb for verb in VERBS if allows(role, verb)}


def test_an_unknown_role_or_verb_has_nothing():
    assert not allows("nobody", "household.view")
    assert not allows("nobody", "")
    assert not allows("admin", "no.such")


def test_the_empty_verb_asks_only_for_being_signed_in():
    assert all(allows(role, "") for role in ROLES)


def test_the_administrator_touches_neither_money_nor_relays():
    assert not verbs_of("admin") & (MONEY | SUPPLY)
    assert allows("admin", "people.manage")


@pytest.mark.parametrize("role", [role for role in ROLES if role != "operator"])
def test_only_operators_change_supply(role):
    assert SUPPLY
    assert not verbs_of(role) & SUPPLY


def test_people_are_managed_by_administrators_only():
    assert [role for role in ROLES if allows(role, "people.manage")] == ["admin"]


def test_a_reader_changes_nothing():
    assert all(verb.endswith((".view", ".list")) for verb in verbs_of("reader"))


def test_residents_and_kiosks_see_no_other_household():
    for role in ("resident", "kiosk"):
        assert not verbs_of(role) & {"households.list", "estate.view", "statistics.view", "case.view", "bus.view"}


def test_money_goes_back_by_operators_only_and_sales_are_reversed_where_they_are_made():
    assert {role for role in ROLES for verb in MONEY_BACK if allows(role, verb)} == {"operator"}
    assert {role for role in ROLES if allows(role, "topup.reverse")} == {"cashier", "operator"}


def test_cash_is_for_those_at_the_counter():
    assert {role for role in ROLES if allows(role, "topup.sell")} == {"cashier", "operator"}
