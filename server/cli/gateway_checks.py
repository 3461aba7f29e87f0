"""What `estate645 doctor` says of the message gateway: whether there is one, answers, and what waits for it.

It is asked without a message (HEAD), so that nobody is told anything. The way back is tried with a signed receipt for
a notice that there is not: a server that refuses it as such can be reached, and has the same secrets.
"""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx

from server.cli.checkup import Finding
from server.cli.languages import error_in_chinese, in_chinese
from server.config import LOOPBACK, Config
from server.errors import ConfigError
from server.notify.gateway import RECEIPTS_PATH, TIMEOUT_S, TOO_MANY
from server.signing.shared_secret import secrets_of, signed_headers

NAME, BACK, NOTICES = "message gateway", "receipts", "notices"
NOBODYS_NOTICE = "doctor"
BY_HAND = ("meanwhile tell the households on the page /notices by hand", "其间请在 /notices 页面人工通知住户")


class Waiting(NamedTuple):
    """Messages of one estate that wait, warnings among them, since when (world time); `failed` ones of a week."""

    time_zone: str
    messages: int
    warnings: int
    since: int | None
    failed: int
    why: str


def message_gateway(
    config: Config, estate_ids: Sequence[str], transport: httpx.BaseTransport | None = None
) -> Iterator[Finding]:
    """Whether one is set up and answers, and whether its receipts come back here."""
    if bool(config.message_gateway_url) != bool(config.message_gateway_secrets):
        yield Finding(
            NAME, "wrong", "message_gateway_url and message_gateway_secrets belong together, and one is missing",
            "message_gateway_url 与 message_gateway_secrets 须同时设置，现缺一项",
            "set both, or none; the server does not start like this", "请同时设置或都不设置；如此服务器无法启动",
        )  # fmt: skip
        return
    if not config.message_gateway_url:
        yield _none(simulated=bool(config.clock_anchor))
        return
    try:
        secrets = secrets_of(Path(config.message_gateway_secrets))
    except ConfigError as error:
        yield Finding(
            NAME, "wrong", f"its secrets cannot be used: {error}", f"其密钥无法使用：{error_in_chinese(error)}",
            "name a file of mode 600 with one or two secrets, the same that the gateway has",
            "请指定权限600的文件，内含一或两个密钥，与网关一致",
        )  # fmt: skip
        return
    with httpx.Client(transport=transport, timeout=TIMEOUT_S, trust_env=False) as client:
        yield _asked(client, config.message_gateway_url)
        yield _way_back(client, config, secrets, estate_ids)


def _none(*, simulated: bool) -> Finding:
    if simulated:
        return Finding(NAME, "ok", "none is needed: the test channel of a simulated world delivers",
                       "无需网关：模拟世界由测试渠道送达")  # fmt: skip
    return Finding(
        NAME, "warning", "none is set up: a warning arrives when the household opens its page, or by hand, else nobody "
        "is cut", "未设短信网关：住户打开页面或人工送达才算送达，否则不会停电",
        "set message_gateway_url and message_gateway_secrets, give households a login, or note notices as given by "
        "hand on the page /notices",
        "请设置 message_gateway_url 和 message_gateway_secrets，或给住户开通登录，或在 /notices 页面登记人工送达",
    )  # fmt: skip


