"""Old readings that lie in files: one month of one estate a file, moved by an act and put back by another.

Readings go only after the lines that were charged by them; what is still needed stays: the newest accepted reading of
each meter and all later ones, those from a cursor on, and those that a person answered for. Registers of days stay.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.domain.archive import MOVED
from server.domain.heads import serial_of
from server.domain.ledger import payload_sha256
from server.errors import ConfigError

_TITLE = "estate645 readings 1"


class ReadingAct(NamedTuple):
    """One act, in the order of the table's columns after the estate; the month is one of UTC, such as 2026-10."""

    archive_no: int
    act: str
    month: str
    from_at: int
    to_at: int
    readings: int
    file: str
    file_sha256: str
    rows_sha256: str
    actor: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class AboutReadings:
    """What a file says of itself; `signature` is a JSON text with the signing key's short name, or empty."""

    estate: str
    month: str
    from_at: int
    to_at: int
    readings: int
    rows_sha256: str
    created_ms: int
    signature: str = ""

    def message(self, serial: str) -> bytes:
        """The bytes that are signed."""
        parts = (_TITLE, self.estate, self.month, self.readings, self.rows_sha256, self.created_ms, serial)
        return "\n".join(map(str, parts)).encode()


def signed(about: AboutReadings, key: Ed25519PrivateKey) -> str:
    """The signature that the file carries."""
    serial = serial_of(key.public_key())
    return json.dumps({"key": serial, "signature": base64.b64encode(key.sign(about.message(serial))).decode()})


def check_signature(about: AboutReadings, key: Ed25519PublicKey, where: str) -> None:
    """ConfigError unless this key has signed month, count and rows of the file."""
    try:
        parts = json.loads(about.signature)
        serial, signature = str(parts["key"]), base64.b64decode(str(parts["signature"]), validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ConfigError(f"{where} is not signed; archive with --key or the setting heads_key") from error
    if serial != serial_of(key):
        raise ConfigError(f"{where} is signed with key {serial}, not with {serial_of(key)}; name the key of this file")
    try:
        key.verify(signature, about.message(serial))
    except InvalidSignature as error:
        raise ConfigError(f"{where}: the signature does not fit; the file was changed after it was signed") from error


def present(acts: Sequence[ReadingAct]) -> list[ReadingAct]:
    """Of all acts in order those that moved what is archived now."""
    moved: dict[str, ReadingAct] = {}
    for act in acts:
        if act.act == MOVED:
            moved[act.file_sha256] = act
        else:
            moved.pop(act.file_sha256, None)
    return list(moved.values())


def sealed_act(act: ReadingAct) -> tuple[str, str]:
    """Idempotency key and payload hash of the batch without lines that puts an act into the hash chain."""
    return f"archive-readings:{act.archive_no}", payload_sha256("archive-readings", *act)
