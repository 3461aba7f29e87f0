"""Health: alive without a database, ready only with one and with a clock that was set."""

from server.clock import Now
from tests.server.web.conftest import MACHINE_MS, WORLD_S


def test_the_process_is_alive_and_ready(web):
    client = web.client()
    assert client.get("/livez").json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 200
    content = answer.json()
    assert (content["database"], content["clock"], content["world_s"]) == ("ok", "ok", WORLD_S)
    assert content["schema"]


def test_a_clock_that_was_never_set_is_not_ready(web):
    web.clock.at = Now(0, MACHINE_MS)
    assert web.client().get("/readyz").status_code == 503


def test_without_a_database_it_is_alive_but_not_ready(web, monkeypatch):
    def gone(_engine):
        from server.errors import StorageUnavailable

        raise StorageUnavailable("the disk is gone")

    monkeypatch.setattr("server.web.health.reader", gone)
    client = web.client()
    assert client.get("/livez").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "failed")
