"""HTTP in processes of its own: what is paid is booked once, whichever process is killed, and none is left behind."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest

from tests.e2e.hall import METERS, end, estate, serve
from tests.e2e.processes import estate645, wait_until

PASSWORD = "a long password"
USER = f"""
[[user]]
login = "LOGIN"
password = "{PASSWORD}"
role = "LOGIN"
name = "LOGIN"
"""
FEN = 700
ENDS_S = 5.0


class Site:
    """A server of one household that reads no meters, and what it was paid."""

    def __init__(self, folder):
        self.folder, self.tried, self.done = folder, [], set()
        users = "".join(USER.replace("LOGIN", login) for login in ("cashier", "operator"))
        (folder / "estate.toml").write_text(estate("/dev/null", METERS[:1], more=users))
        (folder / "server.toml").write_text('database_url = "sqlite:///hall.db"\nport = 0\ncollect = false\n')
        done = estate645("import", "estate.toml", "--database", f"sqlite:///{folder}/hall.db", cwd=folder)
        assert done.returncode == 0, done.stderr

    def start(self, processes):
        os.environ["ESTATE645_WEB_PROCESSES"] = str(processes)
        try:
            self.server, said = serve(self.folder, "--config", "server.toml")
        finally:
            del os.environ["ESTATE645_WEB_PROCESSES"]
        self.url, self.web_pids = said["url"], said["web_pids"]
        assert said["pid"] == self.server.pid

    @contextmanager
    def people(self, login):
        """A signed-in browser."""
        with httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=30) as http:
            assert http.post("/login", data={"login": login, "password": PASSWORD}).status_code == 303
            http.headers["X-CSRF-Token"] = http.get("/api/v1/session").json()["csrf"]
            yield http

    def sell(self, http, key):
        """Whether the sale was answered for."""
        wish = {"account_id": "H1", "amount_fen": FEN, "sale_id": key}
        try:
            answer = http.post("/api/v1/counter/sales", json=wish)
        except httpx.TransportError:
            return False
        assert answer.status_code == 201, answer.text
        return True

    @contextmanager
    def selling(self):
        """Sales one after the other meanwhile; those without an answer are left for a second try."""
        leave, before = threading.Event(), len(self.done)

        def work():
            with self.people("cashier") as http:
                while not leave.is_set():
                    key = f"sale{len(self.tried):028d}"
                    self.tried.append(key)
                    if self.sell(http, key):
                        self.done.add(key)
                    else:
                        time.sleep(0.05)

        seller = threading.Thread(target=work)
        seller.start()
        wait_until(lambda: len(self.done) >= before + 5 or not seller.is_alive(), "five sales")
        try:
            yield
        finally:
            leave.set()
            seller.join(60)

    def settle(self):
        """Try again what was not answered, then look that everything was booked once."""
        with self.people("cashier") as http:
            assert all(self.sell(http, key) for key in self.tried)
        with closing(sqlite3.connect(self.folder / "hall.db")) as books:
            (orders,) = books.execute("SELECT count(*) FROM payment_order WHERE status = 'paid'").fetchone()
            (balance,) = books.execute("SELECT balance_fen FROM account WHERE account_id = 'H1'").fetchone()
        assert (orders, balance) == (len(self.tried), FEN * len(self.tried))

    def end(self):
        said = end(self.server, signal.SIGTERM)
        return self.server.returncode, said


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("hall"))
    yield made
    if made.server.poll() is None:
        made.server.kill()
        made.server.communicate()


def test_a_killed_web_process_costs_nobody_money_and_another_takes_its_place(site):
    site.start(2)
    assert len(set(site.web_pids)) == 2
    assert is_alive(site.web_pids[0])
    with site.selling():
        for pid in site.web_pids:
            before = len(site.done)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda before=before: len(site.done) > before + 3, "sales go on")
    site.settle()
    with site.people("operator") as http:
        assert http.get("/today").status_code == 200
        assert http.get("/readyz").json()["writer"] == "ok"


def test_wrong_passwords_count_over_all_web_processes(site):
    for password in ["no"] * 5 + [PASSWORD] * 4:
        form = {"login": "operator", "password": password}
        assert httpx.post(f"{site.url}/login", data=form, headers={"Origin": site.url}).status_code == 401


def test_a_page_hears_what_another_process_has_committed(site):
    with site.people("cashier") as http, http.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        key = f"sale{len(site.tried):028d}"
        site.tried.append(key)
        with site.people("cashier") as other:
            assert site.sell(other, key)
        assert any("H1" in line for line in lines)
    site.settle()


def test_what_was_paid_is_on_the_next_page_whichever_process_makes_it(site):
    """Pages of one household are read from the database; only the wall may lag, as long as a ring travels."""
    with site.people("cashier") as http, ExitStack() as opened:
        kept = {"base_url": site.url, "cookies": http.cookies, "timeout": 30}
        others = [opened.enter_context(httpx.Client(**kept)) for _ in range(12)]  # a connection each
        assert all(one.get("/wall").status_code == 200 for one in others)
        key = f"sale{len(site.tried):028d}"
        site.tried.append(key)
        assert site.sell(http, key)
        balance_fen = FEN * len(site.tried)
        for one in others:
            assert one.get("/api/v1/households/H1").json()["balance_fen"] == balance_fen
            assert f"¥{balance_fen / 100:.2f}" in one.get("/households/H1").text
        wait_until(lambda: all(f":{balance_fen}:" in one.get("/wall").text for one in others), "the walls follow")
    site.settle()


def test_the_end_of_the_server_is_the_end_of_all_its_processes(site):
    code, said = site.end()
    assert (code, "Traceback" in said) == (0, False), said
    assert said.count("ended with code -9; another one is started") == 2
    assert not (site.folder / "hall.db.admin").exists()


@pytest.mark.ci
def test_a_killed_server_takes_its_web_processes_along_and_loses_no_sale(site):
    site.start(1)
    port = site.url.rpartition(":")[2]
    with site.selling():
        site.server.kill()
        killed_at = time.monotonic()
        wait_until(lambda: not any(map(is_alive, site.web_pids)), "the web process has gone")
        assert time.monotonic() - killed_at < ENDS_S
    site.server.communicate(timeout=10)
    (site.folder / "server.toml").write_text(f'database_url = "sqlite:///hall.db"\nport = {port}\ncollect = false\n')
    site.start(1)
    site.settle()
    assert site.end()[0] == 0


@pytest.mark.ci
def test_one_process_does_it_all_where_it_is_told_to(site):
    site.start(0)
    assert site.web_pids == []
    with site.selling():
        pass
    site.settle()
    assert site.end()[0] == 0
