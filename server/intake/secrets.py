"""Secrets of an estate file: passwords of people become hashes, those of meters are locked with the server's key."""

from dataclasses import replace

from sqlalchemy import Engine, select

from server.domain.estate_document import EstateDocument, HouseholdEntry
from server.domain.passwords import FACTORY_PASSWORD
from server.errors import SecretLocked
from server.hashing import hash_password
from server.keyring import Keyring
from server.store.engine import reader
from server.store.meters import list_meters
from server.store.schema import app_user


def without_passwords(engine: Engine, keyring: Keyring, document: EstateDocument) -> EstateDocument:
    """The document as it may be stored: passwords of people hashed, those of meters locked.

    `SecretLocked` when a meter has a password and no key can lock it.
    """
    return _with_locked(engine, keyring, _with_hashes(engine, document))


def _with_locked(engine: Engine, keyring: Keyring, document: EstateDocument) -> EstateDocument:
    """A password that is stored already, under the current key, keeps its place, so that nothing changes."""
    estate_id = document.estate.estate_id
    with reader(engine) as connection:
        stored = {row.meter_id: row.password for row in list_meters(connection, estate_id)}

    def locked(home: HouseholdEntry) -> HouseholdEntry:
        if home.password == FACTORY_PASSWORD:
            return home
        known = stored.get(home.meter_id, FACTORY_PASSWORD)
        try:
            if keyring.unlock(estate_id, home.meter_id, known) == home.password:
                return replace(home, password=keyring.relock(estate_id, home.meter_id, known))
        except SecretLocked:
            pass  # what is stored cannot be compared, and the file has the password: it is locked anew, or refused
        return replace(home, password=keyring.lock(estate_id, home.meter_id, home.password))

    return replace(document, households=tuple(map(locked, document.households)))


def _with_hashes(engine: Engine, document: EstateDocument) -> EstateDocument:
    """Replace the passwords of users who do not exist yet by their hashes; drop the others.

    Hashing is slow on purpose, so it happens outside the writer and never twice.
    """
    with reader(engine) as connection:
        query = select(app_user.c.login).where(app_user.c.estate_id == document.estate.estate_id)
        known = set(connection.execute(query).scalars())
    users = tuple(
        replace(user, password="", password_hash="" if user.login in known else hash_password(user.password))
        for user in document.users
    )
    return replace(document, users=users)
