"""What the controller remembers: the only importer of sqlalchemy and alembic.

`Store` opens the database and migrates it; the other modules here are its queries, one noun
each. A query takes the open `Transaction`, so that several make one atomic change:

    with store.begin() as tx:
        jobs.add(tx, job)
        events.add(tx, event)
"""

from farmctl.store.engine import Store, Transaction

__all__ = ["Store", "Transaction"]
