"""Alembic's entry: runs the migrations on the connection that `server.store.engine.upgrade` opened.

There is no alembic.ini and no offline mode; the caller owns the transaction, so that a failed upgrade leaves
nothing behind on both databases (both have transactional DDL).
"""

from alembic import context

from server.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
with context.begin_transaction():
    context.run_migrations()
