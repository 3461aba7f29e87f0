"""Files that commands write: what cannot be written is refused before the work, which may take minutes."""

import os
from pathlib import Path

from server.cli.languages import mark as _
from server.cli.languages import wrong

NO_FOLDER = _("%(path)s cannot be written: there is no folder %(folder)s; make it, or name another file")
IS_FOLDER = _("%(path)s is a folder; name a file")
FORBIDDEN = _("%(path)s cannot be written by this user; name another file, or let the user write into %(folder)s")


def refuse_unwritable(path: Path | None) -> None:
    """ConfigError when a file could not be written there; nothing is touched. None is a command without such a file."""
    if path is None:
        return
    said = {"path": path, "folder": path.parent}
    if not path.parent.is_dir():
        raise wrong(NO_FOLDER, **said)
    if path.is_dir():
        raise wrong(IS_FOLDER, **said)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise wrong(FORBIDDEN, **said)
