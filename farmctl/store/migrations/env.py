"""Run by alembic: applies the migrations over the connection that `Store` has opened."""

from alembic import context

from farmctl.store.schema import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