def _asked(client: httpx.Client, url: str) -> Finding:
    where = urlsplit(url).netloc
    try:
        status = client.head(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Finding(
            NAME, "wrong", f"{where} does not answer ({type(error).__name__})",
            f"{where}没有应答（{type(error).__name__}）",
            f"look at message_gateway_url, the name, the firewall and the gateway itself; messages wait up to a day, "
            f"nobody is cut without them; {BY_HAND[0]}",
            f"请检查 message_gateway_url、域名、防火墙和网关本身；消息最多等一天，未送达不停电；{BY_HAND[1]}",
        )  # fmt: skip
    if 300 <= status < 400:
        return Finding(
            NAME, "wrong", f"{where} sends elsewhere (HTTP {status}), and no message follows",
            f"{where}要求跳转（HTTP {status}），消息不会跟随",
            "name the address to which it leads in message_gateway_url", "请在 message_gateway_url 中填写跳转后的地址",
        )  # fmt: skip
    if status == httpx.codes.NOT_FOUND:
        return Finding(
            NAME, "unknown", f"{where} answers, but knows no such address without a message (HTTP 404)",
            f"{where}有应答，但不带消息时查无此地址（HTTP 404）",
            "compare message_gateway_url with what the gateway's people say", "请与网关方核对 message_gateway_url",
        )  # fmt: skip
    if status == TOO_MANY or (status >= 500 and status != httpx.codes.NOT_IMPLEMENTED):
        return Finding(
            NAME, "warning", f"{where} takes nothing now (HTTP {status})", f"{where}目前不收消息（HTTP {status}）",
            f"ask who runs it; messages wait for it, up to a day; {BY_HAND[0]}",
            f"请询问网关方；消息最多等一天；{BY_HAND[1]}",
        )  # fmt: skip
    return Finding(NAME, "ok", f"{where} answers (HTTP {status}); its secrets can be read, no message was sent",
                   f"{where}有应答（HTTP {status}）；密钥可读，未发送任何消息")  # fmt: skip


def _way_back(client: httpx.Client, config: Config, secrets: Sequence[bytes], estate_ids: Sequence[str]) -> Finding:
    if not config.public_url:
        return Finding(
            BACK, "wrong", f"public_url is not set, so the gateway is told a path alone ({RECEIPTS_PATH})",
            f"未设 public_url，网关只得到路径（{RECEIPTS_PATH}）",
            "set public_url to the address under which the gateway reaches this server",
            "请将 public_url 设为网关可以访问本服务器的地址",
        )  # fmt: skip
    hosts = [urlsplit(one).hostname for one in (config.public_url, config.message_gateway_url)]
    if hosts[0] in LOOPBACK and hosts[1] not in LOOPBACK:
        return Finding(
            BACK, "wrong", f"public_url is {config.public_url}, which only this machine reaches",
            f"public_url为{config.public_url}，只有本机能访问",
            "set public_url to the address under which the gateway reaches this server",
            "请将 public_url 设为网关可以访问本服务器的地址",
        )  # fmt: skip
    if not estate_ids:
        return Finding(BACK, "unknown", "without an estate no receipt can be tried", "尚无小区，无法试回执")
    url = f"{config.public_url.rstrip('/')}{RECEIPTS_PATH}"
    fields = {"kind": "receipt", "estate": estate_ids[0], "notice_id": NOBODYS_NOTICE, "state": "delivered"}
    body = json.dumps(fields).encode()
    try:
        answer = client.post(url, content=body, headers=signed_headers(secrets, body, now_s=int(time.time())))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Finding(
            BACK, "warning", f"{url} does not answer from here ({type(error).__name__})",
            f"从本机访问{url}没有应答（{type(error).__name__}）",
            "start the server, or look at public_url and the proxy", "请启动服务器，或检查 public_url 和反向代理",
        )  # fmt: skip
    return _judged(url, answer)


def _judged(url: str, answer: httpx.Response) -> Finding:
    said = answer.text[:2000]
    if answer.status_code == httpx.codes.NOT_FOUND and f"'{NOBODYS_NOTICE}'" in said:
        return Finding(
            BACK, "ok", f"a receipt reaches the server by {url}, tried from here with one for no notice",
            f"回执可经{url}到达服务器（已在本机用空回执试过）",
        )  # fmt: skip
    if answer.status_code == httpx.codes.NOT_FOUND and "no message gateway" in said:
        return Finding(
            BACK, "wrong", "the running server was started without this gateway", "运行中的服务器启动时还没有这个网关",
            "start it again, with these settings", "请用这些设置重新启动",
        )  # fmt: skip
    if answer.status_code == httpx.codes.BAD_REQUEST:
        return Finding(
            BACK, "wrong", "the server refuses a receipt signed with these secrets", "服务器拒收以这些密钥签名的回执",
            "start it again if the secrets were changed; see that the proxy passes body and headers on unchanged; "
            "set the clock right",
            "若更换过密钥请重新启动；确认反向代理原样转发内容和头部；校正时钟",
        )  # fmt: skip
    return Finding(
        BACK, "wrong", f"{url} answers HTTP {answer.status_code}, which is not this server",
            f"{url}应答HTTP {answer.status_code}，不是本服务器",
        f"let the proxy pass {RECEIPTS_PATH} on; gateways may not follow redirects, so public_url is the final address",
        f"请让反向代理转发{RECEIPTS_PATH}；网关未必跟随跳转，public_url须为最终地址",
    )  # fmt: skip


def waiting_notices(found: Sequence[Waiting]) -> Iterator[Finding]:
    """How many messages wait and since when, and how many have reached nobody."""
    for one in found:
        if one.messages:
            since, ours = _local(one.since or 0, one.time_zone), one.warnings
            because, because_zh = (f": {one.why}", f"：{in_chinese(one.why)}") if one.why else ("", "")
            yield Finding(
                NOTICES, "warning",
                f"messages that wait since {since}: {one.messages}; warnings before a cut among them: {ours}{because}",
                f"自{since}起有{one.messages}条消息在等待，其中{ours}条为停电预警{because_zh}",
                f"they go once the gateway takes them, and a running server sends them; {BY_HAND[0]}",
                f"网关恢复且服务器运行后即会发出；{BY_HAND[1]}",
            )  # fmt: skip
        if one.failed:
            yield Finding(
                NOTICES, "warning", f"notices of the last seven days that have reached nobody: {one.failed}",
                f"最近七天有{one.failed}条通知未送达任何人",
                "the page /notices lists them with the reason; give them by hand",
                "/notices 页面列出它们及原因；请人工送达",
            )  # fmt: skip
    if found and not any(one.messages or one.failed for one in found):
        yield Finding(NOTICES, "ok", "none waits", "没有通知在等待")


def _local(at_s: int, time_zone: str) -> str:
    try:
        zone: ZoneInfo | None = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone or UTC).strftime("%Y-%m-%d %H:%M")
