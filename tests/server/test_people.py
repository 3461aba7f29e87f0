"""People: failures and locks are rows, sessions end at once, roles and accounts fit each other."""

import pytest
from sqlalchemy import select

from server.errors import Conflict, NotFound, Refused
from server.flows import people
from server.flows.lockout import EVERYWHERE_MAX, HERE_MAX, LOCK_MS, PLACE_MAX, Place
from server.store import people as kept
from server.store import schema
from server.store.engine import reader
from tests.server.estates import ESTATE, MACHINE_MS, account_id, at, plant

HOUR_MS = 3_600_000


@pytest.fixture
def estate(writer):
    plant(writer)
    return writer


HERE, THERE = Place("address 203.0.113.7"), Place("address 198.51.100.1")
DEVICE = Place("device 1", is_known=True)


def create(writer, login="anna", role="operator", account=None, actor="root", estate_id=ESTATE):
    return writer.run(
        lambda unit: people.create_user(
            unit, estate_id, login=login, password_hash="$argon2id$x", role=role, name=login.title(),
            account_id=account, actor=actor, now=at(),
        )
    )  # fmt: skip


def enter(writer, fits, ms=0, login="anna", place=HERE):
    return writer.run(lambda unit: people.authenticate(unit, login, fits, place=place, now=at(0, ms)))


def open_session(writer, user_id, token="t1", expires_ms=MACHINE_MS + HOUR_MS, now=None):
    writer.run(
        lambda unit: people.open_session(
            unit, ESTATE, user_id, token_sha256=token, csrf="c", expires_ms=expires_ms, now=now or at()
        )
    )


def session(engine, token="t1", now_ms=MACHINE_MS):
    with reader(engine) as connection:
        return kept.session_of(connection, token, now_ms)


def verbs(engine):
    with reader(engine) as connection:
        return list(connection.execute(select(schema.audit.c.verb).order_by(schema.audit.c.created_ms)).scalars())


def test_a_person_is_created_once_a_login(estate, engine):
    create(estate)
    with reader(engine) as connection:
        row = kept.user_by_login(connection, "anna")
    assert (row["role"], row["active"], row["failures"], row["language"]) == ("operator", 1, 0, "zh_CN")
    with pytest.raises(Conflict, match="taken"):
        create(estate, role="reader")
    assert verbs(engine) == ["person.created"]


@pytest.mark.parametrize(
    ("role", "account"), [("resident", None), ("operator", account_id(1)), ("king", None), ("resident", "revenue")]
)
def test_roles_and_accounts_must_fit(estate, role, account):
    with pytest.raises((Refused, NotFound)):
        create(estate, role=role, account=account)


def test_a_resident_has_the_household_of_this_estate(estate, engine):
    create(estate, login="r1", role="resident", account=account_id(1))
    with pytest.raises(NotFound):
        create(estate, login="r2", role="resident", account="H9999")


def test_an_empty_login_or_password_is_refused(estate):
    with pytest.raises(Refused):
        create(estate, login="  ")
    with pytest.raises(Refused):
        estate.run(
            lambda unit: people.create_user(
                unit, ESTATE, login="x", password_hash="", role="reader", name="", account_id=None, actor="root",
                now=at(),
            )
        )  # fmt: skip


def test_five_failures_lock_and_the_lock_ends_by_itself(estate, engine):
    create(estate)
    assert not any(enter(estate, False) for _ in range(HERE_MAX))
    assert not enter(estate, True)
    assert not enter(estate, True, LOCK_MS - 1)
    assert enter(estate, True, LOCK_MS)
    assert "login.locked" in verbs(engine)


