"""Where tests keep files that nobody needs afterwards: in memory, where a durable commit waits for no disk."""

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES_MIN = 2 << 30  # a migrated database takes 10 MB


def quick_folder() -> str | None:
    """A folder in memory, or None where there is none with room or where no program may be started from it."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return None
    return str(MEMORY) if shutil.disk_usage(MEMORY).free > ROOM_BYTES_MIN else None
