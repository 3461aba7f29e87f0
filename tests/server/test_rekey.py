"""Passwords from the import to the rotation of their keys: locked in the database, lost nowhere, said nowhere."""

import argparse
from dataclasses import replace

import pytest
from sqlalchemy import select

from server.admin.client import Admin
from server.admin.operations import Operations
from server.admin.service import AdminSocket
from server.cli import doctor, import_, rekey
from server.clock import Clock
from server.errors import ConfigError, EstateError, SecretLocked
from server.flows.passwords import relock_passwords
from server.keyring import Keyring, new_key, read_keys, write_keys
from server.store import schema
from server.store.engine import open_engine, reader
from server.store.writer import Writer
from tests.server.estates import ESTATE, at, document, household, meter_id, plant
from tests.server.test_import_files import HOUSEHOLD, estate, write

METER = HOUSEHOLD["meter"]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def keys(tmp_path):
    write_keys(tmp_path / "keys", (new_key(),))
    (tmp_path / "site.toml").write_text('meter_keys = "keys"\ndatabase_url = "sqlite:///x.db"\n', "utf-8")
    return tmp_path / "keys"


def command(module, *arguments):
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    name = module.__name__.rsplit(".", 1)[1].strip("_")
    parsed = parser.parse_args([name, *map(str, arguments)])
    return parsed.run(parsed)


def stored(folder):
    engine = open_engine(f"sqlite:///{folder / 'x.db'}")
    with reader(engine) as connection:
        found = dict(connection.execute(select(schema.meter.c.meter_id, schema.meter.c.password)).all())
    engine.dispose()
    return found


def with_password(tmp_path, **more):
    return write(tmp_path, estate(household=[HOUSEHOLD | {"password": "918273"} | more]))


def test_an_imported_password_is_locked_and_the_same_file_again_changes_nothing(tmp_path, keys):
    path = with_password(tmp_path)
    assert command(import_, path, "--config", tmp_path / "site.toml") == 0
    first = stored(tmp_path)[METER]
    assert Keyring(keys).unlock("plum", METER, first) == "918273"
    assert command(import_, path, "--config", tmp_path / "site.toml") == 0
    assert stored(tmp_path)[METER] == first
    assert b"918273" not in b"".join(one.read_bytes() for one in tmp_path.glob("x.db*"))


def test_a_new_password_in_the_file_takes_the_place_of_the_old_one(tmp_path, keys):
    for password in ("918273", "112233"):
        command(import_, with_password(tmp_path, password=password), "--config", tmp_path / "site.toml")
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "112233"


def test_a_profile_gives_the_password_of_the_meters_that_name_it(tmp_path, keys):
    profiles = [{"id": "chint", "password": "665544", "password_level": 4}]
    home = HOUSEHOLD | {"meter_profile": "chint"}
    path = write(tmp_path, estate(household=[home], meter_profile=profiles))
    command(import_, path, "--config", tmp_path / "site.toml")
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "665544"
    own = home | {"password": "101010"}
    command(
        import_, write(tmp_path, estate(household=[own], meter_profile=profiles)), "--config", tmp_path / "site.toml"
    )
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "101010"
    wrong = write(tmp_path, estate(household=[HOUSEHOLD | {"meter_profile": "none"}], meter_profile=profiles))
    with pytest.raises(ConfigError, match="meter_profile = 'none' is not declared"):
        command(import_, wrong, "--config", tmp_path / "site.toml")


def test_an_import_with_a_password_and_no_key_is_refused_and_writes_nothing(tmp_path):
    path = with_password(tmp_path)
    with pytest.raises(SecretLocked, match=f"password of meter {METER} cannot be locked: no key is configured"):
        command(import_, path, "--database", f"sqlite:///{tmp_path / 'x.db'}")
    assert stored(tmp_path) == {}


def test_a_rotation_in_one_go(tmp_path, keys, capsys):
    command(import_, with_password(tmp_path), "--config", tmp_path / "site.toml")
    old = read_keys(keys)[0]
    capsys.readouterr()
    assert command(rekey, "--new", "--forget", "--config", tmp_path / "site.toml") == 0
    [key] = read_keys(keys)
    assert key != old
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "918273"
    out = capsys.readouterr().out
    assert f"passwords locked with key {key.name}: 1, of them now: 1" in out
    assert "已用密钥" in out
    assert key.secret.hex() not in out
    assert "918273" not in out


def test_the_first_key_is_made_and_locks_what_lay_open(tmp_path):
    database = f"sqlite:///{tmp_path / 'x.db'}"
    command(import_, write(tmp_path, estate()), "--database", database)
    engine = open_engine(database)
    writer = Writer(engine)
    writer.run(lambda unit: unit.connection.execute(schema.meter.update().values(password="112233")) and None)
    writer.stop()
    engine.dispose()
    assert command(rekey, "--new", "--keys", tmp_path / "made", "--database", database) == 0
    assert {Keyring(tmp_path / "made").unlock("plum", meter, one) for meter, one in stored(tmp_path).items()} == {
        "112233"
    }
    assert not any("112233" in one for one in stored(tmp_path).values())


