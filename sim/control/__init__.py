"""How a running simulator is seen and steered from outside: an HTTP API, and files that say it is ready."""

__all__: list[str] = []
