"""How the lines of an account are found: by the block of eight versions in which each of them lies.

SQLite writes whole pages. In an index by account the newest entry of each account lies on a page of its own once
accounts have some hundred lines, and a charge of ten thousand of them changes ten thousand pages. There the unique
index `line_account_version` is in the order of blocks of versions first and of accounts within a block: accounts that
are charged together have versions near each other, and what a charge adds lies on few pages. A reader goes through
the blocks, from that of the account's own version down. PostgreSQL logs rows instead of pages and keeps its keys by
account; there the same conditions name the account and nothing else.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from server.store.schema import account, line

BLOCK = 8  # versions; the index of revision 0031 has the same number
ALL = literal_column("-1", Integer)
Conditions = tuple[ColumnElement[bool], ...]
_owner = account.alias("owner")


class _Block(FunctionElement[int]):
    """The block of a version; on PostgreSQL the version itself."""

    inherit_cache = True


class _InBlocks(FunctionElement[bool]):
    """Whether a version lies in the block of another one or below it, in one of so many blocks."""

    inherit_cache = True


class _Unindexed(FunctionElement[str]):
    """A column by which SQLite looks for no rows: an estate has nearly all of them, which it does not know."""

    inherit_cache = True


@compiles(_Block)
@compiles(_Unindexed)
def _plain(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_InBlocks)
def _true(_element: FunctionElement[Any], _compiler: SQLCompiler, **_options: Any) -> str:
    return "true"


@compiles(_Block, "sqlite")
def _block(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)}) / {BLOCK}"


@compiles(_Unindexed, "sqlite")
def _unindexed(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@compiles(_InBlocks, "sqlite")
def _in_blocks(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    version, newest, most = (compiler.process(clause, **options) for clause in element.clauses)
    return (
        f"{version} / {BLOCK} IN (WITH RECURSIVE block(n) AS (VALUES (({newest}) / {BLOCK}) "  # noqa: S608
        f"UNION ALL SELECT n - 1 FROM block WHERE n > 0 LIMIT {most}) SELECT n FROM block)"
    )


NEWEST_FIRST = (_Block(line.c.account_version).desc(), line.c.account_version.desc())
OLDEST_FIRST = (_Block(line.c.account_version), line.c.account_version)


def lines_of(estate_id: Any, account_id: Any, *, before: Any = None, newest: Any = None) -> Conditions:
    """Conditions of the lines of one account, given as values or parameters.

    before: only versions under it. newest: only so many of the highest versions need be among them.
    """
    version: Any = (
        select(_owner.c.version).where(_owner.c.estate_id == estate_id, _owner.c.account_id == account_id)
    ).scalar_subquery()
    own = (_Unindexed(line.c.estate_id) == estate_id, line.c.account_id == account_id)
    if before is None:
        return *own, _InBlocks(line.c.account_version, version, _blocks(newest))
    top = func.min(version, before - 1)
    return *own, _InBlocks(line.c.account_version, top, _blocks(newest)), line.c.account_version < before


def lines_of_accounts(estate_id: str, account_ids: Sequence[str]) -> Conditions:
    """Conditions of the lines of some accounts."""
    highest: Any = (
        select(func.max(_owner.c.version)).where(_owner.c.estate_id == estate_id, _owner.c.account_id.in_(account_ids))
    ).scalar_subquery()
    own = (_Unindexed(line.c.estate_id) == estate_id, line.c.account_id.in_(account_ids))
    return *own, _InBlocks(line.c.account_version, highest, ALL)


def of_account_beside(newest: int | None = None) -> ColumnElement[bool]:
    """The condition that a line is one of the account of the same query; `newest` as in `lines_of`."""
    return and_(
        _Unindexed(line.c.estate_id) == account.c.estate_id,
        line.c.account_id == account.c.account_id,
        _InBlocks(line.c.account_version, account.c.version, _blocks(newest)),
    )


def numbered(one: Any, estate_id: Any, account_id: Any, version: Any) -> ColumnElement[bool]:
    """The condition that `one`, the table of lines or an alias of it, is the line of this version of an account."""
    return and_(
        _Unindexed(one.c.estate_id) == estate_id,
        one.c.account_id == account_id,
        _Block(one.c.account_version) == _Block(version),
        one.c.account_version == version,
    )


def _blocks(versions: Any) -> Any:
    """How many blocks have so many versions, wherever in a block they begin."""
    if versions is None:
        return ALL
    return literal_column(str(versions // BLOCK + 2)) if isinstance(versions, int) else versions // BLOCK + 2
