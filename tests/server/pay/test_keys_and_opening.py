"""Key files and settings of the providers: what is wrong is named before anything runs, and never shown."""

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from server.config import load
from server.errors import CallbackRejected, ConfigError
from server.pay.opening import open_providers
from server.pay.yuan import fen_of_yuan, yuan_of_fen
from server.signing.keys import rsa_private_key, rsa_public_key, rsa_public_keys, secret_bytes
from tests.server.pay.sides import rsa_key

SETTINGS = """
public_url = "https://estate.example"
wechat_mchid = "1900000001"
wechat_appid = "wx1"
wechat_merchant_serial = "5157"
wechat_merchant_key = "own.pem"
wechat_apiv3_key = "apiv3"
wechat_platform_keys = "platform"
alipay_app_id = "2014"
alipay_seller_id = "2088"
alipay_app_key = "own.pem"
alipay_public_key = "platform/PUB_KEY_ID_01.pem"
hmac_url = "https://pay.example/v1"
hmac_merchant = "estate-7"
hmac_secrets = "secrets"
"""


def private(key, encoding=Encoding.PEM):
    return key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())


def public(key, encoding=Encoding.PEM):
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def write(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path):
    """Everything that the settings name."""
    write(tmp_path / "own.pem", private(rsa_key("m")))
    write(tmp_path / "apiv3", b"0123456789abcdefghijklmnopqrstuv\n")
    write(tmp_path / "secrets", b"s" * 40 + b"\n" + b"t" * 40 + b"\n")
    (tmp_path / "platform").mkdir()
    write(tmp_path / "platform" / "PUB_KEY_ID_01.pem", public(rsa_key("p")), 0o644)
    write(tmp_path / "server.toml", SETTINGS.encode())
    return tmp_path


def opened(folder, without="", **changes):
    text = "\n".join(line for line in SETTINGS.splitlines() if not without or not line.startswith(f"{without} "))
    for key, value in changes.items():
        text = "\n".join(f'{key} = "{value}"' if line.startswith(f"{key} ") else line for line in text.splitlines())
    (folder / "server.toml").write_text(text)
    return open_providers(load(folder / "server.toml", {}))


def test_the_settings_open_the_providers_in_their_order(folder):
    assert list(opened(folder)) == ["wechat", "alipay", "hmac"]
    assert open_providers(load(None, {})) == {}


@pytest.mark.parametrize(
    "name",
    [
        "wechat_appid", "wechat_merchant_serial", "wechat_merchant_key", "wechat_apiv3_key", "wechat_platform_keys",
        "alipay_seller_id", "alipay_app_key", "alipay_public_key", "hmac_merchant", "hmac_secrets",
    ],
)  # fmt: skip
def test_a_setting_that_is_missing_is_named(folder, name):
    with pytest.raises(ConfigError, match=f"{name} is not"):
        opened(folder, without=name)


@pytest.mark.parametrize("name", ["own.pem", "apiv3", "secrets"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_secret_that_others_may_read_is_refused(folder, name, mode):
    (folder / name).chmod(mode)
    with pytest.raises(ConfigError, match=f"{name}: others .*chmod 600"):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("apiv3", b"CANARY" * 5), ("apiv3", b""), ("secrets", b""), ("secrets", b"CANARY-short"),
        ("secrets", b"\n".join([b"CANARY" * 7] * 3)), ("own.pem", b"CANARY"), ("own.pem", b"-----BEGIN CANARY-----"),
        ("own.pem", private(ed25519.Ed25519PrivateKey.generate())),
        ("own.pem", private(rsa.generate_private_key(65537, 1024))),
    ],
)  # fmt: skip
def test_a_wrong_secret_names_its_file_and_not_its_content(folder, name, content):
    write(folder / name, content)
    with pytest.raises(ConfigError, match=f"{name}: ") as caught:
        opened(folder)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_notices_need_an_https_address(folder):
    with pytest.raises(ConfigError, match="https"):
        opened(folder, public_url="http://estate.example")


def test_a_missing_file_is_named(folder):
    for name in ("own.pem", "apiv3", "secrets"):
        (folder / name).rename(folder / "away")
        with pytest.raises(ConfigError, match=f"{name}: cannot be read"):
            opened(folder)
        (folder / "away").rename(folder / name)


def test_keys_are_read_as_the_providers_hand_them_out(tmp_path):
    own = write(tmp_path / "own.txt", base64.b64encode(private(rsa_key("m"), Encoding.DER)))
    assert rsa_private_key(own).private_numbers() == rsa_key("m").private_numbers()
    theirs = write(tmp_path / "theirs.txt", base64.encodebytes(public(rsa_key("p"), Encoding.DER)))
    assert rsa_public_key(theirs).public_numbers() == rsa_key("p").public_key().public_numbers()
    key, certificate = write(tmp_path / "key.pem", private(rsa_key("p"))), tmp_path / "CERT.pem"
    command = ["openssl", "req", "-x509", "-key", key, "-subj", "/CN=Tenpay", "-days", "9", "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    assert rsa_public_key(certificate).public_numbers() == rsa_key("p").public_key().public_numbers()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
        public(ed25519.Ed25519PrivateKey.generate()), public(rsa.generate_private_key(65537, 1024)),
    ],
)  # fmt: skip
def test_a_wrong_public_key_is_refused(tmp_path, content):
    with pytest.raises(ConfigError, match=r"k\.pem"):
        rsa_public_key(write(tmp_path / "k.pem", content))


def test_platform_keys_are_named_by_their_files(tmp_path):
    with pytest.raises(ConfigError, match="holds no key"):
        rsa_public_keys(tmp_path)
    write(tmp_path / "A1.pem", public(rsa_key("p")))
    write(tmp_path / "B2.pem", public(rsa_key("m")))
    assert list(rsa_public_keys(tmp_path)) == ["A1", "B2"]
    with pytest.raises(ConfigError, match="not a directory"):
        rsa_public_keys(tmp_path / "A1.pem")
    with pytest.raises(ConfigError, match="cannot be read"):
        secret_bytes(tmp_path / "none")


def test_yuan_and_fen_agree_for_every_amount_to_a_hundred_yuan():
    for fen in range(10_001):
        yuan, rest = divmod(fen, 100)
        assert fen_of_yuan(yuan_of_fen(fen)) == fen
        assert yuan_of_fen(fen) == f"{yuan}.{rest // 10}{rest % 10}"
    assert [fen_of_yuan(text) for text in ("20", "20.5", "20.05", "9999999999.99", "0.29")] == [
        2000, 2050, 2005, 999_999_999_999, 29,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", ".5", "5.", "-1", "+1", "1e2", "1.005", "1,00", " 1", "1\n", "１", "NaN", "0x1"])
def test_what_is_no_yuan_is_refused(text):
    with pytest.raises(CallbackRejected):
        fen_of_yuan(text)
