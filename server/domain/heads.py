"""Signed heads: what the end of an estate's hash chain was at some moment, provable to whoever has the public key.

A person with the database's password can rewrite rows and chain them anew, but not a head that already lies on
another machine. A head is one line of JSON: estate, batch, its hash, when it was signed (epoch milliseconds), the
key's short name and the Ed25519 signature over the rest.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.errors import ConfigError

SERIAL_DIGITS = 16
_TITLE = "estate645 head 1"


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a chain: the batch, its hash, and when this was signed."""

    estate_id: str
    batch_seq: int
    hash: str
    signed_ms: int

    def message(self, serial: str) -> bytes:
        """The bytes that are signed."""
        parts = (_TITLE, self.estate_id, str(self.batch_seq), self.hash, str(self.signed_ms), serial)
        return "\n".join(parts).encode()


def serial_of(key: Ed25519PublicKey) -> str:
    """A short name of the key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:SERIAL_DIGITS]


def sign(head: Head, key: Ed25519PrivateKey) -> str:
    """The line that is kept somewhere else."""
    serial = serial_of(key.public_key())
    signature = base64.b64encode(key.sign(head.message(serial))).decode()
    parts = {"estate": head.estate_id, "batch": head.batch_seq, "hash": head.hash, "signed_ms": head.signed_ms}
    return json.dumps({**parts, "key": serial, "signature": signature}, ensure_ascii=False)


def heads_of(lines: Iterable[str], key: Ed25519PublicKey, where: str) -> list[Head]:
    """The heads of a file; ConfigError with its place for a line that this key has not signed."""
    return [_head(text, key, f"{where}, line {number}") for number, text in enumerate(lines, 1) if text.strip()]


def _head(text: str, key: Ed25519PublicKey, where: str) -> Head:
    try:
        parts = json.loads(text)
        head = Head(str(parts["estate"]), int(parts["batch"]), str(parts["hash"]), int(parts["signed_ms"]))
        serial, signature = str(parts["key"]), base64.b64decode(str(parts["signature"]), validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ConfigError(f"{where}: this is no signed head; take the file as `estate645 heads` wrote it") from error
    if serial != serial_of(key):
        raise ConfigError(f"{where}: signed with key {serial}, not with {serial_of(key)}; name the key of these heads")
    try:
        key.verify(signature, head.message(serial))
    except InvalidSignature as error:
        raise ConfigError(f"{where}: the signature does not fit; this head was changed after it was signed") from error
    return head
