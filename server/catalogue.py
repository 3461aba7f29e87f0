"""Catalogues of messages, read from their `.po` when they are needed, so that no compiled copy could be stale."""

import gettext
import io
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


def catalogue_of(path: Path, language: str) -> gettext.NullTranslations:
    """The messages of one file; without the file every message stays as it is."""
    if not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
