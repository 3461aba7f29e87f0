"""Signatures between us and a payer: what is signed, for how long it counts, and keys on disk."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.errors import ConfigError
from server.pay.sandbox_provider import seal
from server.signing.ed25519 import (
    FRESH_S,
    BadSignature,
    Stamp,
    canonical,
    generate_key_pair,
    load_private_key,
    load_public_key,
    serial_of,
    sign,
    verify,
)

NOW_S = 1_790_000_000
BODY = '{"amount_fen": 5000, "标题": "充值"}'.encode()


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


def test_the_canonical_string_is_the_documented_one():
    assert canonical("POST", "/callbacks/sandbox", 17, "n1", b"{}") == b"POST\n/callbacks/sandbox\n17\nn1\n{}"


@pytest.mark.parametrize("skew_s", [0, FRESH_S, -FRESH_S])
def test_a_signed_message_is_accepted_within_the_window(key, skew_s):
    stamp = sign(key, "POST", "/a", NOW_S + skew_s, "n1", BODY)
    verify(key.public_key(), stamp, "POST", "/a", BODY, now_s=NOW_S)


@pytest.mark.parametrize("skew_s", [FRESH_S + 1, -FRESH_S - 1, 86_400, -365 * 86_400])
def test_old_and_post_dated_messages_are_refused(key, skew_s):
    stamp = sign(key, "POST", "/a", NOW_S + skew_s, "n1", BODY)
    with pytest.raises(BadSignature, match="more than 300 s"):
        verify(key.public_key(), stamp, "POST", "/a", BODY, now_s=NOW_S)


@pytest.mark.parametrize(
    ("method", "path", "body", "changed"),
    [
        ("GET", "/a", BODY, {}),
        ("POST", "/b", BODY, {}),
        ("POST", "/a", BODY.replace(b"5000", b"50000"), {}),
        ("POST", "/a", BODY, {"nonce": "n2"}),
        ("POST", "/a", BODY, {"timestamp_s": NOW_S + 1}),
        ("POST", "/a", BODY, {"signature": "AAAA"}),
        ("POST", "/a", BODY, {"signature": "not base64!"}),
        ("POST", "/a", BODY, {"signature": "签名"}),
        ("POST", "/a", BODY, {"serial": "0123456789abcdef"}),
    ],
)
def test_any_change_breaks_the_signature(key, method, path, body, changed):
    good = sign(key, "POST", "/a", NOW_S, "n1", BODY)
    parts = {"timestamp_s": good.timestamp_s, "nonce": good.nonce, "serial": good.serial, "signature": good.signature}
    with pytest.raises(BadSignature):
        verify(key.public_key(), Stamp(**{**parts, **changed}), method, path, body, now_s=NOW_S)


def test_another_key_under_our_serial_is_refused(key):
    forged = sign(Ed25519PrivateKey.generate(), "POST", "/a", NOW_S, "n1", BODY)
    stamp = Stamp(forged.timestamp_s, forged.nonce, serial_of(key.public_key()), forged.signature)
    with pytest.raises(BadSignature, match="does not fit"):
        verify(key.public_key(), stamp, "POST", "/a", BODY, now_s=NOW_S)


def test_both_sides_wrote_the_same_rules_apart(key):
    assert seal.fingerprint(key.public_key()) == serial_of(key.public_key())
    headers = {name.lower(): value for name, value in seal.sealed(key, "POST", "/a", BODY, now_s=NOW_S).items()}
    stamp = Stamp(
        int(headers["x-sandbox-timestamp"]),
        headers["x-sandbox-nonce"],
        headers["x-sandbox-serial"],
        headers["x-sandbox-signature"],
    )
    verify(key.public_key(), stamp, "POST", "/a", BODY, now_s=NOW_S)


def test_generated_keys_load_and_the_private_one_is_private(tmp_path):
    pair = generate_key_pair(tmp_path / "merchant")
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    assert serial_of(load_private_key(pair.private).public_key()) == serial_of(load_public_key(pair.public))
    again = generate_key_pair(tmp_path / "merchant")
    assert serial_of(load_private_key(again.private).public_key()) == serial_of(load_public_key(again.public))


def test_a_wrong_key_file_is_named(tmp_path):
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no key")
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    rsa_private, rsa_public = tmp_path / "rsa.pem", tmp_path / "rsa.pub.pem"
    rsa_private.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    rsa_public.write_bytes(rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for load, paths in (
        (load_private_key, (missing, garbage, rsa_private)),
        (load_public_key, (missing, garbage, rsa_public)),
    ):
        for path in paths:
            with pytest.raises(ConfigError, match=path.name):
                load(path)
