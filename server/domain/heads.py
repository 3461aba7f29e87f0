"""Signed heads: what the end of an estate's hash chain was at some moment, provable to whoever has the public key.

A person with the database's password can rewrite rows and chain them anew, but not a head that already lies on
another machine. A head is one line of JSON: estate, batch, its hash, when it was signed (epoch milliseconds), the
key's short name and the Ed25519 signature over the rest. Heads that are appended to a file are numbered from 1, an
estate each, and name the one before, so a line that was taken out leaves a gap; the last ones leave none. A power cut
or a full disk may leave the first part of a line, a torn one: it is no head, and the next takes its number.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.errors import ConfigError

SERIAL_DIGITS = 16
BATCH = "head"  # the kind of the batches that say which heads were exported
_TITLE, _NUMBERED = "estate645 head 1", "estate645 head 2"
_BEGIN = '{"estate": '


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a chain: the batch, its hash, and when this was signed.

    `number` is 0 for one that belongs to no file; `previous` is the digest of the head before it.
    """

    estate_id: str
    batch_seq: int
    hash: str
    signed_ms: int
    number: int = 0
    previous: str = ""

    @property
    def digest(self) -> str:
        """By which the next head names this one."""
        return hashlib.sha256(self.message("")).hexdigest()

    @property
    def record(self) -> tuple[str, str, str]:
        """Key, payload and memo of the batch without lines that says that it was exported."""
        return f"{BATCH}:{self.digest}", self.digest, f"head {self.number} of batch {self.batch_seq}"

    def message(self, serial: str) -> bytes:
        """The bytes that are signed."""
        own = (self.estate_id, str(self.batch_seq), self.hash, str(self.signed_ms))
        parts = (_NUMBERED, *own, str(self.number), self.previous, serial) if self.number else (_TITLE, *own, serial)
        return "\n".join(parts).encode()


def serial_of(key: Ed25519PublicKey) -> str:
    """A short name of the key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:SERIAL_DIGITS]


def sign(head: Head, key: Ed25519PrivateKey) -> str:
    """The line that is kept somewhere else."""
    serial = serial_of(key.public_key())
    signature = base64.b64encode(key.sign(head.message(serial))).decode()
    parts = {"estate": head.estate_id, "batch": head.batch_seq, "hash": head.hash, "signed_ms": head.signed_ms}
    place = {"number": head.number, "previous": head.previous} if head.number else {}
    return json.dumps({**parts, **place, "key": serial, "signature": signature}, ensure_ascii=False)


def is_torn(text: str) -> bool:
    """Whether a line is the first part of a head, or the zeros that a file system left in its place."""
    own = text.strip("\0\r\n")
    if not text.strip() or not (own.startswith(_BEGIN) or _BEGIN.startswith(own)):
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def heads_of(lines: Iterable[str], key: Ed25519PublicKey, where: str) -> list[Head]:
    """The heads of a file; ConfigError with its place for a line that this key has not signed."""
    return [_head(text, key, f"{where}, line {number}") for number, text in enumerate(lines, 1) if text.strip()]


def last_heads(lines: Iterable[str], where: str, serial: str) -> dict[str, Head]:
    """The last head of each estate in a file; ConfigError for a line that is none, nor torn, or is of another key.

    A file of two keys could be checked with neither.
    """
    found: dict[str, Head] = {}
    for number, text in enumerate(lines, 1):
        if text.strip() and not is_torn(text):
            try:
                parts = json.loads(text)
                head, signer = _parsed(parts), str(parts["key"])
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{where}, line {number}: this is no signed head; append to another file") from error
            if signer != serial:
                raise ConfigError(
                    f"{where}, line {number}: signed with key {signer}, not with {serial}; "
                    "a new key begins a new file: move this one away and keep it"
                )
            found[head.estate_id] = head
    return found


def chain_problems(heads: Sequence[Head]) -> list[str]:
    """Which heads of one estate are missing among those that were given, in the order of their file."""
    found: list[str] = []
    before: Head | None = None
    for head in (one for one in heads if one.number):
        expected = 1 if before is None else before.number + 1
        if head.number == 1 and not head.previous:
            before = head  # a file begins
            continue
        if head.number > expected:
            found.append(f"{_span(expected, head.number - 1)} missing")
        elif head.number < expected or before is None or head.previous != before.digest:
            found.append(f"head {head.number} does not follow from the one before it")
        before = head
    return found


def _span(first: int, last: int) -> str:
    return f"head {first} is" if first == last else f"heads {first} to {last} are"


def _parsed(parts: Any) -> Head:
    own = (str(parts["estate"]), int(parts["batch"]), str(parts["hash"]), int(parts["signed_ms"]))
    return Head(*own, int(parts.get("number", 0)), str(parts.get("previous", "")))


def _head(text: str, key: Ed25519PublicKey, where: str) -> Head:
    try:
        parts = json.loads(text)
        head = _parsed(parts)
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
