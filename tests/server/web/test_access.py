"""Who may do what: every route names one access rule, and every role meets exactly that rule."""

import re

import pytest
from fastapi.routing import APIRoute

from server.domain.access import allows
from server.store import schema
from server.web.deps import access_rules
from server.web.site import routes_of
from tests.server.web.conftest import ROLES

OPEN_TO_ALL = {
    ("GET", "/"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/language"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/orders/{order_no}"),
    ("GET", "/pay/{order_no}"),
    ("GET", "/pay/{order_no}/card"),
}
SIGNED = {("POST", "/callbacks/{provider}"), ("POST", "/callbacks/receipts"), ("POST", "/api/v1/topups")}
STREAMS = {"/events"}
VALUES = {
    "account_id": "A1",
    "order_no": "none",
    "meter_id": "000000000001",
    "case_id": "none",
    "provider": "sandbox",
    "room_id": "1-101",
}


def guarded(site):
    """(method, path, rule) of every route of the application."""
    found = []
    for route in routes_of(site.routes):
        if isinstance(route, APIRoute):
            rules = access_rules(route)
            found += [(method, route.path, rules) for method in sorted(route.methods)]
    return found


def test_every_route_has_exactly_one_access_rule(web):
    routes = guarded(web.site)
    assert len(routes) > 25
    assert {(method, path): rules for method, path, rules in routes if len(rules) != 1} == {}


def test_only_listed_routes_are_open_and_every_other_path_is_the_mounted_assets(web):
    routes = guarded(web.site)
    assert {(m, p) for m, p, rules in routes if rules == {"public"}} <= OPEN_TO_ALL
    assert {(m, p) for m, p, rules in routes if rules == {"signed_message"}} == SIGNED
    others = [route for route in routes_of(web.site.routes) if not isinstance(route, APIRoute)]
    assert [getattr(route, "path", route) for route in others] == ["/assets"]


def test_a_route_without_a_rule_would_be_found(web):
    web.site.add_api_route("/forgotten", lambda: "", methods=["GET"])
    assert ("GET", "/forgotten", set()) in guarded(web.site)


def test_an_unknown_verb_is_allowed_to_nobody(web):
    verbs = {rule for _, _, rules in guarded(web.site) for rule in rules} - {"public", "signed_in", "signed_message"}
    assert {verb for verb in verbs if not any(allows(role, verb) for role in ROLES)} == set()


def address(path):
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: VALUES.get(found[1], "none"), path)


def asked(client, method, path, headers=None):
    body = {} if method == "GET" else {"data": {}} if not path.startswith("/api/") else {"json": {}}
    return client.request(method, address(path), headers=headers, **body)


def test_strangers_reach_nothing_but_the_open_routes(web):
    client = web.client()
    wrong = {}
    for method, path, rules in guarded(web.site):
        if rules <= {"public", "signed_message"}:
            continue
        answer = asked(client, method, path)
        expected = 401 if path.startswith("/api/") or path in STREAMS else 303
        if answer.status_code != expected:
            wrong[method, path] = answer.status_code
    assert wrong == {}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_let_in_or_refused_by_the_table(web, role):
    client = web.signed_in(role)
    headers = web.csrf(role)
    wrong = {}
    for method, path, rules in guarded(web.site):
        [rule] = rules
        if rule in ("public", "signed_message", "signed_in"):
            continue
        status = asked(client, method, path, headers).status_code
        allowed = allows(role, rule)
        if (status == 403) == allowed or status >= 500 or status == 401:
            wrong[method, path] = (rule, status)
    assert wrong == {}


def test_an_api_client_has_its_scopes_and_nothing_else(web):
    client = web.client()
    headers = {"Authorization": "Bearer partner:third-party-secret"}
    for method, path, rules in guarded(web.site):
        if path.startswith("/api/") and not rules & {"public", "signed_message", "signed_in"}:
            answer = asked(client, method, path, headers)
            assert answer.status_code == 403, path
            assert "client:partner lacks the scope " in answer.json()["detail"]


@pytest.mark.parametrize("key", ["partner:wrong", "partner:", "partner", "nobody:third-party-secret", ":", "中:文"])
def test_a_wrong_api_key_is_nobody(web, key):
    answer = web.client().get("/api/v1/estate", headers={"Authorization": f"Bearer {key}".encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


FOREIGN = [
    "/api/v1/households/A2",
    "/api/v1/households/A2/ledger",
    "/api/v1/households/A2/readings",
    "/api/v1/households/A2/notices",
    "/api/v1/households/A2/relay",
    "/api/v1/households/A2/usage",
]


@pytest.mark.parametrize("path", FOREIGN)
def test_a_residents_neighbour_does_not_exist(web, path):
    client = web.signed_in("resident")
    foreign, unknown = client.get(path), client.get(path.replace("A2", "A9"))
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["detail"].replace("A2", "A9") == unknown.json()["detail"]
    assert client.get(path.replace("A2", "A1")).status_code == 200


def test_a_resident_cannot_open_an_order_for_the_neighbour(web):
    client = web.signed_in("resident")
    answer = client.post("/api/v1/households/A2/orders", json={"amount_fen": 5000}, headers=web.csrf("resident"))
    assert answer.status_code == 404


def test_a_kiosk_takes_money_for_anybody_and_sees_nobody(web):
    client = web.signed_in("kiosk")
    path, headers = "/api/v1/households/A1", web.csrf("kiosk")
    assert client.post(f"{path}/orders", json={"amount_fen": 5000}, headers=headers).status_code == 201
    assert [row["channel"] for row in web.rows(schema.payment_order.select())] == ["kiosk"]
    assert client.get(path).status_code == client.get(f"{path}/ledger").status_code == 403
