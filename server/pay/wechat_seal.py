"""What WeChat Pay APIv3 signs and seals: our requests, its answers and notices, and the resource inside a notice.

A request is signed with the merchant's RSA key over method, path with query, timestamp, nonce and body, each ended by
a line feed. Answers and notices are signed over timestamp, nonce and the raw body, by the platform key that the
serial names. The resource of a notice is AES-256-GCM under the APIv3 key, which merchant and platform share.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from server.signing.ed25519 import FRESH_S, BadSignature

SCHEME = "WECHATPAY2-SHA256-RSA2048"
CIPHER = "AEAD_AES_256_GCM"
APIV3_KEY_BYTES = 32
NONCE_LENGTH_MAX = 128
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who we are to the platform."""

    mchid: str
    appid: str
    serial: str
    key: RSAPrivateKey = field(repr=False)
    apiv3_key: bytes = field(repr=False)


def authorization(merchant: Merchant, method: str, target: str, body: bytes, *, timestamp_s: int, nonce: str) -> str:
    """The value of the header Authorization; `target` is the path with its query."""
    signed = f"{method}\n{target}\n{timestamp_s}\n{nonce}\n".encode() + body + b"\n"
    signature = base64.b64encode(merchant.key.sign(signed, PKCS1v15(), SHA256())).decode()
    return (
        f'{SCHEME} mchid="{merchant.mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp_s}",serial_no="{merchant.serial}"'
    )


def check(keys: Mapping[str, RSAPublicKey], headers: Mapping[str, str], body: bytes, *, now_s: int) -> None:
    """Check scheme, serial, freshness and signature in this order; raises BadSignature.

    The platform sends wrong signatures on purpose now and then (they begin with WECHATPAY/SIGNTEST/) to see them
    refused: they are wrong signatures like any other.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if lower.get("wechatpay-signature-type", SCHEME) != SCHEME:
        raise BadSignature(f"the signature is not of the scheme {SCHEME}")
    key = keys.get(lower.get("wechatpay-serial", ""))
    if key is None:
        raise BadSignature("the serial names no platform key of ours")
    timestamp, nonce = lower.get("wechatpay-timestamp", ""), lower.get("wechatpay-nonce", "")
    if _TIMESTAMP.fullmatch(timestamp) is None or abs(now_s - int(timestamp)) > FRESH_S:
        raise BadSignature(f"the timestamp is not within {FRESH_S} s of now")
    if not 0 < len(nonce) <= NONCE_LENGTH_MAX:
        raise BadSignature("the nonce is missing or too long")
    try:
        signature = base64.b64decode(lower.get("wechatpay-signature", ""), validate=True)
        signed = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except (binascii.Error, ValueError) as error:
        raise BadSignature("the signature is not base64") from error
    except InvalidSignature as error:
        raise BadSignature("the signature does not fit the message") from error


def unseal(apiv3_key: bytes, algorithm: object, nonce: str, associated: str, ciphertext: str) -> bytes:
    """The plain text of a sealed resource; raises BadSignature when it was not sealed with our APIv3 key."""
    if algorithm != CIPHER:
        raise BadSignature(f"the resource is not sealed with {CIPHER}")
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
        return AESGCM(apiv3_key).decrypt(nonce.encode(), sealed, associated.encode())
    except (binascii.Error, ValueError) as error:
        raise BadSignature("the sealed resource is malformed") from error
    except InvalidTag as error:
        raise BadSignature("the resource is not sealed with our APIv3 key") from error
