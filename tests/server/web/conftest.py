"""One small estate behind the web: two households, a person of each role, an API client, a fixed clock."""

import itertools
import shutil
import socket
from concurrent.futures import Future
from dataclasses import dataclass, replace

import httpx
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import Clock, Now
from server.collect.tally import BusStatus
from server.collect.work import MeterUnread
from server.config import Config
from server.domain.readings import MeterReading
from server.pay.sandbox import SandboxProvider
from server.pay.sandbox_provider.app import Desk, create_provider
from server.pay.sandbox_provider.delivery import Delivery
from server.pay.sandbox_provider.seal import fingerprint
from server.roles import desk as roles
from server.roles.remote import RemoteCollector, RemoteWriter
from server.store import schema
from server.store.engine import open_engine
from server.store.writer import Writer
from server.transport.channel import Channel
from server.transport.memory import Bell
from server.web.site import create_site
from server.web.state import WebState
from tests.server.web.browsing import ORIGIN, PASSWORD, Client

ESTATE = "cuihu"
WORLD_S = 1_791_853_500  # Tuesday 2026-10-13 09:05 in Shanghai
MACHINE_MS = 1_790_000_000_000
ROLES = ("admin", "operator", "cashier", "reader", "resident", "kiosk")
SECRET = "third-party-secret"
_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""The decided parameters take 35 ms of a core at every sign-in."""


class FixedClock(Clock):
    """Stands still until it is moved."""

    def __init__(self):
        super().__init__()
        self.at = Now(WORLD_S, MACHINE_MS)
        self.sane = True

    def now(self):
        return self.at

    def move(self, seconds):
        self.at = Now(self.at.world_s + seconds, self.at.machine_ms + seconds * 1000)


BUS = BusStatus("bus1", "/dev/ttyUSB0", True, True, 2, 0, 10, 1, 0, 0, 0, "", None, 41.5, None)


class Collector:
    """Answers on-demand reads at once; the second meter is silent."""

    def __init__(self):
        self.woken = []

    def status(self):
        return [BUS]

    def read_now(self, meter_id):
        answer = Future()
        if meter_id == "000000000002":
            answer.set_exception(MeterUnread(f"meter {meter_id} did not answer in time"))
        else:
            answer.set_result(MeterReading(meter_id, WORLD_S, MACHINE_MS, 1_234_560))
        return answer

    def wake(self, bus_id):
        self.woken.append(bus_id)


class Provider(httpx.AsyncBaseTransport):
    """The payment provider, built for the tests that speak to it."""

    def __init__(self, desk):
        self._desk, self._app = desk, None

    async def handle_async_request(self, request):
        self._app = self._app or httpx.ASGITransport(create_provider(self._desk))
        return await self._app.handle_async_request(request)


@dataclass
class Web:
    """The site under test with everything around it."""

    state: WebState
    site: object
    clock: FixedClock
    desk: Desk
    provider_key: Ed25519PrivateKey
    merchant_key: Ed25519PrivateKey
    clients: list
    line: list

    def client(self, **kwargs):
        client = Client(self.site, **kwargs)
        self.clients.append(client)
        return client

    def signed_in(self, role):
        client = self.client()
        answer = client.sign_in(role)
        assert answer.status_code == 303, answer.text
        return client

    def csrf(self, login):
        rows = self.rows(
            schema.login_session.join(schema.app_user, schema.login_session.c.user_id == schema.app_user.c.user_id)
            .select()
            .where(schema.app_user.c.login == login)
        )
        return {"X-CSRF-Token": rows[-1]["csrf"]}

    def rows(self, query):
        with self.state.engine.connect() as conn:
            return [dict(row) for row in conn.execute(query).mappings()]

    def execute(self, statement):
        self.state.writer.run(lambda unit: unit.connection.execute(statement) and None)


def apart(state):
    """What the site has in a process of its own, and the line: all that it writes and asks travels over it."""
    desk = roles.Desk(state)
    handlers = (desk.handlers(), {})
    line = [Channel(end, own, lambda: None) for end, own in zip(socket.socketpair(), handlers, strict=True)]
    for end in line:
        end.start()
    collector = RemoteCollector(line[1])
    writer = RemoteWriter(line[1], state.bell)
    return replace(state, writer=writer, collector=collector, clock_sane=collector.clock_sane), [*line, desk]


def seed(conn):
    """The rows that an import would write."""

    def put(table, **values):
        conn.execute(table.insert().values(estate_id=ESTATE, **values))

    put(schema.estate, name="翠湖苑", time_zone="Asia/Shanghai")
    put(schema.building, building_id="1", name="1 栋")
    put(schema.bus, bus_id="bus1", url="/dev/ttyUSB0")
    for number, door in enumerate(("1-101", "1-102"), 1):
        meter_id = f"{number:012d}"
        put(schema.room, room_id=door, building_id="1", floor=1, door=door[-2:])
        put(schema.account, account_id=f"A{number}", kind="household", room_id=door, holder="=张三", status="normal")
        put(
            schema.meter, meter_id=meter_id, bus_id="bus1", account_id=f"A{number}", room_id=door,
            start_wh=0, installed_at=WORLD_S - 86_400,
        )  # fmt: skip
        put(schema.supply, meter_id=meter_id)
        put(schema.meter_live, meter_id=meter_id, contact_at=WORLD_S, total_wh=5000, power_mw=860_000)
        put(schema.register_day, meter_id=meter_id, day="2026-10-13", first_wh=1000, total_wh=5000, read_at=WORLD_S)
    for role in ROLES:
        account_id = "A1" if role == "resident" else None
        put(schema.app_user, user_id=role, login=role, password_hash=_HASH, role=role, name=role, account_id=account_id)
    scopes = "topups.write"
    put(schema.api_client, client_id="partner", name="Partner", secret=SECRET, scopes=scopes)


@pytest.fixture
def provider_keys():
    return Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def estate_template(sqlite_template, tmp_path_factory):
    """A migrated SQLite file with the seeded estate."""
    path = tmp_path_factory.mktemp("web") / "estate.db"
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as conn:
        seed(conn)
    engine.dispose()
    return path


@pytest.fixture
def make_web(tmp_path, estate_template, provider_keys):
    """Builds a web with other settings; everything is closed at the end."""
    made = []
    numbers = itertools.count()

    def make(**settings):
        path = tmp_path / f"web{next(numbers)}.db"
        shutil.copyfile(estate_template, path)
        engine = open_engine(f"sqlite:///{path}")
        writer = Writer(engine)
        clock, bell = FixedClock(), Bell()
        writer.subscribe(bell.ring)
        merchant_key, provider_key = provider_keys
        delivery = Delivery(provider_key, fingerprint(merchant_key.public_key()), waits_s=())
        desk = Desk(provider_key, merchant_key.public_key(), delivery)
        transport = Provider(desk)
        sandbox = SandboxProvider("http://payer.test", merchant_key, provider_key.public_key(), transport=transport)
        state = WebState(
            config=replace(Config(public_url=ORIGIN), **settings),
            clock=clock,
            engine=engine,
            writer=writer,
            bell=bell,
            providers={"sandbox": sandbox},
            collector=Collector(),
            estate_id=ESTATE,
            clock_sane=lambda: clock.sane,
            language="en",
        )
        theirs, line = apart(state)
        web = Web(state, create_site(theirs), clock, desk, provider_key, merchant_key, [], line)
        made.append(web)
        return web

    yield make
    for web in made:
        for client in web.clients:
            client.close()
        web.site.state.passwords.close()
        for end in web.line:
            end.close()
        web.state.writer.stop()
        web.state.engine.dispose()


@pytest.fixture
def web(make_web):
    return make_web()
