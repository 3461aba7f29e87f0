"""What households draw and what becomes of it before and behind a meter: energy as a function of time."""

__all__: list[str] = []
