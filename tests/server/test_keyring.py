"""Meter passwords at rest: who has only the database has none, and what is wrong with a key is said."""

import stat

import pytest

from server.errors import ConfigError, SecretLocked
from server.keyring import Keyring, key_path, looked_at, new_key, read_keys, write_keys

SITE, A, B = "plum", "202600000001", "202600000002"


@pytest.fixture
def path(tmp_path):
    write_keys(tmp_path / "keys", (new_key(),))
    return tmp_path / "keys"


def test_what_is_locked_holds_no_password_and_opens_again(path):
    keyring = Keyring(path)
    stored = keyring.lock(SITE, A, "918273")
    assert stored.startswith(f"v1:{keyring.names[0]}:")
    assert "918273" not in stored
    assert keyring.unlock(SITE, A, stored) == "918273"
    assert keyring.lock(SITE, A, "918273") != stored


@pytest.mark.parametrize(("site", "meter"), [(SITE, B), ("pear", A)])
def test_what_is_locked_for_one_meter_opens_for_no_other(path, site, meter):
    keyring = Keyring(path)
    with pytest.raises(SecretLocked, match="was changed in the database"):
        keyring.unlock(site, meter, keyring.lock(SITE, A, "918273"))


def test_a_changed_or_broken_text_does_not_open(path):
    keyring = Keyring(path)
    stored = keyring.lock(SITE, A, "918273")
    middle = len(stored) - 12  # the last letters hold bits that no byte uses
    swapped = stored[:middle] + ("A" if stored[middle] != "A" else "B") + stored[middle + 1 :]
    for wrong in (swapped, stored[:-9], f"v1:{keyring.names[0]}:", f"v1:{keyring.names[0]}:?"):
        with pytest.raises(SecretLocked, match="was changed in the database"):
            keyring.unlock(SITE, A, wrong)


def test_the_key_that_is_missing_is_named(path, tmp_path):
    stored = Keyring(path).lock(SITE, A, "918273")
    name = Keyring(path).names[0]
    write_keys(path, (new_key(),))
    with pytest.raises(
        SecretLocked, match=f"meter {A} cannot be opened: it is locked with key {name}, which the key file"
    ):
        Keyring(path).unlock(SITE, A, stored)
    with pytest.raises(SecretLocked, match="no key is configured; set meter_keys"):
        Keyring(None).unlock(SITE, A, stored)
    with pytest.raises(SecretLocked, match="the key file cannot be read"):
        Keyring(tmp_path / "absent").unlock(SITE, A, stored)


def test_without_a_key_the_factory_password_and_what_was_never_locked_still_serve():
    keyring = Keyring(None)
    assert keyring.lock(SITE, A, "000000") == keyring.unlock(SITE, A, "000000") == "000000"
    assert keyring.unlock(SITE, A, "918273") == "918273"
    with pytest.raises(SecretLocked, match="cannot be locked"):
        keyring.lock(SITE, A, "918273")


def test_relocking_takes_the_first_key_and_leaves_what_has_it(path):
    before = Keyring(path)
    stored = before.lock(SITE, A, "918273")
    write_keys(path, (new_key(), *read_keys(path)))
    after = Keyring(path)
    fresh = after.relock(SITE, A, stored)
    assert fresh.split(":")[1] == after.names[0] != before.names[0]
    assert (after.unlock(SITE, A, fresh), after.relock(SITE, A, fresh)) == ("918273", fresh)
    assert after.unlock(SITE, A, after.relock(SITE, A, "112233")) == "112233"
    assert after.relock(SITE, A, "000000") == "000000"


def test_what_is_stored_is_counted(path):
    keyring = Keyring(path)
    stored = {A: keyring.lock(SITE, A, "918273"), B: "112233", "C": "000000", "D": "v1:00000000:AAAA"}
    look = looked_at(stored, lambda meter, one: keyring.unlock(SITE, meter, one))
    assert (look.locked, look.plain, look.unopened) == (2, 1, ("D",))
    assert "locked with key 00000000" in look.why


def test_a_key_file_is_its_owners_alone_and_comes_whole(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(path)
    assert "chmod 600" in Keyring(path).trouble


def test_the_credential_of_systemd_is_taken_whatever_its_access_list_shows(path, monkeypatch):
    path = path.rename(path.with_name("meter_keys"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert key_path("") is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    path.chmod(0o440)
    assert key_path("") == path
    assert len(read_keys(path)) == 1
    assert key_path("/etc/other") != path


@pytest.mark.parametrize("text", ["", "# only words\n", "abc\n", "0" * 63 + "\n", "0" * 64 + "\nxyz\n"])
def test_a_file_that_is_no_key_file_is_refused(tmp_path, text):
    path = tmp_path / "keys"
    path.touch(0o600)
    path.write_text(text, "ascii")
    with pytest.raises(ConfigError, match="not a key file"):
        read_keys(path)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*absent; make it with"):
        write_keys(tmp_path / "absent" / "keys", (new_key(),))


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "keys").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_keys(tmp_path / "keys", (new_key(),))


def test_no_key_shows_in_a_repr():
    key = new_key()
    assert key.secret.hex() not in repr(key) + repr(vars(Keyring(None)))
    assert str(key.secret) not in repr(key)
