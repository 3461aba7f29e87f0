"""Messages between us and an integrator who shares a secret with us: HMAC-SHA256 over `timestamp.body`, raw bytes.

The headers X-Estate645-Timestamp (epoch seconds) and X-Estate645-Signature (hexadecimal) go with every message, both
ways. Two secrets may be valid at a time, so that they can be changed without a pause: we sign with the first and
accept both.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.errors import ConfigError
from server.signing.ed25519 import FRESH_S, BadSignature
from server.signing.keys import secret_bytes

SECRET_LENGTH_MIN = 32
SECRETS_MAX = 2
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)


def secrets_of(path: Path) -> tuple[bytes, ...]:
    """The secrets of a file, one a line; raises ConfigError, also when others than its owner may read it."""
    secrets = secret_bytes(path).split()
    if not 0 < len(secrets) <= SECRETS_MAX or min(map(len, secrets)) < SECRET_LENGTH_MIN:
        raise ConfigError(f"{path}: needs one or two lines, each a secret of at least {SECRET_LENGTH_MIN} characters")
    return tuple(secrets)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What stands in X-Estate645-Signature."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def signed_headers(secrets: Sequence[bytes], body: bytes, *, now_s: int) -> dict[str, str]:
    """The headers of a JSON message of ours, signed with the first secret at `now_s` (epoch seconds)."""
    return {
        "X-Estate645-Timestamp": str(now_s),
        "X-Estate645-Signature": signature(secrets[0], str(now_s), body),
        "Content-Type": "application/json",
    }


def check(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, *, now_s: int) -> None:
    """Check signature and freshness to both sides of `now_s`; raises BadSignature. Every secret is tried."""
    lower = {name.lower(): value for name, value in headers.items()}
    timestamp, given = lower.get("x-estate645-timestamp", ""), lower.get("x-estate645-signature", "")
    fits = [hmac.compare_digest(signature(one, timestamp, body).encode(), given.encode()) for one in secrets]
    if not any(fits):
        raise BadSignature("the signature does not fit the message")
    if _TIMESTAMP.fullmatch(timestamp) is None or abs(now_s - int(timestamp)) > FRESH_S:
        raise BadSignature(f"the timestamp is not within {FRESH_S} s of now")
