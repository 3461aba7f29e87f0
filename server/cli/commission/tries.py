"""How often a spare meter has refused a password today, over all runs: many meters lock themselves at the fifth.

The count is kept where the server keeps its own: by the running server, else in the database of the estate, else in a
small file beside the report. It ends when the meter takes a password, and at midnight.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from server.admin.client import Admin
from server.collect.passwords import DAY_MAX, Kept, Passwords, Refused
from server.collect.work import as_stored
from server.errors import ConfigError, StorageUnavailable
from server.jobs.refusals import KeptRefusals
from server.store.condition import condition
from server.store.engine import open_engine, reader
from server.store.estates import list_estates
from server.store.ownership import claim_writing
from server.store.writer import Writer

A_RUN = 2  # tries of one run: the late trip, and the one in time
FILE = "password-tries.json"
OPERATION = "password-tries"  # of the running server
NO_DIGEST = ""  # of six digits any hash would give the password away


class Tries(Protocol):
    """The count of one meter; `where` says to people where it is kept."""

    where: str

    def today(self) -> int:
        """How often it has refused a password today."""
        ...

    def refused(self) -> None:
        """It has refused one."""
        ...

    def accepted(self) -> None:
        """It has taken one: what was counted is over."""
        ...


def are_left(tries: Tries) -> bool:
    """Whether a whole run leaves the meter open even with a wrong password."""
    return tries.today() + A_RUN <= DAY_MAX


class Counted:
    """Counts of this process, kept in one of several ways."""

    def __init__(self, meter_id: str, passwords: Passwords, where: str = "") -> None:
        self.where = where
        self._meter_id, self._passwords = meter_id, passwords

    def today(self) -> int:
        """As counted, by whomever."""
        return self._passwords.today(self._meter_id)

    def refused(self) -> None:
        """One more; no digest of the password is kept."""
        self._passwords.refused(self._meter_id, NO_DIGEST)

    def accepted(self) -> None:
        """None any more."""
        self._passwords.accepted(self._meter_id)


def counted_here(meter_id: str, civil_now: Callable[[], datetime]) -> Counted:
    """A count that ends with the process."""
    return Counted(meter_id, Passwords(as_stored, civil_now), "-")


class _Served:
    """Counts of the running server."""

    def __init__(self, meter_id: str, admin: Admin, where: str) -> None:
        self.where = where
        self._meter_id, self._admin = meter_id, admin

    def _ask(self, what: str) -> int:
        return int(self._admin.ask(OPERATION, meter=self._meter_id, note=what))

    def today(self) -> int:
        return self._ask("")

    def refused(self) -> None:
        self._ask("refused")

    def accepted(self) -> None:
        self._ask("accepted")


class InFile:
    """Implements `server.collect.passwords.Kept` over a small file."""

    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self._path, self._zone = path, zone

    def load(self) -> Mapping[str, Refused]:
        """What earlier runs have counted; ConfigError for a file that is none of ours."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            return {
                str(name): Refused(NO_DIGEST, 0, int(one["times"]), datetime.fromtimestamp(one["at"], self._zone))
                for name, one in found.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{self._path}: cannot be read as the count of refused passwords; look whether it is another file, "
                "else remove it when a day has gone by"
            ) from error

    def save(self, meter_id: str, refused: Refused | None) -> None:
        """Write the counts anew, before the next frame goes out."""
        counts = {name: {"times": one.day_times, "at": int(one.at.timestamp())} for name, one in self.load().items()}
        if refused is None:
            counts.pop(meter_id, None)
        else:
            counts[meter_id] = {"times": refused.day_times, "at": int(refused.at.timestamp())}
        if counts:
            self._path.write_text(json.dumps(counts, indent=2) + "\n", "utf-8")
        else:
            self._path.unlink(missing_ok=True)


@contextmanager
def opened_tries(
    meter_id: str, url: str, folder: Path, zone: ZoneInfo, world_now: Callable[[], float]
) -> Iterator[Tries]:
    """The count of a meter: of the server or the estate of the database at `url`, else of a file in `folder`."""

    def civil_now() -> datetime:
        return datetime.fromtimestamp(int(world_now()), zone)

    with ExitStack() as opened:
        admin = Admin.at(url)
        site, path = make_url(url).render_as_string(hide_password=True), folder / FILE
        if admin is not None:
            opened.callback(admin.close)
            if admin.knows(OPERATION):
                yield _Served(meter_id, admin, site)
                return
        kept = None if admin is not None else _of_estate(url, zone, opened)
        where = str(path) if kept is None else site
        yield Counted(meter_id, Passwords(as_stored, civil_now, kept or InFile(path, zone)), where)


def _of_estate(url: str, zone: ZoneInfo, opened: ExitStack) -> Kept | None:
    """The counts of the database's estate, with a writer of its own; None where there is none that can be written."""
    engine = open_engine(url)
    opened.callback(engine.dispose)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        return None
    try:
        with reader(engine) as connection:
            found = condition(connection)
            sites = list_estates(connection) if found.revision == found.newest_revision else []
        if not sites:
            return None
        opened.callback(claim_writing(engine))
    except (DBAPIError, ConfigError, StorageUnavailable):
        return None  # of another command, or not ours to write
    writer = Writer(engine)
    opened.callback(writer.stop)
    return KeptRefusals(engine, writer, sites[0]["estate_id"], zone)
