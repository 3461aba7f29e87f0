"""Opens the payment providers that the settings name, in the order in which people are offered them.

Each provider has one setting that opens it; the others that it needs must then be there too. A wrong key file is
found here, before anything runs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from server.config import Config
from server.errors import ConfigError
from server.pay.alipay import AlipayApp, AlipayProvider
from server.pay.hmac import HmacProvider
from server.pay.provider import Provider
from server.pay.sandbox import open_sandbox
from server.pay.wechat import WechatProvider
from server.pay.wechat_seal import APIV3_KEY_BYTES, Merchant
from server.signing.keys import rsa_private_key, rsa_public_key, rsa_public_keys, secret_bytes
from server.signing.shared_secret import secrets_of


def open_providers(config: Config) -> Mapping[str, Provider]:
    """The providers by name; raises ConfigError naming the setting or the file that is wrong."""
    opened: list[Provider] = [open_one(config) for key, open_one in _OPENERS.items() if getattr(config, key)]
    if any(provider.name in ("wechat", "alipay") for provider in opened):
        _need_public_url(config)
    return {provider.name: provider for provider in opened}


def _wechat(config: Config) -> Provider:
    _need(
        config, "wechat_mchid", "wechat_appid", "wechat_merchant_serial", "wechat_merchant_key", "wechat_apiv3_key",
        "wechat_platform_keys",
    )  # fmt: skip
    path = Path(config.wechat_apiv3_key)
    apiv3_key = secret_bytes(path).strip()
    if len(apiv3_key) != APIV3_KEY_BYTES:
        raise ConfigError(f"{path}: the APIv3 key has {APIV3_KEY_BYTES} bytes, not {len(apiv3_key)}")
    merchant = Merchant(
        config.wechat_mchid,
        config.wechat_appid,
        config.wechat_merchant_serial,
        rsa_private_key(Path(config.wechat_merchant_key)),
        apiv3_key,
    )
    return WechatProvider(merchant, rsa_public_keys(Path(config.wechat_platform_keys)), url=config.wechat_url)


def _alipay(config: Config) -> Provider:
    _need(config, "alipay_app_id", "alipay_seller_id", "alipay_app_key", "alipay_public_key")
    key = rsa_private_key(Path(config.alipay_app_key))
    app = AlipayApp(config.alipay_app_id, config.alipay_seller_id, key)
    return AlipayProvider(app, rsa_public_key(Path(config.alipay_public_key)), url=config.alipay_url)


def _hmac(config: Config) -> Provider:
    _need(config, "hmac_url", "hmac_merchant", "hmac_secrets")
    return HmacProvider(config.hmac_url, config.hmac_merchant, secrets_of(Path(config.hmac_secrets)))


def _sandbox(config: Config) -> Provider:
    _need(config, "sandbox_provider_url", "sandbox_merchant_key", "sandbox_provider_public_key")
    return open_sandbox(
        config.sandbox_provider_url,
        merchant_key=config.sandbox_merchant_key,
        provider_public_key=config.sandbox_provider_public_key,
    )


_OPENERS: Mapping[str, Callable[[Config], Provider]] = {
    "wechat_mchid": _wechat,
    "alipay_app_id": _alipay,
    "hmac_url": _hmac,
    "sandbox_provider_url": _sandbox,
}


def _need(config: Config, opener: str, *names: str) -> None:
    missing = [name for name in names if not getattr(config, name)]
    if missing:
        raise ConfigError(f"{opener} is set, but {missing[0]} is not; {_meaning(missing[0])}")


def _meaning(name: str) -> str:
    return "name the PEM file" if name.endswith(("_key", "_keys")) else "docs/reference.md says what it is"


def _need_public_url(config: Config) -> None:
    if not config.public_url.startswith("https://"):
        raise ConfigError(
            f"public_url = {config.public_url!r}: WeChat Pay and Alipay send their notices to an https address only"
        )
