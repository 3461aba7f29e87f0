"""Settings of the head-end: one TOML file, overridden by environment variables `ESTATE645_*` and DATABASE_URL.

Every setting is documented in `SETTINGS`; an unknown key or a wrong value is refused with the file, the key and
the allowed values. Relative paths are relative to the file.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from server.collect.dtu_registration import compile_registration
from server.errors import ConfigError

PACKET_MAX = 64  # bytes of a heartbeat
WEB_PROCESSES_MAX = 8  # each may hold some thirty connections to the database
STEP_UP_MINUTES_MAX = 720  # a session of the staff lasts no longer
READINGS_MONTHS = 15  # a draft of a tariff is simulated on the last year
READINGS_MONTHS_MIN = 3  # what is younger may still be asked for, released or taken back
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DEFAULT_DATABASE = "sqlite:///estate645.db"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one server process."""

    database_url: str = DEFAULT_DATABASE
    host: str = "127.0.0.1"
    port: int = 8645
    public_url: str = ""
    web_processes: int = 1
    clock_anchor: str = ""
    collect: bool = True
    dtu_listen: str = ""
    dtu_registration: str = ""
    dtu_heartbeats: tuple[bytes, ...] = ()
    dtu_allow: tuple[str, ...] = ()
    meter_keys: str = ""
    vending_backend: str = ""
    secure_cookies: bool = False
    step_up_minutes: int = 10
    sandbox_provider_url: str = ""
    sandbox_provider_public_key: str = ""
    sandbox_merchant_key: str = ""
    wechat_mchid: str = ""
    wechat_appid: str = ""
    wechat_merchant_serial: str = ""
    wechat_merchant_key: str = ""
    wechat_apiv3_key: str = ""
    wechat_platform_keys: str = ""
    wechat_url: str = "https://api.mch.weixin.qq.com"
    alipay_app_id: str = ""
    alipay_seller_id: str = ""
    alipay_app_key: str = ""
    alipay_public_key: str = ""
    alipay_url: str = "https://openapi.alipay.com/gateway.do"
    hmac_url: str = ""
    hmac_merchant: str = ""
    hmac_secrets: str = ""
    message_gateway_url: str = ""
    message_gateway_secrets: str = ""
    heads_key: str = ""
    heads_file: str = ""
    readings_months: int = READINGS_MONTHS
    language: str = "zh_CN"


