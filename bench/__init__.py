"""Benches of the project: each measures beside its peers or its physical limit and writes one JSON document."""
