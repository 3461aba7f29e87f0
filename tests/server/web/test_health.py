"""Health: alive without a database, ready only with one and with a clock that was set."""

from concurrent.futures import Future

from server.clock import Now
from server.web.site import FREQUENT, routes_of
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


def test_no_route_outside_of_a_frequent_group_fits_what_the_group_is_asked_for(web):
    paths = [getattr(route, "path", "") for route in routes_of(web.site.routes)]
    assert paths[0] == "/me"
    for start in FREQUENT:
        asked = start.split("/")
        inside = [path for path in paths if path == start or path.startswith(f"{start}/")]
        assert inside, start
        for path in set(paths) - set(inside):
            words = path.split("/")[: len(asked)]
            fits = len(words) == len(asked) and all(
                one == own or "{" in own for one, own in zip(asked, words, strict=True)
            )
            assert not fits, f"{path} may fit {start}"


def test_a_writer_that_does_not_answer_is_not_ready(web, monkeypatch):
    monkeypatch.setattr("server.web.health.WRITER_S", 0.05)
    monkeypatch.setattr(web.state.writer, "submit", lambda work, urgent: Future())
    answer = web.client().get("/readyz")
    assert (answer.status_code, answer.json()["writer"]) == (503, "does not answer")
