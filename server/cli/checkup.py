"""The checks of `estate645 doctor`: each looks at one thing and says what is wrong with it and how to mend it.

A `Finding` is ok, a warning (it works, with a risk that is named), wrong (something will not work), or unknown (this
machine does not tell). Texts come as English and Chinese.
"""

import asyncio
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.cli.languages import error_in_chinese, in_chinese
from server.cli.lines import is_networked, opened
from server.clock import kernel_synchronised
from server.collect.limits import descriptors_needed
from server.collect.port import LineSettings, PortError
from server.config import Config
from server.domain.calendar import ProtectedTimes, protected_because
from server.domain.clock_doubt import ahead_s
from server.keyring import Keyring, Look
from server.store.privileges import WORKING_ROLE, Privileges, grants

State = Literal["ok", "warning", "wrong", "unknown"]
DISK_LOW_MB, DISK_FULL_MB = 2048, 256
JUMP_MS = 5000
WAITING_MAX = 1000
NTP_S = 5
SECRETS = (
    "meter_keys",
    "sandbox_merchant_key",
    "wechat_merchant_key",
    "wechat_apiv3_key",
    "alipay_app_key",
    "hmac_secrets",
    "message_gateway_secrets",
    "heads_key",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    en: str
    zh: str
    mend_en: str = ""
    mend_zh: str = ""


def settings(config: Config, path: Path | None) -> Iterator[Finding]:
    """Files that hold secrets are their owner's alone."""
    yield Finding("settings", "ok", "every key is known and allowed", "所有设置项均有效")
    held = {"settings file": path} if path is not None and "@" in config.database_url else {}
    named: dict[str, Path] = {name: Path(value) for name in SECRETS if (value := getattr(config, name, ""))}
    for name, secret in {**named, **{key: value for key, value in held.items() if value is not None}}.items():
        try:
            mode = stat.S_IMODE(secret.stat().st_mode)
        except OSError as error:
            yield Finding(
                name, "wrong", f"{secret}: {error.strerror}", f"{secret}无法读取",
                "name an existing file that this user may read", "请指定本用户可读的文件",
            )  # fmt: skip
            continue
        if mode & 0o077:
            yield Finding(
                name, "wrong", f"{secret} may be read by others (mode {mode:o})", f"{secret}可被他人读取（{mode:o}）",
                f"chmod 600 {secret}", f"执行 chmod 600 {secret}",
            )  # fmt: skip
        else:
            yield Finding(name, "ok", f"{secret} has mode {mode:o}", f"{secret}权限{mode:o}")


def passwords(look: Look, keyring: Keyring) -> Iterator[Finding]:
    """Meter passwords are locked, and the keys that are there open them."""
    if look.unopened:
        yield Finding(
            "meter passwords", "wrong", f"{len(look.unopened)} meters cannot be controlled: {look.why}",
            f"{len(look.unopened)}只电表无法控制：{in_chinese(look.why)}",
            "put the key file back (meter_keys), or import these meters with their passwords again",
            "请恢复密钥文件（meter_keys），或重新导入这些电表及其密码",
        )  # fmt: skip
    if look.plain:
        yield Finding(
            "meter passwords", "warning", f"{look.plain} lie in the database as they are", f"{look.plain}个密码未加密",
            "set meter_keys, then run: estate645 rekey --new", "请设置 meter_keys，再执行 estate645 rekey --new",
        )  # fmt: skip
    if look.locked and not look.unopened:
        name = keyring.names[0]
        yield Finding("meter passwords", "ok", f"{look.locked} are locked, key {name} is there",
                      f"{look.locked}个已加密，密钥{name}可用")  # fmt: skip


def rewriting(held: Privileges) -> Iterator[Finding]:
    """The role of the server cannot rewrite the journal, with triggers or without."""
    if held.separate:
        yield Finding(
            "privileges", "ok", f"role {held.role} may add to the journal, not change it",
            f"角色{held.role}只能追加账本，不能修改",
        )  # fmt: skip
        return
    if held.lacking and not (held.superuser or held.owns or held.excess):
        yield Finding(
            "privileges", "wrong", f"role {held.role} lacks {', '.join(held.lacking[:3])}",
            f"角色{held.role}缺少权限：{'、'.join(held.lacking[:3])}",
            f"as {held.owner}: {'; '.join(grants(held.schema, held.quoted))};",
            f"以{held.owner}执行：{'; '.join(grants(held.schema, held.quoted))};",
        )  # fmt: skip
        return
    why, why_zh = "it owns the tables", "它拥有这些表"
    if held.superuser:
        why, why_zh = "it is a superuser", "它是超级用户"
    elif not held.owns:
        why, why_zh = f"it has {', '.join(held.excess[:3])}", f"它有权限：{'、'.join(held.excess[:3])}"
    role = WORKING_ROLE if held.superuser or held.owns else held.quoted
    made = [f"CREATE ROLE {role} LOGIN PASSWORD '...'"] if role == WORKING_ROLE else []
    sql = "; ".join([*made, *grants(held.schema, role)])
    yield Finding(
        "privileges", "warning", f"role {held.role} may rewrite the journal: {why}; only the triggers stop it",
        f"角色{held.role}可以改写账本：{why_zh}，目前仅靠触发器阻止",
        f"as {held.owner}: {sql}; then let database_url name {role} (estate645 migrate --role {role} does the same)",
        f"以{held.owner}执行：{sql}; 然后在 database_url 中使用{role}（estate645 migrate --role {role} 效果相同）",
    )  # fmt: skip


def months(waiting: Mapping[str, int]) -> Iterator[Finding]:
    """No line or reading waits outside the months of its table; those of PostgreSQL."""
    for kind, count in waiting.items():
        if count:
            shown = f"{count}" if count < WAITING_MAX else f"{WAITING_MAX} or more"
            yield Finding(
                "months", "warning", f"{shown} rows wait in {kind}_rest, since their month was not added in time",
                f"{kind}_rest中有{count}行在等待，其月份未及时建好",
                "the running server adds months and moves them, unless somebody reads for hours or the clock ran away",
                "运行中的服务器会建好月份并移动它们，除非有人长时间读取或时钟跑偏",
            )  # fmt: skip
    if waiting and not any(waiting.values()):
        yield Finding("months", "ok", "every line and reading lies in its month", "每一行和每个读数都在其月份中")


def disk(database: Path) -> Iterator[Finding]:
    """The folder can be written and has room."""
    folder = database.resolve().parent
    if not os.access(folder, os.W_OK) or (database.exists() and not os.access(database, os.W_OK)):
        yield Finding(
            "database", "wrong", f"{database} cannot be written by this user", f"本用户无法写入{database}",
            f"run this as the user of the server, or chown it and {folder}",
            f"请用服务器的用户运行，或修改{folder}的属主",
        )  # fmt: skip
    free_mb = shutil.disk_usage(folder).free // 2**20
    state: State = "wrong" if free_mb < DISK_FULL_MB else "warning" if free_mb < DISK_LOW_MB else "ok"
    mend = ("", "") if state == "ok" else ("make room; a full disk stops every cut and every reading", "请清理磁盘空间")
    yield Finding("disk", state, f"{free_mb} MB free in {folder}", f"{folder}剩余{free_mb} MB", *mend)


@dataclass(frozen=True, slots=True)
class ServedBus:
    """A bus as a running server tells of it; one of an older release does not say how it is doing."""

    is_open: bool
    waits: bool
    trouble: str
    meters: int
    silent_meters: int

    @classmethod
    def told(cls, bus: Mapping[str, Any]) -> "ServedBus":
        """From the admin socket."""
        figures = (int(bus.get(name, 0)) for name in ("meters", "silent_meters"))
        return cls(bool(bus.get("open", True)), bool(bus.get("waiting")), str(bus.get("trouble", "")), *figures)


def ports(buses: Sequence[tuple[str, str, LineSettings]], held: Mapping[str, ServedBus]) -> Iterator[Finding]:
    """Each port opens, is nobody else's, and does what it was told; of its own a running server tells."""
    for bus_id, url, line in buses:
        subject = f"bus {bus_id}"
        if bus_id in held:
            yield _served(subject, url, held[bus_id])
        elif url.startswith("dtu://"):
            yield Finding(
                subject, "unknown", f"{url} dials in; only a server hears it", f"{url}由DTU拨入，仅服务器可见"
            )
        else:
            yield asyncio.run(_port(subject, url, line))


def _served(subject: str, url: str, bus: ServedBus) -> Finding:
    if bus.waits:
        return Finding(subject, "warning", f"the running server waits for {url} to dial in", f"服务器在等待{url}拨入")
    if not bus.is_open:
        why = PortError(bus.trouble or f"{url}: the port is closed")
        return Finding(
            subject, "wrong", f"the running server has not opened it: {why}",
            f"运行中的服务器未能打开：{error_in_chinese(why)}", "it tries again by itself once that is mended",
            "排除后服务器会自行重试",
        )  # fmt: skip
    if bus.meters and bus.silent_meters == bus.meters:
        return Finding(
            subject, "wrong", f"{url} is open in the running server, and none of its {bus.meters} meters answers",
            f"{url}由运行中的服务器使用，其{bus.meters}只表均无应答",
            "look at power, A and B, speed and parity (estate645 scan, with the server stopped, tries others)",
            "检查供电、A/B线、波特率和校验（停止服务器后用estate645 scan尝试其他参数）",
        )  # fmt: skip
    return Finding(subject, "ok", f"{url} is open in the running server", f"{url}由运行中的服务器使用")


async def _port(subject: str, url: str, line: LineSettings) -> Finding:
    try:
        async with opened(url, line, 1000) as bus:
            parity = bus.port_status.parity_effective
    except PortError as error:
        return Finding(subject, "wrong", str(error), f"无法打开：{error_in_chinese(error)}")
    setting = f"{line.baud} 8{line.parity}{line.stop_bits}"
    if parity is None:
        where = "its line settings are the serial server's" if is_networked(url) else "it does not tell its parity"
        return Finding(subject, "unknown", f"{url} opens; {where}", f"{url}可打开；线路参数由串口服务器决定")
    if line.parity != "N" and not parity:
        return Finding(
            subject, "warning", f"{url} opens, but parity {line.parity} is not on (a pseudo-terminal has none)",
            f"{url}可打开，但{line.parity}校验未生效（伪终端没有校验）",
            "nothing on a simulator; on real meters use an adapter that has parity",
            "模拟器上无需处理；真表请换支持校验的转换器",
        )  # fmt: skip
    return Finding(subject, "ok", f"{url} opens at {setting}, read back", f"{url}以{setting}打开，已回读")


def clock(now_ms: int, newest_ms: int | None) -> Iterator[Finding]:
    """The clock is kept by somebody and has not gone back behind what was written."""
    synchronised = _synchronised()
    if synchronised is None:
        yield Finding(
            "clock", "unknown", "this machine does not tell whether its clock is synchronised", "无法得知是否已对时",
            "make sure that chrony, ntpd or systemd-timesyncd runs here or on the host",
            "请确认本机或宿主机运行对时服务",
        )  # fmt: skip
    elif synchronised:
        yield Finding("clock", "ok", "synchronised", "已对时")
    else:
        yield Finding(
            "clock", "warning", "not synchronised; a wrong clock makes meters refuse commands",
            "未对时，电表可能拒绝命令",
            "timedatectl set-ntp true, or run chrony", "执行 timedatectl set-ntp true，或运行chrony",
        )  # fmt: skip
    if newest_ms is not None and newest_ms > now_ms + JUMP_MS:
        behind_s = (newest_ms - now_ms) // 1000
        yield Finding(
            "clock", "wrong", f"{behind_s} s behind the newest entry of the database: it was put back",
            f"比数据库最新记录慢{behind_s}秒，时钟被拨回",
            "set the right time and date before the server starts again", "请先校正时间再启动服务器",
        )  # fmt: skip


def clock_doubt(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """What a running server has found out about its clock; the case that it holds open."""
    off_s, count = ahead_s(evidence), evidence.get("meters_ahead", 0)
    if count:
        yield Finding(
            "clock", "wrong", f"{count} meters were charged by times that are still to come and are charged no further",
            f"{count}只电表按尚未到来的时刻计过费，不再继续计费",
            "correct their households by hand, and exchange each meter for itself with the register that it shows",
            "请人工更正这些住户，并按表上的表底将电表换为其自身",
        )  # fmt: skip
        return
    en, zh = "the server's clock jumped or went back", "服务器时钟发生跳变或倒退"
    if off_s:
        heard, alike = evidence.get("clocks_heard", 0), evidence.get("clocks_alike", 0)
        way, way_zh = ("ahead of", "快") if off_s > 0 else ("behind", "慢")
        ahead = f"{abs(off_s)} s {way} the clocks of {alike} of {heard} meters"
        en = f"{ahead}: readings are held, nothing is charged or cut"
        zh = f"比{heard}只电表中{alike}只的时钟{way_zh}{abs(off_s)}秒：读数暂不采用，不计费、不停电"
    yield Finding(
        "clock", "wrong", en, zh,
        "set it (timedatectl set-ntp true, or chrony): what was held is charged then, no restart is needed; if it is "
        "right, set the meters' clocks",
        "请校正服务器时钟（timedatectl set-ntp true 或chrony），之后自动补计，无需重启；如服务器无误，请校正电表时钟",
    )  # fmt: skip


def _synchronised() -> bool | None:
    """What systemd knows; the kernel where it is not there to ask, None where neither tells."""
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NTP_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return kernel_synchronised()
    return {"yes": True, "no": False}.get(done.stdout.strip())


def zone(name: str, now_s: int) -> Iterator[Finding]:
    """The estate's time zone is known, and the holidays of the year."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        yield Finding(
            "time zone", "wrong", f"{name} is not known to this machine", f"本机没有时区{name}",
            "install tzdata (pip install tzdata, or the package of the system)", "请安装tzdata",
        )  # fmt: skip
        return
    yield Finding("time zone", "ok", name, name)
    if protected_because(ProtectedTimes(name, 0, 0, weekends=False), now_s) == "unknown_year":
        yield Finding(
            "holidays", "warning", "the holidays of this year are not known, so nobody is cut",
            "缺少今年节假日，不会停电",
            "pip install -U chinesecalendar", "执行 pip install -U chinesecalendar",
        )  # fmt: skip


def limits(buses: int) -> Iterator[Finding]:
    """There are file descriptors for every port."""
    needed = descriptors_needed(buses)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield Finding(
            "limits", "wrong", f"{buses} buses need {needed} file descriptors, the hard limit is {hard}",
            f"{buses}条总线需要{needed}个文件描述符，硬上限为{hard}",
            f"ulimit -Hn {needed} as root, or LimitNOFILE={needed} in the systemd unit",
            f"以root执行 ulimit -Hn {needed}，或在systemd单元中设LimitNOFILE={needed}",
        )  # fmt: skip
    else:
        shown = "∞" if hard == resource.RLIM_INFINITY else str(hard)
        yield Finding(
            "limits",
            "ok",
            f"{needed} file descriptors needed, hard limit {shown}",
            f"需要{needed}个文件描述符，上限{shown}",
        )
