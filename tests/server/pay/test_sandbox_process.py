"""The sandbox provider as a process of its own: starts, says where it is, serves, ends; imports nothing of ours."""

import ast
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from server.pay import sandbox_provider
from server.pay.sandbox import open_sandbox
from server.signing.ed25519 import generate_key_pair

START_S = 60


@pytest.fixture
def keys(tmp_path):
    return generate_key_pair(tmp_path / "merchant"), generate_key_pair(tmp_path / "provider")


def start(keys, tmp_path, *more):
    merchant, provider = keys
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-P", "-m", "server.pay.sandbox_provider", "--port", "0", "--ready", str(ready)]
    command += ["--private-key", str(provider.private), "--merchant-key", str(merchant.public), *more]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + START_S
    while not ready.exists():
        assert process.poll() is None, "the provider ended early"
        assert time.monotonic() < deadline, "the provider did not start"
        time.sleep(0.05)
    return process, json.loads(ready.read_text())


def test_the_process_takes_an_order_and_a_payment(keys, tmp_path):
    merchant, provider = keys
    process, ready = start(keys, tmp_path)
    try:
        assert ready["pid"] == process.pid
        client = open_sandbox(
            ready["url"], merchant_key=str(merchant.private), provider_public_key=str(provider.public)
        )

        async def story():
            prepared = await client.prepare(
                "o1", 5000, title="充值", notify_url="http://127.0.0.1:9/c", return_url="http://127.0.0.1:9/r"
            )
            async with httpx.AsyncClient(trust_env=False) as browser:
                page = await browser.get(prepared.pay_url)
                paid = await browser.post(prepared.pay_url, data={"result": "pay"})
            return page, paid, await client.query("o1")

        page, paid, event = asyncio.run(story())
        assert (page.status_code, paid.status_code) == (200, 303)
        assert (event.order_no, event.amount_fen, event.paid) == ("o1", 5000, True)
    finally:
        process.terminate()
        assert process.wait(20) in (0, -15)


def test_a_missing_key_is_named(keys, tmp_path):
    command = [sys.executable, "-P", "-m", "server.pay.sandbox_provider"]
    command += ["--private-key", str(tmp_path / "none.pem"), "--merchant-key", str(keys[0].public)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=START_S)
    assert ended.returncode == 2
    assert "none.pem" in ended.stderr


def test_the_provider_imports_nothing_of_the_head_end():
    folder = Path(sandbox_provider.__file__).parent
    imported = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    ours = {name for name in imported if name.split(".")[0] in ("server", "core", "sim")}
    assert ours
    assert all(name.startswith("server.pay.sandbox_provider") for name in ours)
