"""Supply through the pages of two people: modes, the hash that is approved, the red button and starting again."""

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def pair(visit):
    """Two operators, each at a browser, both on the supply page."""
    zhou, he = visit("zhou"), visit("he")
    for window in (zhou, he):
        window.go("/supply")
    return zhou, he


def mode(window):
    return window.page.locator(".head .steps b")


def approve_as(window):
    """Load the page again, read the hash that is shown, approve exactly it; returns the hash."""
    window.go("/supply")
    shown = window.page.locator(".hash").inner_text()
    found = re.fullmatch(r"SHA-256 ([0-9a-f]{64})", shown)
    assert found, shown
    form = window.page.locator("form[action^='/supply/approve/']")
    assert form.locator("[name=payload_sha256]").get_attribute("value") == found[1]
    form.get_by_role("button").click()
    expect(window.page.locator(".hash")).to_have_count(0)
    return found[1]


def test_one_step_down_is_at_once_and_one_step_up_takes_two_people(pair):
    zhou, he = pair
    expect(mode(zhou)).to_have_text("Armed")
    zhou.page.get_by_role("button", name="Back to: Dry run").click()
    expect(mode(zhou)).to_have_text("Dry run")
    zhou.page.get_by_role("button", name="Ask for: Armed").click()
    expect(zhou.page.locator(".hash")).to_be_visible()
    expect(mode(zhou)).to_have_text("Dry run")
    expect(zhou.page.get_by_role("button", name="Approve exactly this")).to_have_count(0)
    expect(zhou.page.locator("main")).to_contain_text("somebody else must approve")
    approve_as(he)
    expect(mode(he)).to_have_text("Armed")
    zhou.go("/supply")
    expect(mode(zhou)).to_have_text("Armed")


def test_another_hash_than_the_one_shown_is_not_approved(pair, demo):
    zhou, he = pair
    zhou.page.get_by_role("button", name="Back to: Dry run").click()
    zhou.page.get_by_role("button", name="Ask for: Armed").click()
    expect(zhou.page.locator(".hash")).to_be_visible()
    he.forgives = ("409", "422")
    he.go("/supply")
    he.page.locator("form[action^='/supply/approve/'] [name=payload_sha256]").evaluate(
        "(field) => { field.value = 'f'.repeat(64); }"
    )
    he.page.get_by_role("button", name="Approve exactly this").click()
    expect(he.page.get_by_role("alert")).to_be_visible()
    approve_as(he)
    expect(mode(he)).to_have_text("Armed")


def test_the_red_button_stops_at_once_and_two_people_start_again(pair):
    zhou, he = pair
    zhou.page.get_by_role("button", name="Stop all cutting").click()
    expect(zhou.page.get_by_role("status")).to_contain_text("All cutting is stopped")
    he.go("/wall")
    expect(he.page.locator("main")).to_contain_text("All cutting is stopped")
    he.go("/supply")
    he.page.get_by_role("button", name="Ask to start again").click()
    expect(he.page.get_by_role("button", name="Approve exactly this")).to_have_count(0)
    expect(he.page.get_by_role("status")).to_contain_text("All cutting is stopped")
    approve_as(zhou)
    expect(zhou.page.get_by_role("button", name="Stop all cutting")).to_be_visible()
    expect(mode(zhou)).to_have_text("Armed")


def test_every_verdict_gives_its_reason(visit, demo):
    window = visit("zhou")
    window.go("/supply?room=1-0405")
    proof = window.page.locator(".proof").last
    expect(proof).to_contain_text("Protected household")
    expect(window.page.locator("#decisions")).to_contain_text("1-0405")
