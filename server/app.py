"""The composition root: builds every part of one server process and starts and stops them in order.

    config -> clock, engine, writer, bell -> collector (own thread) -> jobs (threads) -> state of the web

HTTP runs around that state on the main loop, or in web processes that ask for it (`roles`). Nothing else constructs
these things. Stopping goes the other way round, so that what was read is kept and what was
accepted is answered.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from core.dlt645.search import Heard
from server.admin.operations import Operations
from server.admin.service import AdminSocket
from server.admin.wire import socket_path
from server.clock import Anchor, Clock, anchor_from_file, kernel_synchronised
from server.collect.dtu_listener import DtuSettings
from server.collect.dtu_registration import compile_registration
from server.collect.history import Recall
from server.collect.limits import raise_descriptors
from server.collect.passwords import Passwords
from server.collect.port import LineSettings
from server.collect.ports import check_world, is_simulated
from server.collect.supervisor import Supervisor
from server.collect.tally import BusStatus
from server.collect.work import BusPlan, Clocks
from server.config import Config
from server.domain.readings import MeterReading
from server.errors import ConfigError, Refused
from server.flows import notices as notice_flows
from server.jobs.anomalies import AnomalyJob
from server.jobs.clock_guard import ClockGuard
from server.jobs.clock_watch import ClockWatch
from server.jobs.collecting import FlowOrders, FlowSink, bus_plans
from server.jobs.debt_plans import DebtPlanJob
from server.jobs.heads import HeadsJob
from server.jobs.healing import HealingJob
from server.jobs.keep_power import KeepPowerJob
from server.jobs.ledger_watch import LedgerWatch
from server.jobs.months import MonthsJob
from server.jobs.notices import NoticeJob
from server.jobs.orders import OrderJob
from server.jobs.plans import PlansJob
from server.jobs.recharges import RechargeJob
from server.jobs.reconciliation import ReconciliationJob
from server.jobs.refunds import RefundJob
from server.jobs.refusals import KeptRefusals
from server.jobs.rerating import ReratingJob
from server.jobs.runner import Job, Runner
from server.jobs.schemes import SchemeJob
from server.jobs.sealing import SealingJob
from server.jobs.searching import BusSearches
from server.jobs.settlement import DayClose
from server.jobs.ticks import BillingTick
from server.keyring import Keyring, key_path, looked_at
from server.notify.gateway import open_gateway
from server.notify.sandbox import SandboxGateway, SandboxSender
from server.pay.opening import open_providers
from server.signing.ed25519 import load_private_key
from server.store.engine import open_engine, reader, upgrade
from server.store.estates import get_estate, list_estates
from server.store.ownership import claim
from server.store.passwords import stored_passwords
from server.store.readings import newest_contact_ms
from server.store.writer import Writer
from server.transport.memory import Bell
from server.vending import open_backend
from server.web.formats import Formats
from server.web.i18n import translations
from server.web.notice_words import told
from server.web.state import WebState

IMPORT_FIRST = (
    "run: estate645 import estate.toml --config FILE (docs/estate.example.toml of the sources is a complete example)"
)

ANSWER_WAITS_S = 2.0  # machine time; so long a busy machine may take to look at an answer

log = logging.getLogger("estate645")


class NoCollector:
    """Stands for the collector in a process that reads no meters (`collect = false`)."""

    def status(self) -> tuple[BusStatus, ...]:
        """No bus."""
        return ()

    def read_now(self, meter_id: str) -> Future[MeterReading]:
        """Say which process would have to read."""
        promise: Future[MeterReading] = Future()
        promise.set_exception(Refused("this server does not read meters; start one with collect = true"))
        return promise

    def wake(self, bus_id: str) -> None:
        """Nothing to wake."""


class Application:
    """One running head-end for one estate."""

    def __init__(self, config: Config) -> None:
        """Open storage and build every part; raises ConfigError or StorageUnavailable, and then nothing runs."""
        self.config = config
        self.clock = Clock(_anchor(config))
        self.engine: Engine = open_engine(config.database_url)
        _refuse_new_file(self.engine)
        upgrade(self.engine)
        self.estate_id, self._zone = _only_estate(self.engine)
        self._give_back = claim(self.engine)
        self.keyring = Keyring(key_path(config.meter_keys))
        self.writer = Writer(self.engine)
        refusals = KeptRefusals(self.engine, self.writer, self.estate_id, self._zone)
        self.passwords = Passwords(self._unlock, self._civil_now, refusals)
        self.bell = Bell()
        self.writer.subscribe(self.bell.ring)
        self.message_gateway = open_gateway(config, self.estate_id)
        # The sandbox invents receipts, which a cut goes by: only a simulated world may have it.
        simulated = bool(config.clock_anchor) and self.message_gateway is None
        self.sandbox = SandboxSender(SandboxGateway(self._on_receipt)) if simulated else None
        self.senders = {one.channel: one for one in (self.message_gateway, self.sandbox) if one is not None}
        self.providers = open_providers(config)
        self._guard = self._clock_guard()
        self.collector: Supervisor | None = None
        self.jobs = Runner(self._jobs())
        self.collector = self._collector() if config.collect else None
        self.searches = BusSearches(self._ask, self._lines) if self.collector is not None else None
        self.admin = self._admin()
        self.bell.listen("supply", self._on_supply)
        self.bell.listen("refund", lambda *_: self.jobs.poke("refunds"))
        if config.collect:
            self.bell.listen("recharge", lambda *_: self.jobs.poke("recharges"))
        self.bell.listen("rerate", lambda *_: self.jobs.poke("rerating"))
        if self.collector is not None:
            self.bell.listen("estate", lambda *_: self.jobs.poke("plans"))
        self.state = WebState(
            config=config,
            clock=self.clock,
            engine=self.engine,
            writer=self.writer,
            bell=self.bell,
            providers=self.providers,
            collector=self.collector or NoCollector(),
            estate_id=self.estate_id,
            clock_sane=self._guard.look,
            language=config.language,
            searches=self.searches,
            message_gateway=self.message_gateway,
        )

    def start(self) -> None:
        """Start the collector and the jobs, after the admin socket, whose place may be taken."""
        self._warn_of_passwords()
        if self.admin is not None:
            self.admin.start()
        self.jobs.start()
        if self.collector is not None:
            self.collector.start()

    def stop(self) -> None:
        """Stop reading, then the jobs, then writing; what was read is kept first."""
        if self.searches is not None:
            self.searches.stop()
        if self.admin is not None:
            self.admin.stop()
        if self.collector is not None:
            self.collector.stop()
        self.jobs.stop()
        if self.sandbox is not None:
            self.sandbox.gateway.close()
        self.writer.stop()
        self._give_back()
        self.engine.dispose()

    def _collector(self) -> Supervisor:
        factor = self.clock.anchor.factor
        with reader(self.engine) as connection:
            site = get_estate(connection, self.estate_id)
            plans = bus_plans(connection, self.estate_id)
        raise_descriptors(len(plans))
        for plan in plans:
            check_world(factor, site["command_ttl_s"], plan.url)
        poke = partial(self.jobs.poke, "billing")
        parts = (self.writer, self.clock, self.estate_id)
        sink = FlowSink(*parts, on_readings=poke, may_time=lambda: self._guard.may_time)
        orders = FlowOrders(self.engine, self.writer, self.clock, self.estate_id, clock_sane=self._guard.look)
        clocks = Clocks(
            world_now=self.clock.world_seconds,
            machine_ms=self.clock.machine_ms,
            factor=factor,
            time_zone=site["time_zone"],
            heard=self._guard.hear,
        )
        return Supervisor(
            plans, sink, orders, clocks, dtus=_dtus(self.config, local_only=factor > 1), unlock=self.passwords
        )

    def _clock_guard(self) -> ClockGuard:
        """A scaled world has a clock of its own, which nobody keeps."""
        if self.config.clock_anchor:
            return ClockGuard(synchronised=lambda: None, waits_s=ANSWER_WAITS_S * self.clock.anchor.factor)
        guard = ClockGuard(synchronised=kernel_synchronised)
        if self.config.collect:
            with reader(self.engine) as connection:
                guard.look_at_past(newest_contact_ms(connection, self.estate_id))
        return guard

    def _ask_clocks(self) -> None:
        """Let meters be asked for the time, where this process reads them."""
        if self.collector is not None:
            self.collector.ask_clocks()

    def _unlock(self, meter_id: str, stored: str) -> str:
        """The password of a meter, for the moment in which it is sent."""
        return self.keyring.unlock(self.estate_id, meter_id, stored)

    def _civil_now(self) -> datetime:
        """World time in the zone of the estate."""
        return datetime.fromtimestamp(self.clock.now().world_s, self._zone)

    def _warn_of_passwords(self) -> None:
        """Say at the start what cannot be controlled, and what is not locked."""
        with reader(self.engine) as connection:
            look = looked_at(stored_passwords(connection, self.estate_id), self._unlock)
        if look.plain:
            log.warning("%d meter passwords are not locked; set meter_keys and run: estate645 rekey", look.plain)
        if look.unopened:
            log.error("%d meters are read but cannot be controlled: %s", len(look.unopened), look.why)

    def _admin(self) -> AdminSocket | None:
        """The admin socket beside an SQLite file; on PostgreSQL commands reach the database themselves."""
        path = socket_path(self.config.database_url)
        if path is None:
            return None
        parts = (self.engine, self.writer, self.clock, self.estate_id, self.collector)
        return AdminSocket(path, Operations(*parts, self.keyring, self.passwords).all())

    def _replan(self, plans: Sequence[BusPlan]) -> None:
        """Let the collector read these buses and meters."""
        if self.collector is not None:
            self.collector.follow(plans)

    def _words(self, kind: str, arguments: Mapping[str, Any], language: str) -> str:
        """A notice in the language of its reader."""
        with reader(self.engine) as connection:
            site = get_estate(connection, self.estate_id)
        gettext = translations(language).gettext
        formats = Formats(gettext, site["time_zone"], self.clock.now().world_s)
        protected = (site["protected_from_min"], site["protected_to_min"])
        return told(kind, arguments, formats, gettext, protected, site["phone"])

    def _lines(self) -> dict[str, LineSettings]:
        """The line of every bus that is being read."""
        return {} if self.collector is None else {plan.bus_id: plan.line for plan in self.collector.plans}

    def _ask(self, bus_id: str, command: Any, linger_s: float = 0.0) -> Future[Heard]:
        """Send a command in the lane of its bus."""
        if self.collector is None:
            raise Refused("this server does not read meters")
        return self.collector.ask(bus_id, command, linger_s)

    def _jobs(self) -> list[Job]:
        parts = (self.engine, self.writer, self.clock, self.estate_id)
        heads = self._heads()
        own: list[Job] = [
            ClockWatch(*parts, guard=self._guard, ask_clocks=self._ask_clocks),
            BillingTick(*parts, guard=self._guard),
            NoticeJob(*parts, senders=self.senders, render=self._words),
            AnomalyJob(*parts, may_time=lambda: self._guard.may_time),
            SchemeJob(*parts),
            KeepPowerJob(*parts, clock_sane=self._guard.look),
            LedgerWatch(*parts, heads=(heads[1], heads[0].public_key()) if heads else None),
            ReratingJob(*parts),
            OrderJob(*parts, providers=self.providers),
            ReconciliationJob(*parts, providers=self.providers),
            RefundJob(*parts, providers=self.providers, public_url=self.config.public_url),
            SealingJob(*parts),
            DayClose(*parts, clock_sane=self._guard.look),
            DebtPlanJob(*parts, clock_sane=self._guard.look),
            MonthsJob(self.engine, self.writer, self.clock),
            *([HeadsJob(self.engine, self.writer, self.clock, *heads)] if heads else []),
            HealingJob(self.engine, self.clock, self.estate_id, self._recall),
        ]
        if not self.config.collect:
            return own
        backend = open_backend(self.config.vending_backend)
        money = RechargeJob(*parts, ask=self._ask, backend=backend, is_simulated=is_simulated, unlock=self.passwords)
        return [*own, money, PlansJob(self.engine, self.estate_id, self._replan)]

    def _heads(self) -> tuple[Ed25519PrivateKey, Path] | None:
        """By which key heads are signed and into which file; None unless both are set."""
        key, path = self.config.heads_key, self.config.heads_file
        if bool(key) != bool(path):
            raise ConfigError("heads_key and heads_file belong together; set both or none")
        return (load_private_key(Path(key)), Path(path)) if key else None

    def _recall(self, bus_id: str, wanted: Sequence[Recall]) -> None:
        """Ask about the past, where this process reads meters."""
        if self.collector is not None:
            self.collector.recall(bus_id, wanted)

    def _on_receipt(self, notice_id: str, signature: str) -> None:
        """A channel says that the person has the notice; a receipt that the channel did not sign is dropped."""
        if self.sandbox is None or not self.sandbox.is_genuine(notice_id, signature):
            log.warning("a receipt for notice %s has a wrong signature", notice_id)
            return
        self.writer.run(lambda unit: notice_flows.mark_delivered(unit, self.estate_id, notice_id, self.clock.now()))

    def _on_supply(self, _topic: str, bus_id: str) -> None:
        if self.collector is not None:
            self.collector.wake(bus_id)


def _anchor(config: Config) -> Anchor | None:
    return anchor_from_file(Path(config.clock_anchor)) if config.clock_anchor else None


def _dtus(config: Config, *, local_only: bool) -> DtuSettings | None:
    """How DTUs dial in, or None where nobody may."""
    if not config.dtu_listen:
        return None
    host, _, port = config.dtu_listen.rpartition(":")
    return DtuSettings(
        host=host.strip("[]"),
        port=int(port),
        registration=compile_registration(config.dtu_registration) if config.dtu_registration else None,
        heartbeats=config.dtu_heartbeats,
        networks=tuple(ip_network(one) for one in config.dtu_allow),
        local_only=local_only,
    )


def _only_estate(engine: Engine) -> tuple[str, ZoneInfo]:
    """The estate that this process serves, and its time zone; ConfigError when the database holds none."""
    with reader(engine) as connection:
        estates = list_estates(connection)
    if not estates:
        raise ConfigError(f"the database holds no estate yet; {IMPORT_FIRST}")
    return str(estates[0]["estate_id"]), ZoneInfo(estates[0]["time_zone"])


def _refuse_new_file(engine: Engine) -> None:
    """Serving makes no database: an SQLite file that is not there is refused, and not created to be empty."""
    path = engine.url.database or ""
    if engine.dialect.name == "sqlite" and not Path(path).exists():
        raise ConfigError(f"there is no database {path}, so there is no estate yet; {IMPORT_FIRST}")
