"""Meter passwords at rest: locked with AES-256-GCM under keys that lie in a file of their own.

    key file: 64 hexadecimal digits a line, the current key first, older ones below it while they are being replaced
    locked:   v1:KEY:BASE64      KEY names the key, the rest is nonce and ciphertext, bound to estate and meter

Whoever has the database alone, or a backup of it, has no password; a locked one moved to another meter does not open.
The factory's password is public and stays as it is. Without the right key nothing opens: then meters are still read,
since reading needs no password, and control is refused with the reason.
"""

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.domain.passwords import FACTORY_PASSWORD, SCHEME, is_locked, is_plain
from server.errors import ConfigError, SecretLocked

CREDENTIAL = "meter_keys"
KEY_BYTES = 32
NONCE_BYTES = 12
FILE_BYTES_MAX = 64 * 1024
_LINE = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key and the name by which what it has locked refers to it."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Eight digits of its hash; they tell nothing about the key."""
        return hashlib.sha256(b"estate645 meter key\0" + self.secret).hexdigest()[:8]


class Keyring:
    """The keys of one file. A file that is missing or wrong is kept as `trouble` and does not stop the server."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.trouble = ""
        self._keys: tuple[Key, ...] = ()
        self.reload()

    def reload(self) -> None:
        """Read the file again."""
        if self.path is None:
            self._keys, self.trouble = (), "no key is configured; set meter_keys"
            return
        try:
            self._keys, self.trouble = read_keys(self.path), ""
        except ConfigError as error:
            self._keys, self.trouble = (), str(error)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, the current one first."""
        return tuple(key.name for key in self._keys)

    def lock(self, estate_id: str, meter_id: str, password: str) -> str:
        """What is stored for a password; `SecretLocked` without a key. The factory's stays as it is."""
        if password == FACTORY_PASSWORD:
            return password
        if not self._keys:
            raise SecretLocked(f"the password of meter {meter_id} cannot be locked: {self.trouble}")
        key, nonce = self._keys[0], os.urandom(NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, password.encode(), _bound_to(estate_id, meter_id))
        return f"{SCHEME}:{key.name}:{base64.b64encode(nonce + sealed).decode()}"

    def unlock(self, estate_id: str, meter_id: str, stored: str) -> str:
        """The password in what is stored; `SecretLocked` with the reason. What was never locked comes back as it is."""
        if not is_locked(stored):
            return stored
        _, name, text = stored.split(":", 2)
        key = next((one for one in self._keys if one.name == name), None)
        if key is None:
            why = self.trouble or f"it is locked with key {name}, which the key file does not hold"
            raise SecretLocked(f"the password of meter {meter_id} cannot be opened: {why}")
        try:
            sealed = base64.b64decode(text, validate=True)
            opened = AESGCM(key.secret).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(estate_id, meter_id)
            )
        except (InvalidTag, binascii.Error, ValueError):
            raise SecretLocked(
                f"the password of meter {meter_id} cannot be opened: it was changed in the database; import it again"
            ) from None
        return opened.decode()

    def relock(self, estate_id: str, meter_id: str, stored: str) -> str:
        """The same password under the current key; unchanged where it is so already. `SecretLocked`."""
        if stored == FACTORY_PASSWORD or (is_locked(stored) and self.names[:1] == (stored.split(":")[1],)):
            return stored
        return self.lock(estate_id, meter_id, self.unlock(estate_id, meter_id, stored))


@dataclass(frozen=True, slots=True)
class Look:
    """What stored passwords are: how many are locked, how many are not, and which do not open, with the reason."""

    locked: int
    plain: int
    unopened: tuple[str, ...]
    why: str


def looked_at(stored: Mapping[str, str], unlock: Callable[[str, str], str]) -> Look:
    """Try every stored password, by meter; the factory's counts as neither locked nor plain."""
    unopened, why, locked = [], "", 0
    for meter_id, one in stored.items():
        locked += is_locked(one)
        try:
            unlock(meter_id, one)
        except SecretLocked as error:
            unopened.append(meter_id)
            why = why or str(error)
    plain = sum(map(is_plain, stored.values()))
    return Look(locked, plain, tuple(unopened), why)


def key_path(configured: str) -> Path | None:
    """The key file: the one configured, else the credential that systemd hands over; None without either."""
    if configured:
        return Path(configured)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    handed = Path(folder) / CREDENTIAL if folder else None
    return handed if handed is not None and handed.exists() else None


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file, the current one first; `ConfigError` says what is wrong with it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(
            f"{path}: the key file cannot be read ({error.strerror}); put it back, or make one with: "
            f"estate645 rekey --new --keys {path}"
        ) from error
    if mode & 0o077 and not _is_credential(path):
        raise ConfigError(f"{path}: others than its owner may read the keys; run: chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or not all(_LINE.fullmatch(line) for line in lines):
        raise ConfigError(f"{path}: not a key file; allowed: a key of 64 hexadecimal digits a line, the current first")
    return tuple(Key(bytes.fromhex(line)) for line in dict.fromkeys(line.lower() for line in lines))


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file whole, readable by its owner alone, and on the disk before this returns; `ConfigError`."""
    if not path.parent.is_dir():
        raise ConfigError(
            f"{path}: there is no folder {path.parent}; make it with: mkdir -m 700 {path.parent}, or name another file"
        )
    draft = path.with_name(f"{path.name}.draft")
    text = "# Keys of meter passwords, the current one first. Keep a copy apart from the database.\n"
    try:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "".join(f"{key.secret.hex()}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"{path}: the key file cannot be written ({error.strerror})") from error


def new_key() -> Key:
    """A key that nobody has seen."""
    return Key(os.urandom(KEY_BYTES))


def _bound_to(estate_id: str, meter_id: str) -> bytes:
    return b"\0".join((b"estate645 meter password", estate_id.encode(), meter_id.encode()))


def _is_credential(path: Path) -> bool:
    """Whether systemd guards this file: its access list shows as rights of the group."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.parent == Path(str(folder))
