from collections.abc import Sequence
from typing import Any

from typing_extensions import disjoint_base

from server.store._rows import Rows

FUNCTIONS: tuple[str, ...]
HANDLE: str

def prepare_connections(functions: tuple[int, ...]) -> None: ...

@disjoint_base
class SqliteRows:
    def __new__(
        cls, rows: Rows, functions: tuple[int, ...], source: bytes | int, sql: bytes, parameters: Sequence[Any] = ()
    ) -> SqliteRows: ...
    def fill(self, out: Any) -> int: ...

@disjoint_base
class SqliteWrite:
    failure: tuple[int, str] | None
    def __new__(cls, columns: tuple[Any, ...], rows: int) -> SqliteWrite: ...
    def run(self, functions: tuple[int, ...], handle: int, sql: bytes) -> int: ...
