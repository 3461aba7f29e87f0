"""Who did something, by name: people by the name that they have, keys of the API by theirs, the rest in words.

The books keep logins, which are unique and never change; pages show names. They are read when a page first asks.
"""

from collections.abc import Callable
from functools import cached_property

from sqlalchemy import Connection

from server.store import people
from server.web.i18n import mark as _

SYSTEM = {"system": _("the system"), "import": _("the import")}
CLIENT = "client:"


class Actors:
    """Says an actor of the books in the reader's language; a login that nobody has any more stays a login."""

    def __init__(self, connection: Connection, estate_id: str, gettext: Callable[[str], str]) -> None:
        self._connection, self._estate_id, self._gettext = connection, estate_id, gettext

    @cached_property
    def _names(self) -> dict[str, str]:
        return people.names(self._connection, self._estate_id)

    def __call__(self, actor: str | None) -> str:
        """The name of an actor; empty for nobody."""
        if not actor:
            return ""
        if actor in SYSTEM:
            return self._gettext(SYSTEM[actor])
        return self._names.get(actor) or actor.removeprefix(CLIENT)
