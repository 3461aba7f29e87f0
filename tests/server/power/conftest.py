"""Kills and power cuts belong on a disk, where a commit takes the time that a fault may fall into."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """The test's own folder, on the disk and not in memory."""
    with tempfile.TemporaryDirectory(prefix="e645power") as folder:
        yield Path(folder)