def test_keys_that_something_still_needs_are_not_forgotten(tmp_path, keys, capsys):
    command(import_, with_password(tmp_path), "--config", tmp_path / "site.toml")
    write_keys(keys, (new_key(), new_key()))
    assert command(rekey, "--forget", "--config", tmp_path / "site.toml") == 1
    assert len(read_keys(keys)) == 2
    assert METER in capsys.readouterr().out


def test_a_key_file_in_a_folder_that_is_not_there_is_refused_with_what_makes_it(tmp_path):
    with pytest.raises(ConfigError, match=f"there is no folder {tmp_path / 'keys'}; make it with: mkdir -m 700 "):
        command(rekey, "--new", "--keys", tmp_path / "keys" / "made", "--database", f"sqlite:///{tmp_path / 'x.db'}")
    assert not (tmp_path / "keys").exists()


def test_without_a_key_file_it_is_said_how_to_name_one(tmp_path):
    with pytest.raises(ConfigError, match="--keys FILE"):
        command(rekey, "--database", f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(ConfigError, match="rekey --new"):
        command(rekey, "--keys", tmp_path / "absent", "--database", f"sqlite:///{tmp_path / 'x.db'}")


def test_one_password_that_does_not_open_keeps_its_place_and_the_others_are_locked(engine, writer, tmp_path):
    write_keys(tmp_path / "keys", (new_key(),))
    keyring = Keyring(tmp_path / "keys")
    plant(writer, [household(1, password="v1:00000000:AAAA"), household(2, password="112233"), household(3)])
    done = writer.run(lambda unit: relock_passwords(unit, keyring.relock, at()))
    assert (done.locked, done.changed, done.unopened) == (1, 1, (meter_id(1),))
    with reader(engine) as connection:
        found = dict(connection.execute(select(schema.meter.c.meter_id, schema.meter.c.password)).all())
        assert connection.execute(select(schema.audit.c.verb)).scalars().all() == ["passwords.locked"]
    assert (found[meter_id(1)], found[meter_id(3)]) == ("v1:00000000:AAAA", "000000")
    assert keyring.unlock(ESTATE, meter_id(2), found[meter_id(2)]) == "112233"


@pytest.fixture
def served(tmp_path, keys):
    """The admin socket of a server that was started with `keys`."""
    database = f"sqlite:///{tmp_path / 'x.db'}"
    command(import_, with_password(tmp_path), "--config", tmp_path / "site.toml")
    engine = open_engine(database)
    writer = Writer(engine)
    keyring = Keyring(keys)
    operations = Operations(engine, writer, Clock(), "plum", None, keyring)
    listener = AdminSocket(tmp_path / "x.db.admin", operations.all())
    listener.start()
    yield database, keyring
    listener.stop()
    writer.stop()
    engine.dispose()


def test_a_running_server_locks_with_the_new_key_and_takes_imports(served, tmp_path, keys):
    assert command(rekey, "--new", "--forget", "--config", tmp_path / "site.toml") == 0
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "918273"
    assert command(import_, with_password(tmp_path, password="445566"), "--config", tmp_path / "site.toml") == 0
    assert Keyring(keys).unlock("plum", METER, stored(tmp_path)[METER]) == "445566"


def test_a_server_that_has_a_copy_of_the_keys_must_be_started_again_first(served, tmp_path, keys):
    database, _ = served
    other = tmp_path / "other"
    write_keys(other, (new_key(), *read_keys(keys)))
    with pytest.raises(EstateError, match="restart it"):
        command(rekey, "--keys", other, "--database", database)


def test_no_answer_of_the_admin_socket_holds_a_password(served):
    database, keyring = served
    admin = Admin.at(database)
    answer = admin.ask("rekey", key=keyring.names[0])
    admin.close()
    assert answer == {"locked": 1, "changed": 0, "unopened": []}


def test_doctor_says_what_is_wrong_with_keys_and_passwords(tmp_path, keys, capsys):
    command(import_, with_password(tmp_path), "--config", tmp_path / "site.toml")
    capsys.readouterr()

    def said():
        command(doctor, "--config", tmp_path / "site.toml", "--lang", "en")
        return [line for line in capsys.readouterr().out.splitlines() if "meter passwords" in line]

    assert said()[0].startswith("ok      meter passwords: 1 are locked, key ")
    write_keys(keys, (new_key(),))
    assert said()[0].startswith("WRONG   meter passwords: 1 meters cannot be controlled: the password of meter")


def test_a_document_in_memory_shows_no_password():
    assert "918273" not in repr(replace(document(1), households=(household(1, password="918273"),)))
