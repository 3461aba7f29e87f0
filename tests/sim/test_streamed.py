"""Long answers of the control API: whole, in pieces, a slice of the loop at a time; and what is wrong with a cursor."""

import http.client
import json
from types import SimpleNamespace

import pytest

from sim.control.streamed import PIECE_CHARS, STREAMED, gathered
from sim.truth import estate_truth
from tests.sim.rig import ADDRESS, GATE, OTHER, Virtual, household, simulator, table
from tests.sim.test_sight import ESTATE

MANY = 300


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("streamed"), ESTATE) as sim:
        yield sim


def many(count=MANY):
    gates = [{"id": "g", "meter": GATE, "bus": "bus-2", "prefix": "1-", "common_power_w": 100}]
    homes = [household(f"1-{n:04d}", f"{n:012d}", f"bus-{1 + n // 250}") for n in range(count)]
    buses = [{"id": f"bus-{n}", "port": "memory"} for n in (1, 2)]
    return Virtual(table(homes, buses, gates))


def pieces_of(route, world, query=()):
    """The pieces as the loop makes them, and how many steps each took."""
    source, made = STREAMED[route](SimpleNamespace(world=world, bus_names=str), dict(query), {}), []
    while True:
        *slices, piece = gathered(source)
        if not piece:
            return made
        made.append((piece, len(slices) + 1))


def test_the_truth_comes_in_pieces_made_a_household_a_step_and_is_the_whole_truth():
    virtual = many()
    virtual.run_s(3 * 86_400)
    made = pieces_of("/truth", virtual.world)
    assert json.loads("".join(piece for piece, _ in made)) == [*estate_truth(virtual.world)][-1]
    assert len(made) >= 3, "it is never whole in memory"
    assert max(len(piece) for piece, _ in made) < PIECE_CHARS + 2000
    assert sum(steps for _, steps in made) > MANY, "and the wire is served after each household"


def test_days_of_a_main_meter_are_summed_a_day_a_step_before_its_truth_is_asked_for():
    virtual = many(3)
    virtual.run_s(30 * 86_400)
    (group,) = virtual.world.fleet.groups
    assert len([*group.days_until(virtual.world.now_ms)]) == 30
    assert [*group.days_until(virtual.world.now_ms)] == []


def test_labels_and_export_are_streamed_too():
    virtual = many(3)
    virtual.fault("silent", name="1-0000")
    assert json.loads("".join(p for p, _ in pieces_of("/truth/labels", virtual.world))) == virtual.labels()
    lines = json.loads("".join(p for p, _ in pieces_of("/truth/export", virtual.world, {"meter": f"{1:012d}"}.items())))
    assert [line["what"] for line in lines] == ["estate", "meter", "label"]


def test_a_long_answer_is_chunked_and_the_connection_goes_on(running):
    address = running.ready["control_url"].removeprefix("http://")
    line = http.client.HTTPConnection(address, timeout=30)
    for _ in range(2):
        line.request("GET", "/truth")
        answer = line.getresponse()
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert [home["meter"] for home in json.load(answer)["households"]] == [ADDRESS]
    line.close()


def test_a_client_of_http_1_0_gets_it_without_chunks(running):
    address = running.ready["control_url"].removeprefix("http://")
    line = http.client.HTTPConnection(address, timeout=30)
    line._http_vsn, line._http_vsn_str = 10, "HTTP/1.0"
    line.request("GET", "/truth")
    answer = line.getresponse()
    assert answer.getheader("Transfer-Encoding") is None
    assert json.loads(answer.read())["seed"] == 1
    line.close()


def test_an_error_comes_before_the_first_piece(running):
    assert running.error("/truth/export?meter=nobody") == (404, "no household has the meter nobody")
    status, said = running.error("/truth/export?bus=x")
    assert (status, "there are bus-1" in said) == (400, True)


@pytest.mark.parametrize(
    ("cursor", "status", "said"),
    [
        ({"register_wh": 0}, 400, "cursors[1]: meter is missing; allowed: a text"),
        ({"meter": ADDRESS}, 400, "cursors[1]: register_wh is missing; allowed: a whole number"),
        ({"meter": ADDRESS, "register_wh": "0"}, 400, "cursors[1]: register_wh is '0'; allowed: a whole number"),
        ({"meter": ADDRESS, "register_wh": 0, "at_s": "now"}, 400, "cursors[1]: at_s is 'now'; allowed: world epoch"),
        ({"meter": ADDRESS, "register_wh": 0, "rates_wh": [0]}, 400, "cursors[1]: rates_wh is [0]; allowed: 4 regis"),
        ({"meter": OTHER, "register_wh": 0}, 404, f"no household has the meter {OTHER}"),
        (7, 400, "cursors[1] must be a table"),
    ],
)
def test_a_cursor_that_cannot_be_judged_is_named_with_what_is_wrong(running, cursor, status, said):
    got, message = running.error("/truth/charges", {"cursors": [cursor]})
    assert got == status
    assert said in message
    assert "Error" not in message


def test_wrong_bodies_and_queries_of_charges_are_explained(running):
    assert '{"cursors": [...]}' in running.error("/truth/charges", {"cursor": []})[1]
    assert running.post("/truth/charges", {"cursors": []}) == []
    status, said = running.error(f"/truth/charge?meter={ADDRESS}&from_wh=x")
    assert (status, "from_wh is 'x'; allowed: a whole number" in said) == (400, True)
    address = running.ready["control_url"].removeprefix("http://")
    line = http.client.HTTPConnection(address, timeout=30)
    line.request("POST", "/truth/charges", body=b"{")
    assert json.load(line.getresponse())["error"].startswith("the body is not JSON: ")
    line.close()
