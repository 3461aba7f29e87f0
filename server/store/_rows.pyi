from typing import Any

from typing_extensions import disjoint_base

ABSENT: int
FUNCTIONS: tuple[str, ...]

@disjoint_base
class Rows:
    kinds: bytes
    width: int
    def __new__(cls, kinds: str) -> Rows: ...
    def fill(self, rows: list[tuple[Any, ...]], out: Any) -> int: ...
    def names(self, column: int, first: int = 0) -> list[bytes]: ...

@disjoint_base
class SqliteRows:
    def __new__(cls, rows: Rows, functions: tuple[int, ...], path: bytes, sql: bytes) -> SqliteRows: ...
    def fill(self, out: Any) -> int: ...
