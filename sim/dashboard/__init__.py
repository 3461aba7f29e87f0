"""The live picture of a running estate in a terminal: what it shows, and how it is laid out.

`Sight` is what the control API said, with a little history. `picture` lays it out for a number of columns and rows as
rows of styled text, without looking at any terminal; `snapshot` says the same in one line.
"""

from sim.dashboard.layout import picture
from sim.dashboard.sight import Sight, snapshot
from sim.dashboard.text import ASCII, UNICODE, Glyphs, Row, painted

__all__ = ["ASCII", "UNICODE", "Glyphs", "Row", "Sight", "painted", "picture", "snapshot"]
