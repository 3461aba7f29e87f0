"""Every statement that goes to SQLite while a test runs, and what SQLite would walk through for it."""

import re
from contextlib import closing
from functools import partial

import pysqlite3

KINDS = re.compile(r"\s*(?:SELECT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
END = re.compile(r"SELECT (?:max|min)\((\w+)\.\w+\) AS \w+ FROM \1 WHERE \1\.estate_id = \?$", re.ASCII)
ONLY_THE_ESTATE = re.compile(r"SEARCH (\w+) USING .*\(estate_id=\?\)$")
WHOLE_TABLE = re.compile(r"SCAN (\w+)")


class Recorder:
    """`statements` are texts with their parameters, each text once."""

    def __init__(self):
        self.statements = {}

    def connect(self, connect, *arguments, **options):
        return connect(*arguments, factory=partial(_Connection, self), **options)

    def note(self, text, parameters):
        if KINDS.match(text):
            self.statements.setdefault(text, parameters)

    def walks(self, engine, tables):
        """(statement, steps) that read these tables from end to end, or all rows of the estate, to find a few."""
        found = []
        for text, plan in self.plans(engine):
            stops = END.match(text) or ("LIMIT" in text and not any(map(_sorts, plan)))
            steps = [step for step in plan if _walked(step) & tables and not stops]
            if steps:
                found.append((text, steps))
        return found

    def plans(self, engine):
        """(statement, steps of SQLite's plan for it), from a connection that remembers no plan."""
        with closing(pysqlite3.Connection(engine.url.database)) as raw:
            for text, parameters in self.statements.items():
                text = " ".join(text.split())
                yield text, [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]


def _sorts(step):
    """Whether this step of a plan takes all rows before it gives the first."""
    return step.startswith("USE TEMP B-TREE")


def _walked(step):
    """The table that this step of a plan walks through, if any."""
    found = ONLY_THE_ESTATE.match(step) or WHOLE_TABLE.match(step)
    return {found[1]} if found else set()


class _Connection(pysqlite3.Connection):
    def __init__(self, recorder, *arguments, **options):
        super().__init__(*arguments, **options)
        self._recorder = recorder

    def cursor(self, *_factory):
        return _Cursor(self)


class _Cursor(pysqlite3.Cursor):
    def __init__(self, connection):
        super().__init__(connection)
        self._note = connection._recorder.note

    def execute(self, text, parameters=()):
        self._note(text, parameters)
        return super().execute(text, parameters)

    def executemany(self, text, rows):
        rows = list(rows)
        if rows:
            self._note(text, rows[0])
        return super().executemany(text, rows)
