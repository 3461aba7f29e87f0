"""What travels between the processes of one server: pickled values whose types both sides know by name.

Both are the same installation, and the line between them is a socket pair that only a child inherits. All the same a
parcel names nothing but classes of ours, flows, what the web defines like them, and the few foreign types of `FOREIGN`:
whatever else it names, a function of ours that starts a program included, is refused before it is built.
"""

import io
import pickle
from typing import Any

PROTOCOL = 5
OURS = ("core", "server")
FLOWS = ("server.flows.", "server.web.api.", "server.web.health.", "server.store.unit._deed")
FOREIGN = frozenset(
    {
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("concurrent.futures._base", "CancelledError"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("functools", "partial"),
    }
)


class NotCarried(Exception):
    """A value cannot travel to the other process, which is a mistake of ours; the message names what is in the way."""


def pack(value: object) -> bytes:
    """The bytes of a value; NotCarried for what has no name, nests too deep, or changes while it is packed."""
    try:
        return pickle.dumps(value, PROTOCOL)
    except Exception as error:
        raise NotCarried(f"{type(value).__name__} does not travel between processes: {error}") from error


def unpack(data: bytes) -> Any:
    """The value of some bytes; NotCarried when they name what does not travel."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError) as error:
        raise NotCarried(f"what came from the other process is not known here: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Ours, where it was defined and not where it was imported; or one of the few foreign types."""
        if (module, name) in FOREIGN:
            return super().find_class(module, name)
        if module.partition(".")[0] in OURS:
            found = super().find_class(module, name)
            is_flow = f"{module}.{name}".startswith(FLOWS)
            if getattr(found, "__module__", None) == module and (is_flow or isinstance(found, type)):
                return found
        raise NotCarried(f"{module}.{name} does not travel between processes")
