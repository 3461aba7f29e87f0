"""What the server's role may do on PostgreSQL: all that it needs, and no change of what is append-only.

Two roles share the work. The owner made the tables and changes the schema; it is used by `estate645 migrate` and
`estate645 archive`, and by nothing that listens to the network. The working role has INSERT and SELECT on the tables
of `APPEND_ONLY` and nothing else there, so that whoever takes the server over still cannot rewrite the journal, with
triggers or without. SQLite knows no roles; there the triggers and the signed heads stand alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from server.store.months import ADD_FUNCTION, KINDS
from server.store.schema import APPEND_ONLY, metadata

WORKING_ROLE = "estate645_server"  # the name in documents and advice; any other will do
APPENDING = ("SELECT", "INSERT")
WORKING = ("SELECT", "INSERT", "UPDATE", "DELETE")
REWRITING = ("UPDATE", "DELETE", "TRUNCATE")
READ_ONLY = ("alembic_version", *(f"{kind}_rest" for kind in KINDS))  # the rests: to see whether they are empty

_ROLE = text(
    "SELECT r.rolname, r.rolsuper, pg_has_role(r.oid, c.relowner, 'MEMBER'), pg_get_userbyid(c.relowner), "
    "quote_ident(current_schema()), quote_ident(r.rolname), has_schema_privilege(r.oid, current_schema(), 'USAGE'), "
    "has_function_privilege(r.oid, CAST(:function AS regprocedure), 'EXECUTE') "
    "FROM pg_roles r, pg_class c WHERE r.rolname = coalesce(:role, current_user) "
    "AND c.oid = CAST(:table AS regclass)"
)
# A privilege on one column rewrites as well as one on the table. Months are tables too, see server.store.months.
_HELD = text(
    "SELECT c.relname, coalesce(parent.relname, c.relname), has_table_privilege(:role, c.oid, 'SELECT'), "
    "has_table_privilege(:role, c.oid, 'INSERT'), "
    "has_table_privilege(:role, c.oid, 'UPDATE') OR has_any_column_privilege(:role, c.oid, 'UPDATE'), "
    "has_table_privilege(:role, c.oid, 'DELETE'), has_table_privilege(:role, c.oid, 'TRUNCATE') "
    "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid "
    "LEFT JOIN pg_class parent ON parent.oid = i.inhparent "
    "WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p') ORDER BY c.relname"
)
_WORKERS = text(
    "SELECT r.rolname FROM pg_roles r, pg_class c WHERE c.oid = CAST(:table AS regclass) AND NOT r.rolsuper "
    "AND r.rolname !~ '^pg_' AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER') "
    "AND has_table_privilege(r.oid, c.oid, 'INSERT') ORDER BY r.rolname"
)


@dataclass(frozen=True, slots=True)
class Privileges:
    """What a role may do: `excess` names what rewrites the journal, `lacking` what the server could not work without.

    `schema` and `quoted` (the role) are spelled as SQL wants them.
    """

    role: str
    quoted: str
    owner: str
    schema: str
    superuser: bool
    owns: bool
    excess: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def separate(self) -> bool:
        """Whether the role can work, and can rewrite nothing of the journal."""
        return not (self.superuser or self.owns or self.excess or self.lacking)


def privileges(connection: Connection, role: str | None = None) -> Privileges | None:
    """Of `role`, or of the connection's own; None on SQLite, and for a role that does not exist."""
    if connection.dialect.name != "postgresql":
        return None
    found = connection.execute(_ROLE, {"role": role, "table": APPEND_ONLY[0], "function": ADD_FUNCTION}).one_or_none()
    if found is None:
        return None
    name, superuser, owns, owner, schema, quoted, enters, adds = found
    needed = {f"USAGE on schema {schema}": enters, f"EXECUTE on {ADD_FUNCTION}": adds}
    excess, lacking = [], [what for what, yes in needed.items() if not yes]
    for table, parent, *held in connection.execute(_HELD, {"role": name}):
        may = {verb for verb, yes in zip((*WORKING, "TRUNCATE"), held, strict=True) if yes}
        if parent in APPEND_ONLY:
            excess += [f"{verb} on {table}" for verb in REWRITING if verb in may]
        if table in metadata.tables or table in READ_ONLY:
            lacking += [f"{verb} on {table}" for verb in wanted(table) if verb not in may]
    return Privileges(name, quoted, owner, schema, superuser, owns, tuple(excess), tuple(lacking))


def wanted(table: str) -> Sequence[str]:
    """What the working role needs on a table."""
    if table in READ_ONLY:
        return ("SELECT",)
    return APPENDING if table in APPEND_ONLY else WORKING


def working_roles(connection: Connection) -> list[str]:
    """The roles that write into the journal without owning it."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.execute(_WORKERS, {"table": APPEND_ONLY[0]}).scalars())


def grants(schema: str, role: str) -> list[str]:
    """The SQL that the owner runs so that `role` (both as SQL spells them) can work and can rewrite nothing."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for table in (*sorted(metadata.tables), *READ_ONLY):
        groups.setdefault(tuple(wanted(table)), []).append(f"{schema}.{table}")
    given = [f"GRANT {', '.join(verbs)} ON {', '.join(tables)} TO {role}" for verbs, tables in groups.items()]
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        *given,
        f"GRANT EXECUTE ON FUNCTION {schema}.{ADD_FUNCTION} TO {role}",
    ]


def grant(connection: Connection, role: str) -> Privileges | None:
    """Give a role what it needs, take what rewrites; what it may do then. None for a role that does not exist."""
    found = privileges(connection, role)
    if found is None:
        return None
    for statement in grants(found.schema, found.quoted):
        connection.exec_driver_sql(statement)
    return privileges(connection, role)