@dataclass(frozen=True, slots=True)
class Setting:
    """Documentation and parser of one key of the file."""

    name: str
    meaning: str
    allowed: str
    parse: Callable[[object], object]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "1", "yes", "false", "0", "no"):
        return value in ("true", "1", "yes")
    raise ValueError


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    number = int(value)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def _months(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or int(value) < READINGS_MONTHS_MIN:
        raise ValueError
    return int(value)


def _web_processes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    number = int(value)
    if not 0 <= number <= WEB_PROCESSES_MAX:
        raise ValueError
    return number


def _minutes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    number = int(value)
    if not 1 <= number <= STEP_UP_MINUTES_MAX:
        raise ValueError
    return number


def _address(value: object) -> str:
    host, _, port = _text(value).rpartition(":")
    if value and (not host or not 0 <= int(port) <= 65535):
        raise ValueError
    return str(value)


def _registration(value: object) -> str:
    if value:
        compile_registration(_text(value))
    return _text(value)


def _words(value: object) -> list[str]:
    """A list of texts, or one text with commas, as an environment variable has it."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, list):
        raise ValueError
    return [_text(word) for word in value]


def _packets(value: object) -> tuple[bytes, ...]:
    """Bytes written as text, or in hex behind `hex:`."""
    packets = tuple(
        bytes.fromhex(word.removeprefix("hex:")) if word.startswith("hex:") else word.encode("utf-8")
        for word in _words(value)
    )
    if any(not 1 <= len(packet) <= PACKET_MAX for packet in packets):
        raise ValueError
    return packets


def _networks(value: object) -> tuple[str, ...]:
    return tuple(str(ip_network(word)) for word in _words(value))


def _language(value: object) -> str:
    if value not in ("zh_CN", "en"):
        raise ValueError
    return str(value)


def _guarded_url(value: object) -> str:
    """An https address, or http to this machine; empty for none."""
    text = _text(value)
    parts = urlsplit(text)
    near = parts.scheme == "http" and parts.hostname in LOOPBACK
    if text and (not parts.hostname or not (near or parts.scheme == "https")):
        raise ValueError
    return text


def _database(value: object) -> str:
    text = _text(value)
    if not text.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise ValueError
    return text


SETTINGS = (
    Setting("database_url", "where the truth is kept", "sqlite:///FILE or postgresql://...", _database),
    Setting("host", "address that HTTP listens on", "a host name or address", _text),
    Setting("port", "port that HTTP listens on", "0 to 65535; 0 takes a free one", _port),
    Setting("public_url", "address under which people and payers reach the server", "a URL", _text),
    Setting(
        "web_processes",
        "processes that serve HTTP beside the one that reads meters and writes; 0: that one serves it, too",
        f"0 to {WEB_PROCESSES_MAX}",
        _web_processes,
    ),
    Setting("clock_anchor", "file that ties world time to machine time, simulations only", "a path", _text),
    Setting("collect", "read meters from this process", "true or false", _flag),
    Setting("dtu_listen", "address at which DTUs dial in", "host:port; empty: none may", _address),
    Setting(
        "dtu_registration",
        "what a DTU says first; without it the id of its bus",
        "a regular expression over bytes with a group id (text) or hex (bytes)",
        _registration,
    ),
    Setting(
        "dtu_heartbeats",
        "packets that DTUs mix into the stream",
        f"a list of texts or 'hex:FE FE', 1 to {PACKET_MAX} bytes each",
        _packets,
    ),
    Setting("dtu_allow", "networks that DTUs may dial in from", "a list such as 10.8.0.0/16; empty: any", _networks),
    Setting(
        "meter_keys",
        "keys that lock meter passwords; without it the credential meter_keys of systemd",
        "path of a file with mode 600, as `estate645 rekey --new` makes it",
        _text,
    ),
    Setting(
        "vending_backend",
        "what seals recharges of meters that keep the credit",
        "dummy (simulated meters), or a name of the entry points estate645.vending; empty: none",
        _text,
    ),
    Setting("secure_cookies", "send cookies over TLS only", "true or false", _flag),
    Setting(
        "step_up_minutes",
        "how long a password counts before acts that move money ask for it again",
        f"1 to {STEP_UP_MINUTES_MAX}",
        _minutes,
    ),
    Setting("sandbox_provider_url", "base URL of the sandbox payment provider", "a URL", _text),
    Setting("sandbox_provider_public_key", "key that verifies its callbacks", "path of a PEM file", _text),
    Setting("sandbox_merchant_key", "key that signs our orders", "path of a PEM file", _text),
    Setting("wechat_mchid", "our merchant number with WeChat Pay; set, it opens this way to pay", "a text", _text),
    Setting("wechat_appid", "app that is bound to the merchant number", "a text", _text),
    Setting("wechat_merchant_serial", "serial of our merchant certificate", "a text", _text),
    Setting("wechat_merchant_key", "RSA key that signs our requests", "path of a PEM file with mode 600", _text),
    Setting("wechat_apiv3_key", "key that opens what notices hold", "path of a file of 32 bytes with mode 600", _text),
    Setting("wechat_platform_keys", "keys that verify WeChat Pay", "path of a directory of SERIAL.pem", _text),
    Setting("wechat_url", "address of WeChat Pay", "a URL", _text),
    Setting("alipay_app_id", "our app with Alipay; set, it opens this way to pay", "a text", _text),
    Setting("alipay_seller_id", "number of the account that is paid", "a text", _text),
    Setting("alipay_app_key", "RSA key that signs our requests", "path of a PEM file with mode 600", _text),
    Setting("alipay_public_key", "key that verifies Alipay", "path of a PEM file", _text),
    Setting("alipay_url", "address of Alipay's gateway", "a URL", _text),
    Setting("hmac_url", "address of an integrator's payment service; set, it opens this way to pay", "a URL", _text),
    Setting("hmac_merchant", "name that the payment service gave us", "a text", _text),
    Setting("hmac_secrets", "secrets shared with it, one or two lines", "path of a file with mode 600", _text),
    Setting(
        "message_gateway_url",
        "gateway that carries notices to telephones, and posts receipts",
        "an https URL, or http on this machine; empty: none",
        _guarded_url,
    ),
    Setting("message_gateway_secrets", "secrets shared with it", "path of a file with mode 600", _text),
    Setting("heads_key", "key that signs the ends of the hash chains", "path of a PEM file with mode 600", _text),
    Setting("heads_file", "where signed heads are appended every hour; set both or none", "a path", _text),
    Setting(
        "readings_months",
        "whole months of readings that stay in the database when `estate645 archive --readings` moves older ones",
        f"{READINGS_MONTHS_MIN} or more",
        _months,
    ),
    Setting("language", "language of people who have not chosen one", "zh_CN or en", _language),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_PATHS = (
    "clock_anchor",
    "meter_keys",
    "sandbox_provider_public_key",
    "sandbox_merchant_key",
    "wechat_merchant_key",
    "wechat_apiv3_key",
    "wechat_platform_keys",
    "alipay_app_key",
    "alipay_public_key",
    "hmac_secrets",
    "message_gateway_secrets",
    "heads_key",
    "heads_file",
)


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read settings from `path` (optional) and the environment; raises ConfigError."""
    given: dict[str, object] = {}
    if path is not None:
        given = _resolve(_read(path), path)
    for setting in SETTINGS:
        name = "DATABASE_URL" if setting.name == "database_url" else f"ESTATE645_{setting.name.upper()}"
        if name in environment:
            given[setting.name] = _value(setting.name, environment[name], f"environment variable {name}")
    known = {field.name for field in fields(Config)}
    return replace(Config(), **{key: value for key, value in given.items() if key in known})  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, object]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name an existing settings file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return {key: _value(key, value, str(path)) for key, value in raw.items()}


def _value(key: str, value: object, where: str) -> object:
    setting = _BY_NAME.get(key)
    if setting is None:
        raise ConfigError(f"{where}: unknown key {key!r}; allowed keys: {', '.join(sorted(_BY_NAME))}")
    try:
        return setting.parse(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {key} = {value!r} is wrong; allowed: {setting.allowed}") from error


def _resolve(given: dict[str, object], path: Path) -> dict[str, object]:
    for key in _PATHS:
        if given.get(key):
            given[key] = str((path.parent / str(given[key])).resolve())
    url = str(given.get("database_url", ""))
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        given["database_url"] = f"sqlite:///{(path.parent / url.removeprefix('sqlite:///')).resolve()}"
    return given
