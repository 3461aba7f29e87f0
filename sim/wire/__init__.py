"""One half-duplex line from the port to the meters: bytes and their time, noise, ears, recordings."""

__all__: list[str] = []
