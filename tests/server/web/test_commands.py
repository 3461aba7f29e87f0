"""The page of supply lists each command to a relay once, with the way that it has gone."""

import re

from server.store import schema
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

METER = "000000000001"
WISH = {"estate_id": ESTATE, "meter_id": METER, "state": "open", "action": "trip", "reason": "arrears", "expires_at": 0}
TAG = re.compile(r"<[^>]+>")


def wish(web, gen, *steps):
    """A wish of ten minutes ago and less, its steps half a minute apart."""
    at, ms = WORLD_S - 600 + 60 * gen, MACHINE_MS - 600_000 + 60_000 * gen
    web.execute(schema.relay_desired.insert().values(**WISH, gen=gen, decided_at=at, created_ms=ms))
    for number, (step, detail) in enumerate(steps, 1):
        web.execute(
            schema.relay_attempt.insert().values(
                estate_id=ESTATE, meter_id=METER, gen=gen, step_no=number, step=step, detail=detail,
                world_at=at + 30 * number, created_ms=ms + 300 * number,
            )
        )  # fmt: skip


def listed(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/supply").text
    body = page[page.index('id="commands"') :].split("<tbody>")[1].split("</tbody>")[0]
    return [" ".join(TAG.sub(" ", row).split()) for row in body.split("</tr>")[:-1]]


def test_a_command_is_one_row_with_its_steps_and_repeated_ones_are_counted(web):
    again = ("read_back", "not sent: already status 0040: relay closed, command open")
    wish(web, 1, ("sent", ""), ("accepted", ""), again, again)
    wish(web, 2, ("sent", "trip until 2026-10-13 09:15:00 of the meter's clock"))
    wish(web, 3, ("sent", ""), ("accepted", ""), ("read_back", "status 0050: relay open, command open"))
    newest, overtaken, oldest = listed(web)
    assert "wanted sent accepted 08:59 read back 0.9 s status word 0050" in newest
    assert overtaken.endswith("generation 2 wanted sent superseded")  # whatever it was waiting for
    assert "read back ×2 08:58" in oldest


def test_a_wish_that_nothing_was_done_for_is_listed_as_queued(web):
    wish(web, 1)
    [row] = listed(web)
    assert row.endswith("generation 1 wanted queued")
