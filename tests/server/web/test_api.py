"""The JSON API: shapes and units, pages, validators, exports, cases, meters, and a document that describes it all."""

import csv
import io
import json

import pytest
from sqlalchemy import insert, update

from server.store import schema
from server.web.api.csv_text import safe_cell
from server.web.api.paging import decode_cursor, encode_cursor
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S


@pytest.fixture
def staff(web):
    return web.signed_in("operator")


def integers(value, path=""):
    """Paths of fields whose name promises an integer."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from integers(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from integers(inner, path)
    elif path.endswith(("_fen", "_wh", "_at")) and value is not None:
        yield path, type(value)
    elif path.endswith("_nf"):
        yield path, (int if isinstance(value, str) and value.lstrip("-").isdigit() else type(value))


def test_the_estate_tells_both_clocks(staff):
    content = staff.get("/api/v1/estate").json()
    assert (content["estate_id"], content["mode"]) == (ESTATE, "observe")
    assert (content["world_s"], content["machine_ms"]) == (WORLD_S, MACHINE_MS)


def test_a_household_is_told_in_integers(staff):
    content = staff.get("/api/v1/households/A1").json()
    assert (content["room_id"], content["total_wh"], content["balance_fen"]) == ("1-101", 5000, 0)
    assert content["residue_nf"] == "0"
    assert content["relay"] == "unknown"
    assert {kind for _, kind in integers(content)} == {int}
    assert "phone" not in content
    assert "holder" not in content


def test_a_balance_is_told_for_any_instant_and_for_each_ledger(web, staff):
    stands = {"estate_id": ESTATE, "account_id": "A1", "account_version": 1, "line_no": 1, "balance_after_fen": 0}
    for seq, happened in ((1, WORLD_S - 100), (2, WORLD_S - 50)):
        header = {"kind": "topup", "created_ms": 0, "idem_key": f"k{seq}", "payload_sha256": "", "lines": 1}
        web.execute(
            insert(schema.batch).values(estate_id=ESTATE, batch_seq=seq, event_at=happened, turnover_fen=0, **header)
        )
        values = {**stands, "batch_seq": seq, "account_version": seq, "amount_fen": 700 * seq}
        web.execute(insert(schema.line).values(**values))
    url = "/api/v1/households/A1/balance"
    told = [staff.get(url, params={"at": WORLD_S + at}).json()["balance_fen"] for at in (-101, -100, -51, -50)]
    assert told == [0, 700, 700, 2100]
    assert staff.get(url).json() == {"account_id": "A1", "at": WORLD_S, "balance_fen": 2100, "residue_nf": "0"}
    assert staff.get(url, params={"at": 10**18}).status_code == 422
    ledgers = {"account_id": "A1", "electricity": 0, "shared": 0, "property": 0, "arrears": 0}
    assert staff.get("/api/v1/households/A1/ledgers").json() == ledgers


def test_pages_neither_skip_nor_repeat(web, staff):
    for number in range(3, 8):
        door = f"1-{100 + number}"
        rows = {
            schema.room: {"room_id": door, "building_id": "1", "floor": 1, "door": door},
            schema.account: {"account_id": f"A{number}", "kind": "household", "room_id": door},
            schema.meter: {
                "meter_id": f"{number:012d}", "bus_id": "bus1", "account_id": f"A{number}", "room_id": door,
                "start_wh": 0, "installed_at": WORLD_S,
            },
        }  # fmt: skip
        for table, values in rows.items():
            web.execute(insert(table).values(estate_id=ESTATE, **values))
    seen, cursor = [], ""
    while cursor is not None:
        content = staff.get("/api/v1/households", params={"limit": 3, "cursor": cursor}).json()
        seen += [item["account_id"] for item in content["items"]]
        cursor = content["next_cursor"]
    assert seen == [f"A{number}" for number in range(1, 8)]


def test_readings_page_from_the_newest(web, staff):
    for number in range(5):
        web.execute(
            insert(schema.reading).values(
                estate_id=ESTATE, read_at=WORLD_S + number, meter_id="000000000001", install_no=1,
                received_ms=MACHINE_MS, total_wh=5000 + number * 10, verdict="accepted",
            )
        )  # fmt: skip
    first = staff.get("/api/v1/households/A1/readings?limit=3").json()
    second = staff.get(f"/api/v1/households/A1/readings?limit=3&cursor={first['next_cursor']}").json()
    times = [item["read_at"] - WORLD_S for item in first["items"] + second["items"]]
    assert (times, second["next_cursor"]) == ([4, 3, 2, 1, 0], None)
    assert first["items"][0]["total_wh"] == 5040


@pytest.mark.parametrize("key", ["", "A1", "房间-1", "x" * 64])
def test_a_cursor_survives_the_way(key):
    assert decode_cursor(encode_cursor(key)) == key


def test_an_unchanged_list_is_not_sent_again(web, staff):
    first = staff.get("/api/v1/households")
    again = staff.get("/api/v1/households", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    web.execute(update(schema.account).where(schema.account.c.account_id == "A1").values(balance_fen=1))
    changed = staff.get("/api/v1/households", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("part", ["ledger", "readings", "notices", "relay", "usage"])
def test_the_parts_of_a_household_answer_when_empty(staff, part):
    answer = staff.get(f"/api/v1/households/A2/{part}")
    assert answer.status_code == 200
    content = answer.json()
    items = content["items"] if isinstance(content, dict) else content
    assert items == ([{"day": "2026-10-13", "energy_wh": 4000}] if part == "usage" else [])


def topped_up(web):
    web.execute(
        insert(schema.payment).values(
            estate_id=ESTATE, payment_id="p1", provider="sandbox", transaction_id="t1", account_id="A1",
            amount_fen=5000, batch_seq=1, event_at=WORLD_S, created_ms=MACHINE_MS, state="credited",
        )
    )  # fmt: skip


def test_statistics_are_the_same_as_json_and_csv(web, staff):
    topped_up(web)
    usage = staff.get("/api/v1/statistics/usage?days=7").json()
    assert (usage["first_day"], usage["last_day"]) == ("2026-10-07", "2026-10-13")
    assert usage["by_day"] == [{"day": "2026-10-13", "energy_wh": 8000, "meters": 2}]
    assert rows(staff.get("/api/v1/statistics/usage.csv?days=7")) == [
        ["day", "energy_wh", "meters"],
        ["2026-10-13", "8000", "2"],
    ]
    assert len(rows(staff.get("/api/v1/statistics/usage.csv?by=household"))) == 3
    topups = staff.get("/api/v1/statistics/topups").json()
    assert topups["by_day"] == [{"day": "2026-10-13", "provider": "sandbox", "count": 1, "amount_fen": 5000}]
    assert rows(staff.get("/api/v1/statistics/topups.csv"))[1] == ["2026-10-13", "sandbox", "1", "5000"]


def rows(answer):
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"])
def test_no_cell_is_a_formula(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["张三", "1-101", "a=b", "", -5, 0])
def test_ordinary_cells_stay_as_they_are(value):
    assert safe_cell(value) == value


def test_a_room_that_looks_like_a_formula_is_escaped_in_the_export(web, staff):
    web.execute(insert(schema.room).values(estate_id=ESTATE, room_id="=cmd()", building_id="1", floor=1, door="x"))
    web.execute(update(schema.account).where(schema.account.c.account_id == "A1").values(room_id="=cmd()"))
    found = rows(staff.get("/api/v1/statistics/usage.csv?by=household"))
    assert "'=cmd()" in [row[0] for row in found]


def case(web, case_id="c1"):
    web.execute(
        insert(schema.anomaly_case).values(
            estate_id=ESTATE, case_id=case_id, kind="silent", subject="000000000001", room_id="1-101",
            severity="warning", evidence=json.dumps({"silent_s": 7200}), opened_at=WORLD_S, opened_ms=MACHINE_MS,
        )
    )  # fmt: skip


def test_a_case_is_acknowledged_and_closed_with_a_reason(web, staff):
    case(web)
    headers = web.csrf("operator")
    [found] = staff.get("/api/v1/cases").json()["items"]
    assert (found["status"], found["evidence"]) == ("open", {"silent_s": 7200})
    assert staff.post("/api/v1/cases/c1/acknowledge", json={"note": "went there"}, headers=headers).status_code == 204
    assert staff.post("/api/v1/cases/c1/close", json={"resolution": ""}, headers=headers).status_code == 422
    assert staff.post("/api/v1/cases/c1/close", json={"resolution": "line mended"}, headers=headers).status_code == 204
    assert staff.get("/api/v1/cases").json()["items"] == []
    [closed] = staff.get("/api/v1/cases?status=closed").json()["items"]
    assert (closed["status"], closed["resolution"], closed["owner"]) == ("closed", "line mended", "operator")
    assert staff.post("/api/v1/cases/none/acknowledge", json={}, headers=headers).status_code == 404


def test_a_meter_is_read_on_demand(web, staff):
    headers = web.csrf("operator")
    answer = staff.post("/api/v1/meters/000000000001/read", headers=headers)
    assert (answer.status_code, answer.json()["total_wh"]) == (200, 1_234_560)
    assert staff.post("/api/v1/meters/000000000099/read", headers=headers).status_code == 404


def test_a_meter_that_is_silent_is_no_fault_of_the_server(web, staff):
    answer = staff.post("/api/v1/meters/000000000002/read", headers=web.csrf("operator"))
    assert (answer.status_code, answer.json()["detail"]) == (422, "meter 000000000002 did not answer in time")


def test_the_buses_tell_their_counters(staff):
    [bus] = staff.get("/api/v1/buses").json()
    assert (bus["bus_id"], bus["transactions"], bus["open"]) == ("bus1", 10, True)


def test_a_decision_carries_its_evidence(web, staff):
    web.execute(
        insert(schema.relay_desired).values(
            estate_id=ESTATE, meter_id="000000000001", gen=1, state="open", action="trip", reason="arrears",
            decided_at=WORLD_S, created_ms=MACHINE_MS, expires_at=WORLD_S + 600, evidence='{"checks": []}',
        )
    )  # fmt: skip
    [found] = staff.get("/api/v1/supply/decisions").json()
    assert (found["room_id"], found["action"], found["evidence"]) == ("1-101", "trip", {"checks": []})


def test_an_order_is_watched_by_its_holder_and_nobody_else(web):
    resident = web.signed_in("resident")
    opened = resident.post(
        "/api/v1/households/A1/orders", json={"amount_fen": 5000}, headers=web.csrf("resident")
    ).json()
    assert opened["pay_url"].startswith("http://payer.test/pay/")
    path = f"/api/v1/orders/{opened['order_no']}"
    stranger = web.client()
    assert stranger.get(path).status_code == 404
    assert stranger.get(path, params={"token": "wrong"}).status_code == 404
    watched = stranger.get(path, params={"token": opened["token"]}).json()
    assert (watched["status"], watched["amount_fen"], watched["paid_ms"]) == ("created", 5000, None)
    assert resident.get(path).status_code == 200
    web.execute(update(schema.app_user).where(schema.app_user.c.user_id == "resident").values(account_id="A2"))
    assert web.signed_in("resident").get(path).status_code == 404


def test_an_order_through_an_unknown_provider_is_refused(web):
    client = web.signed_in("resident")
    body = {"amount_fen": 5000, "provider": "nobody"}
    untyped = client.post("/api/v1/households/A1/orders", content=json.dumps(body), headers=web.csrf("resident"))
    assert (untyped.status_code, "Content-Type: application/json" in untyped.json()["detail"]) == (422, True)
    answer = client.post("/api/v1/households/A1/orders", json=body, headers=web.csrf("resident"))
    assert answer.status_code == 404


def test_the_document_is_openapi_and_names_every_route_of_the_api(web):
    document = web.client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "estate645"
    declared = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/")
        for operation in methods.values():
            assert set(operation["tags"]) <= declared
            assert operation["summary"]
            assert operation["description"]
            assert operation["operationId"]
    identifiers = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(identifiers) == len(set(identifiers))
    assert references(document) <= set(document["components"]["schemas"])
    served = {route.path for route in web.site.routes if getattr(route, "path", "").startswith("/api/v1/")}
    assert served - set(document["paths"]) == {"/api/v1/openapi.json"}


def test_the_document_says_of_every_operation_who_may_ask_and_what_can_go_wrong(web):
    document = web.client().get("/api/v1/openapi.json").json()
    told = document["components"]["responses"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
            for status, answer in errors.items():
                name = answer["$ref"].removeprefix("#/components/responses/")
                assert told[name]["content"]["application/problem+json"]["example"]["status"] == int(status)
            assert "503" in errors
            assert ("404" in errors) == ("{" in path)
            assert ("409" in errors) == (method != "get")
            assert bool(operation["security"]) == ("401" in errors)
    rights = {o["operationId"]: o["description"] for m in document["paths"].values() for o in m.values()}
    assert sum("Right: `" in said for said in rights.values()) > 100
    assert "HTTPValidationError" not in document["components"]["schemas"]


def references(value):
    if isinstance(value, dict):
        found = {value["$ref"].removeprefix("#/components/schemas/")} if "schemas" in value.get("$ref", "") else set()
        return found.union(*(references(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(references(inner) for inner in value))
    return set()


def test_no_amount_in_the_document_is_a_float(web):
    document = web.client().get("/api/v1/openapi.json").json()
    for name, shape in document["components"]["schemas"].items():
        for field, kind in shape.get("properties", {}).items():
            kinds = {kind.get("type"), *(one.get("type") for one in kind.get("anyOf", []))}
            if field.endswith(("_fen", "_wh", "_at")):
                assert "number" not in kinds, (name, field)
            if field.endswith("_nf"):
                assert kinds == {"string"}, (name, field)
