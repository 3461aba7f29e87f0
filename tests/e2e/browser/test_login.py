"""Signing in: the same words for every failure, in both languages, and each role at its own start."""

import pytest
from playwright.sync_api import expect

from tests.e2e.pages import TAGS

WRONG = {"en": "User name or password is wrong", "zh_CN": "用户名或密码不对"}


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_wrong_password_is_told_in_words_and_the_name_is_kept(visit, language):
    window = visit(language=language)
    window.forgives = ("401",)
    told = []
    for login in ("zhou", "nobody-of-that-name"):
        window.go("/login")
        window.page.fill("input[name=login]", login)
        window.page.fill("input[name=password]", "not the password")
        window.page.click('form[action="/login"] button')
        alert = window.page.get_by_role("alert")
        expect(alert).to_contain_text(WRONG[language])
        expect(window.page.locator("input[name=login]")).to_have_value(login)
        expect(window.page.locator("html")).to_have_attribute("lang", TAGS[language])
        told.append(alert.inner_text())
    assert told[0] == told[1], "a stranger must not learn which logins exist"


@pytest.mark.parametrize(
    ("login", "home"), [("zhou", "/today"), ("lin", "/today"), ("2-0905", "/me"), ("kiosk", "/kiosk")]
)
def test_each_role_starts_at_its_own_page(visit, demo, login, home):
    window = visit()
    window.enter(login)
    expect(window.page).to_have_url(f"{demo.url}{home}")


def test_signing_out_ends_the_session_for_the_back_button_too(visit, demo):
    window = visit()
    window.enter("he")
    window.go("/supply")
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page).to_have_url(f"{demo.url}/login")
    window.go("/supply")
    expect(window.page).to_have_url(f"{demo.url}/login?next=/supply")
