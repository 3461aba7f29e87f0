"""The world's time against the machine's: clock, anchor, agenda, pace, and how late the loop is."""

__all__: list[str] = []
