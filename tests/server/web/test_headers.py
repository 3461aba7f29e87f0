"""What every answer carries: the content policy, no sniffing, no framing, no caching of people's data."""

import pytest
from fastapi.routing import APIRoute

from server.web.security import policy
from server.web.site import routes_of
from tests.server.web.conftest import ROLES
from tests.server.web.test_access import STREAMS, address

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self' http://payer.test; frame-ancestors 'none'"
)


def pages(site):
    return sorted(
        {route.path for route in routes_of(site.routes) if isinstance(route, APIRoute) and "GET" in route.methods}
        - STREAMS
    )


@pytest.mark.parametrize("role", [*ROLES, None])
def test_every_route_carries_the_policy(web, role):
    client = web.client() if role is None else web.signed_in(role)
    wrong = {}
    for path in pages(web.site):
        answer = client.get(address(path))
        headers = answer.headers
        if (
            headers["content-security-policy"] != POLICY
            or headers["x-content-type-options"] != "nosniff"
            or headers["referrer-policy"] != "same-origin"
            or headers["cache-control"] not in ("no-store", "private, no-cache")
            or answer.status_code >= 500
        ):
            wrong[path] = (answer.status_code, dict(headers))
    assert wrong == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/login", 413), ("PUT", "/livez", 405), ("GET", "/assets/none.css", 404)],
)
def test_errors_carry_it_too(web, method, path, status):
    content = b"x" * 70_000 if status == 413 else b""
    answer = web.client().request(method, path, content=content)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY


def test_no_page_has_an_inline_style_or_script(web):
    for role in ("operator", "resident", "kiosk", "cashier", "admin"):
        client = web.signed_in(role)
        for path in pages(web.site):
            answer = client.get(address(path))
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert " style=" not in answer.text, path
                assert "<style" not in answer.text, path
                assert " onclick=" not in answer.text, path


def test_without_a_payer_forms_stay_at_home():
    assert "form-action 'self'; frame-ancestors" in policy([])


def test_without_tls_there_is_no_promise_of_it(web):
    assert "strict-transport-security" not in web.client().get("/login").headers
