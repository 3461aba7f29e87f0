"""The admin socket: how commands on the same machine work beside a running server."""
