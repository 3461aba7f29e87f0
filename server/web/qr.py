"""Payment addresses as QR codes, drawn by the library `segno` and shown as one SVG path of the dark modules.

Error correction M; a page may hold no inline image under its policy, but an SVG path needs no style and no script.
"""

import segno

from server.errors import Refused

QUIET_ZONE = 4  # modules of white around the code, as the standard asks
ADDRESS_BYTES_MAX = 500


def svg_path(text: str) -> tuple[int, str]:
    """Width of the code with its quiet zone, and the path of its dark modules; Refused when `text` is too long."""
    if len(text.encode()) > ADDRESS_BYTES_MAX:
        raise Refused(f"a payment address of more than {ADDRESS_BYTES_MAX} bytes makes no code that phones read")
    modules = segno.make_qr(text, error="m", boost_error=False).matrix
    path = "".join(
        f"M{column + QUIET_ZONE} {row + QUIET_ZONE}h1v1h-1z"
        for row, line in enumerate(modules)
        for column, dark in enumerate(line)
        if dark
    )
    return len(modules) + 2 * QUIET_ZONE, path