def test_trying_a_lock_does_not_prolong_it(estate):
    create(estate)
    for _ in range(HERE_MAX):
        enter(estate, False)
    for ms in range(0, LOCK_MS, LOCK_MS // 20):
        assert not enter(estate, False, ms)
    assert enter(estate, True, LOCK_MS)


def test_after_a_lock_there_are_five_tries_again(estate):
    create(estate)
    for _ in range(HERE_MAX):
        enter(estate, False)
    for _ in range(HERE_MAX - 1):
        assert not enter(estate, False, LOCK_MS)
    assert enter(estate, True, LOCK_MS)


def test_a_success_forgets_failures_and_unknown_people_never_enter(estate):
    create(estate)
    for _ in range(3):
        for _ in range(HERE_MAX - 1):
            enter(estate, False)
        assert enter(estate, True)
    assert not enter(estate, True, login="nobody")


def test_wrong_passwords_from_elsewhere_bar_nobody_here(estate):
    create(estate)
    for _ in range(2 * HERE_MAX):
        enter(estate, False, place=THERE)
    assert not enter(estate, True, place=THERE)
    assert enter(estate, True, place=HERE)
    assert not enter(estate, True, place=THERE)  # a success here forgets nothing there
    assert enter(estate, True, LOCK_MS, place=THERE)


def guess_everywhere(estate, count):
    for number in range(count):
        enter(estate, False, place=Place(f"address 10.0.{number}"))


def test_guesses_from_many_places_bar_every_strange_place_but_no_known_device(estate):
    create(estate)
    guess_everywhere(estate, EVERYWHERE_MAX)
    assert not enter(estate, True, place=HERE)
    assert enter(estate, True, place=DEVICE)
    assert not enter(estate, True, LOCK_MS - 1, place=HERE)
    assert enter(estate, True, LOCK_MS, place=HERE)


def test_one_guess_fewer_bars_nobody(estate):
    create(estate)
    guess_everywhere(estate, EVERYWHERE_MAX - 1)
    assert enter(estate, True, place=HERE)


def test_a_known_device_has_five_tries_of_its_own(estate):
    create(estate)
    for _ in range(HERE_MAX):
        enter(estate, False, place=DEVICE)
    assert not enter(estate, True, place=DEVICE)
    assert enter(estate, True, place=HERE)
    assert enter(estate, True, LOCK_MS, place=DEVICE)


def test_one_password_for_many_people_bars_the_place_and_no_other(estate):
    for number in range(PLACE_MAX + 1):
        create(estate, login=f"r{number}")
        enter(estate, False, login=f"r{number}", place=THERE)
    create(estate)
    assert not enter(estate, True, place=THERE)
    assert enter(estate, True, place=HERE)
    assert enter(estate, True, place=DEVICE)
    assert enter(estate, True, LOCK_MS, place=THERE)


def test_strangers_count_against_the_place(estate):
    create(estate)
    for number in range(PLACE_MAX):
        enter(estate, False, login=f"nobody{number}", place=THERE)
    assert not enter(estate, True, place=THERE)


def test_what_no_longer_counts_is_forgotten(estate, engine):
    create(estate)
    guess_everywhere(estate, 3)
    enter(estate, False, LOCK_MS, place=THERE)
    with reader(engine) as connection:
        assert set(connection.execute(select(schema.login_failure.c.place)).scalars()) == {THERE.name}


def test_a_session_lasts_until_its_end(estate, engine):
    user_id = create(estate)
    open_session(estate, user_id)
    row = session(engine)
    assert (row["login"], row["role"], row["csrf"], row["estate_id"]) == ("anna", "operator", "c", ESTATE)
    assert session(engine, now_ms=MACHINE_MS + HOUR_MS - 1) is not None
    assert session(engine, now_ms=MACHINE_MS + HOUR_MS) is None
    assert session(engine, "t2") is None


def test_closing_ends_one_session_and_no_other(estate, engine):
    user_id = create(estate)
    open_session(estate, user_id, "t1")
    open_session(estate, user_id, "t2")
    estate.run(lambda unit: people.close_session(unit, "t1", now=at()))
    assert session(engine, "t1") is None
    assert session(engine, "t2") is not None
    estate.run(lambda unit: people.close_session(unit, "t1", now=at()))


def test_ended_sessions_are_forgotten(estate, engine):
    user_id = create(estate)
    open_session(estate, user_id, "t1")
    open_session(estate, user_id, "t2", now=at(0, HOUR_MS), expires_ms=MACHINE_MS + 2 * HOUR_MS)
    with reader(engine) as connection:
        assert list(connection.execute(select(schema.login_session.c.token_sha256)).scalars()) == ["t2"]


def test_a_new_password_ends_all_sessions_and_lifts_the_lock(estate, engine):
    user_id = create(estate)
    open_session(estate, user_id)
    for _ in range(HERE_MAX):
        enter(estate, False)
    estate.run(lambda unit: people.set_password(unit, ESTATE, user_id, "$argon2id$y", actor="root", now=at()))
    assert session(engine) is None
    assert enter(estate, True)


def test_a_person_who_is_switched_off_is_out_at_once(estate, engine):
    user_id = create(estate)
    open_session(estate, user_id)

    def switch(active, actor="root"):
        estate.run(lambda unit: people.set_active(unit, ESTATE, user_id, active=active, actor=actor, now=at()))

    with pytest.raises(Refused):
        switch(False, actor="anna")
    switch(False)
    assert session(engine) is None
    assert not enter(estate, True)
    switch(True)
    assert session(engine) is None
    assert enter(estate, True)
    assert verbs(engine)[-2:] == ["person.disabled", "person.enabled"]


def test_people_of_other_estates_do_not_exist_here(estate):
    user_id = create(estate)
    with pytest.raises(NotFound):
        estate.run(lambda unit: people.set_password(unit, "other", user_id, "$argon2id$y", actor="root", now=at()))
    with pytest.raises(NotFound):
        estate.run(lambda unit: people.set_active(unit, ESTATE, "nobody", active=False, actor="root", now=at()))
