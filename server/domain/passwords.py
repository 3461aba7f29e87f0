"""What a stored meter password looks like: locked, or never locked. How it is locked is `server.keyring`'s."""

from typing import Final

FACTORY_PASSWORD: Final = "000000"  # noqa: S105  # what meters are delivered with, and printed in manuals
SCHEME: Final = "v1"


def is_locked(stored: str) -> bool:
    """Whether what is stored was locked; else it is the password itself."""
    return stored.startswith(f"{SCHEME}:")


def is_plain(stored: str) -> bool:
    """Whether what is stored is a password that should be locked; the factory's is public."""
    return not is_locked(stored) and stored != FACTORY_PASSWORD
