"""From a TOML file to an estate, or to an error that names file, line, key and what is allowed."""

__all__: list[str] = []
