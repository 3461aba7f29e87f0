"""Keys of the real payment providers, from files that only we may read.

A secret that its group or others can read is refused at the start, since a key that leaked is not seen to have
leaked. Public keys may be read by anybody. RSA keys have 2048 bits or more.
"""

import base64
import binascii
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from server.errors import ConfigError

RSA_BITS_MIN = 2048
SECRET_BYTES_MAX = 64 * 1024


def secret_bytes(path: Path) -> bytes:
    """The content of a secret file; raises ConfigError when it is missing or not private to its owner."""
    try:
        with path.open("rb") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigError(f"{path}: others than its owner may read or write this secret; run: chmod 600 {path}")
            return file.read(SECRET_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that we may read") from error


def rsa_private_key(path: Path) -> RSAPrivateKey:
    """Our own RSA key: PEM, or the bare base64 of the DER form as Alipay's tool writes it; raises ConfigError."""
    content = secret_bytes(path)
    try:
        armored = content.lstrip().startswith(b"-----")
        key = load_pem_private_key(content, None) if armored else load_der_private_key(_bare(content), None)
    except (ValueError, TypeError, binascii.Error):
        raise ConfigError(f"{path}: not a private key without a password; name a PEM file") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < RSA_BITS_MIN:
        raise ConfigError(f"{path}: the key must be RSA of at least {RSA_BITS_MIN} bits")
    return key


def rsa_public_key(path: Path) -> RSAPublicKey:
    """A provider's key: a PEM public key or certificate, or the bare base64 of the DER form; raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that we may read") from error
    try:
        key = _public(content.strip())
    except (ValueError, TypeError, binascii.Error) as error:
        raise ConfigError(
            f"{path}: not a public key or certificate ({type(error).__name__}); name a PEM file"
        ) from error
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ConfigError(f"{path}: the key must be RSA of at least {RSA_BITS_MIN} bits")
    return key


def rsa_public_keys(directory: Path) -> dict[str, RSAPublicKey]:
    """The keys of a directory by serial: each is in a file SERIAL.pem; raises ConfigError, also for an empty one."""
    if not directory.is_dir():
        raise ConfigError(f"{directory}: not a directory; name one with a file SERIAL.pem for each key")
    keys = {path.stem: rsa_public_key(path) for path in sorted(directory.glob("*.pem"))}
    if not keys:
        raise ConfigError(f"{directory}: holds no key; put each into a file SERIAL.pem")
    return keys


def _public(content: bytes) -> object:
    if content.startswith(b"-----BEGIN CERTIFICATE"):
        return x509.load_pem_x509_certificate(content).public_key()
    return load_pem_public_key(content) if content.startswith(b"-----") else load_der_public_key(_bare(content))


def _bare(content: bytes) -> bytes:
    return base64.b64decode(b"".join(content.split()), validate=True)
