"""The head-end: collects readings, deducts, keeps the ledger, warns, switches, takes money, serves people.

Journeys: a reading runs collect -> flows.readings -> flows.billing -> store; a top-up runs web.callbacks ->
flows.payments -> store -> collect. Only `flows` open a unit of work, only `store.writer` commits, and only
rows that are committed may touch the world.
"""
