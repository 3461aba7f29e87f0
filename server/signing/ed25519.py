"""Signatures between us and a payer: Ed25519 over one canonical string.

The string is method, path, timestamp (epoch seconds), nonce and body, each ended by a line feed except the body,
which is taken as the raw bytes of the wire. A verifier accepts a message only inside a two-sided window around
its own machine time, so that neither an old nor a post-dated capture can be played again.
"""

import base64
import binascii
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from server.errors import ConfigError

FRESH_S = 300
SERIAL_DIGITS = 16


class BadSignature(Exception):
    """The message is not from the holder of the key, or not from now; the text says which."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where `generate_key_pair` put the two halves."""

    private: Path
    public: Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """What travels beside a signed message: epoch seconds, a value used once, the key's serial, the signature."""

    timestamp_s: int
    nonce: str
    serial: str
    signature: str


def generate_key_pair(directory: Path) -> KeyPair:
    """Write `private.pem` (readable by its owner only) and `public.pem` into `directory`, made when missing."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(directory / "private.pem", directory / "public.pem")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.private.unlink(missing_ok=True)
    with open(os.open(pair.private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    pair.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return pair


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 private key of a PEM file; raises ConfigError naming the file."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a PEM file") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a PEM private key ({error})") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: the key must be Ed25519")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key of a PEM file; raises ConfigError naming the file."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a PEM file") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a PEM public key ({error})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: the key must be Ed25519")
    return key


def serial_of(key: Ed25519PublicKey) -> str:
    """A short name of the key, so that a message under another key is told apart from a forged one."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:SERIAL_DIGITS]


def machine_now_s() -> int:
    """Epoch seconds of this machine, by which messages are stamped and judged."""
    return int(time.time())


def canonical(method: str, path: str, timestamp_s: int, nonce: str, body: bytes) -> bytes:
    """The bytes that are signed."""
    return f"{method}\n{path}\n{timestamp_s}\n{nonce}\n".encode() + body


def sign(key: Ed25519PrivateKey, method: str, path: str, timestamp_s: int, nonce: str, body: bytes) -> Stamp:
    """Sign one message; the nonce must not have been used with this key before."""
    signature = key.sign(canonical(method, path, timestamp_s, nonce, body))
    return Stamp(timestamp_s, nonce, serial_of(key.public_key()), base64.b64encode(signature).decode())


def verify(key: Ed25519PublicKey, stamp: Stamp, method: str, path: str, body: bytes, *, now_s: int) -> None:
    """Check serial, freshness and signature in this order; raises BadSignature."""
    if stamp.serial != serial_of(key):
        raise BadSignature(f"signed with the unknown key {stamp.serial[:SERIAL_DIGITS]!r}")
    if abs(now_s - stamp.timestamp_s) > FRESH_S:
        raise BadSignature(f"timestamp {stamp.timestamp_s} is more than {FRESH_S} s away from now")
    try:
        signature = base64.b64decode(stamp.signature, validate=True)
        key.verify(signature, canonical(method, path, stamp.timestamp_s, stamp.nonce, body))
    except (binascii.Error, ValueError) as error:
        raise BadSignature("the signature is not base64") from error
    except InvalidSignature as error:
        raise BadSignature("the signature does not fit the message") from error
