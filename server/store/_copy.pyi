from typing import Any

from typing_extensions import disjoint_base

from server.store._rows import Rows

FUNCTIONS: tuple[str, ...]

@disjoint_base
class CopyRows:
    done: bool
    def __new__(cls, rows: Rows) -> CopyRows: ...
    def receive(self, connection: int, functions: tuple[int, ...], out: Any) -> int: ...
