"""Opens the vending backend that the settings name: the dummy of the simulator, or a plug-in with real keys.

A plug-in is a package with an entry point of the group `estate645.vending` that names a class or function without
arguments; what it gives must have the methods of `core.vending.VendingBackend`. No key is ours.
"""

from importlib.metadata import entry_points
from typing import Final, cast

from core.vending import DummyVendingBackend, VendingBackend
from server.errors import ConfigError

GROUP: Final = "estate645.vending"
DUMMY: Final = "dummy"
METHODS: Final = ("identity", "seal_credit", "seal_validity", "vouches_for")


def open_backend(name: str) -> VendingBackend | None:
    """The backend of this name, None for an empty one; ConfigError says which names there are."""
    if not name:
        return None
    if name == DUMMY:
        return DummyVendingBackend()
    plugins = {one.name: one for one in entry_points(group=GROUP)}
    if name not in plugins:
        known = ", ".join((DUMMY, *sorted(plugins)))
        raise ConfigError(f"vending_backend = {name!r} is not installed; allowed: {known}")
    try:
        backend = plugins[name].load()()
    except Exception as error:
        raise ConfigError(f"vending_backend = {name!r} cannot be opened ({type(error).__name__}: {error})") from error
    lacking = [method for method in METHODS if not callable(getattr(backend, method, None))]
    if lacking or not isinstance(getattr(backend, "only_for_simulation", None), bool):
        raise ConfigError(
            f"vending_backend = {name!r} is no vending backend; it lacks {lacking or 'only_for_simulation'}"
        )
    return cast(VendingBackend, backend)
