"""What Alipay signs with RSA2 (RSA with SHA-256): our requests, its answers and its notices.

Parameters are sorted by name and joined as `name=value` with `&`, values as they are before any URL coding. A request
is signed with all of them but `sign`; a notice without `sign` and `sign_type`. An answer is signed over the very
characters of the object that stands under its response name, which are therefore cut out and not written anew.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from server.signing.ed25519 import BadSignature

SIGN_TYPE = "RSA2"
PARAMETERS_MAX = 100


def signed_text(parameters: Mapping[str, str]) -> bytes:
    """The bytes that are signed."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items())).encode()


def sign(key: RSAPrivateKey, parameters: Mapping[str, str]) -> str:
    """The value of the parameter `sign`."""
    return base64.b64encode(key.sign(signed_text(parameters), PKCS1v15(), SHA256())).decode()


def notice_of(key: RSAPublicKey, body: bytes) -> dict[str, str]:
    """The parameters of a notice whose signature is good; raises BadSignature.

    A name that comes twice is refused: two readers could take different values for it.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )  # fmt: skip
    except ValueError as error:
        raise BadSignature("the body is not a form in UTF-8") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise BadSignature("a parameter comes twice")
    given = parameters.pop("sign", "")
    if parameters.pop("sign_type", "") != SIGN_TYPE:
        raise BadSignature(f"the signature is not of the type {SIGN_TYPE}")
    _verify(key, given, signed_text(parameters))
    return parameters


def answer_of(key: RSAPublicKey, name: str, body: bytes) -> dict[str, object]:
    """The object under `name` of an answer whose signature is good; raises BadSignature."""
    try:
        written = body.decode("utf-8")
        whole = json.loads(written)
        given = whole["sign"]
        start = written.index(":", written.index(f'"{name}"')) + 1
        start += len(written[start:]) - len(written[start:].lstrip())
        fields, end = json.JSONDecoder().raw_decode(written, start)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadSignature("the answer is not a signed JSON object") from error
    if not isinstance(fields, dict) or not isinstance(given, str):
        raise BadSignature("the answer is not a signed JSON object")
    _verify(key, given, written[start:end].encode())
    return fields


def _verify(key: RSAPublicKey, given: str, signed: bytes) -> None:
    try:
        key.verify(base64.b64decode(given, validate=True), signed, PKCS1v15(), SHA256())
    except (binascii.Error, ValueError) as error:
        raise BadSignature("the signature is not base64") from error
    except InvalidSignature as error:
        raise BadSignature("the signature does not fit the message") from error
