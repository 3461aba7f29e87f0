"""All meters of an estate: their state as columns, and views of it made when somebody asks."""

__all__: list[str] = []
