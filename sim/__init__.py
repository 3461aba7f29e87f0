"""Whole estates of virtual DL/T 645 meters: physics, protocol, wire, faults, and the truth about them."""

__all__: list[str] = []
