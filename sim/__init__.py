"""Whole estates of virtual DL/T 645 meters: physics, protocol, wire, faults, and the truth about them."""

try:
    import sim._load  # noqa: F401
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the compiled module {missing.name} is missing; build it with `make setup` "
        "or `python setup.py build_ext --inplace` in the source tree"
    ) from missing

__all__: list[str] = []
