"""The provider's own signatures: Ed25519 over `method LF path LF timestamp LF nonce LF body`.

Requests of the merchant must be fresh (300 s to either side) and carry a nonce that was not seen before; what the
provider sends is signed the same way, answers under the method name ANSWER.
"""

import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

WINDOW_S = 300
NONCES_KEPT_MAX = 20_000


class Untrusted(Exception):
    """The request is not the merchant's, or not from now."""


def private_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file; ValueError when it is another kind."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: not an Ed25519 private key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 key in a PEM file; ValueError when it is another kind."""
    key = load_pem_public_key(path.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path}: not an Ed25519 public key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the raw key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _message(method: str, path: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    return b"\n".join((method.encode(), path.encode(), timestamp.encode(), nonce.encode(), body))


def sealed(key: Ed25519PrivateKey, method: str, path: str, body: bytes, *, now_s: int) -> dict[str, str]:
    """Headers that prove `body` at `path` to be ours."""
    nonce = secrets.token_urlsafe(16)
    signature = key.sign(_message(method, path, str(now_s), nonce, body))
    return {
        "X-Sandbox-Timestamp": str(now_s),
        "X-Sandbox-Nonce": nonce,
        "X-Sandbox-Serial": fingerprint(key.public_key()),
        "X-Sandbox-Signature": base64.b64encode(signature).decode(),
    }


class MerchantGate:
    """Lets pass what the merchant signed, once."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self._nonces: OrderedDict[str, None] = OrderedDict()

    def check(self, headers: Mapping[str, str], method: str, path: str, body: bytes, *, now_s: int) -> None:
        """Raise Untrusted unless signature, freshness and nonce are good; `headers` has lower-case names."""
        timestamp = headers.get("x-sandbox-timestamp", "")
        nonce = headers.get("x-sandbox-nonce", "")
        if not timestamp.isdecimal() or len(timestamp) > 12 or abs(int(timestamp) - now_s) > WINDOW_S:
            raise Untrusted("the timestamp is missing or not from now")
        if headers.get("x-sandbox-serial") != fingerprint(self._key):
            raise Untrusted("the request is signed with a key that is not on file")
        try:
            signature = base64.b64decode(headers.get("x-sandbox-signature", ""), validate=True)
            self._key.verify(signature, _message(method, path, timestamp, nonce, body))
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise Untrusted("the signature does not fit") from error
        if not nonce or nonce in self._nonces:
            raise Untrusted("the nonce was used before")
        self._nonces[nonce] = None
        if len(self._nonces) > NONCES_KEPT_MAX:
            self._nonces.popitem(last=False)
