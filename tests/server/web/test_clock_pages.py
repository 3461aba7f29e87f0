"""The server's own clock in doubt: today's page, its case and the health say so, with what to do, until it is right."""

import json

import pytest

from server.flows import cases
from server.store import schema
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

AHEAD = {"doubt": "meters", "server_ahead_s": 365 * 86_400, "clocks_heard": 40, "clocks_alike": 38}


def doubt(web, evidence):
    values = {
        "estate_id": ESTATE, "case_id": "C1", "kind": "server_clock", "subject": "server", "severity": "high",
        "evidence": json.dumps(evidence), "opened_at": WORLD_S, "opened_ms": MACHINE_MS, "status": "open",
    }  # fmt: skip
    web.execute(schema.anomaly_case.insert().values(**values))


@pytest.mark.parametrize(
    ("language", "evidence", "said", "todo"),
    [
        ("zh_CN", AHEAD, "服务器时钟比电表快 365 天", "请校正服务器时钟"),
        ("en", AHEAD, "The server&#39;s clock is 365 d ahead of the meters&#39;", "Set the server&#39;s clock"),
        ("en", {"doubt": "meters", "server_behind_s": 7200}, "is 2 h behind the meters&#39;", "no restart is needed"),
        ("en", {"doubt": "jumped"}, "clock is in doubt: it jumped", "See that NTP keeps it"),
        ("zh_CN", {"doubt": "ahead", "meters_ahead": 3}, "3 只电表按尚未到来的时刻计过费", "请人工更正这些住户"),
    ],
)
def test_today_and_the_case_say_what_is_wrong_and_what_to_do(web, language, evidence, said, todo):
    doubt(web, evidence)
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    for path in ("/today", "/cases/C1"):
        page = client.get(path).text
        assert said in page, path
        assert todo in page, path
    assert client.get("/cases").status_code == 200


def test_health_says_it_and_stays_ready_since_the_pages_tell_what_to_do(web):
    client = web.client()
    assert client.get("/readyz").json()["clock"] == "ok"
    doubt(web, AHEAD)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["clock"]) == (200, "in doubt")
    assert answer.json()["status"] == "clock in doubt"
    now = web.clock.now()
    web.state.writer.run(lambda unit: cases.settle(unit, ESTATE, ("server_clock", "server"), "right again", now))
    assert client.get("/readyz").json()["status"] == "ok"
    assert "时钟比电表" not in web.signed_in("operator").get("/today").text
