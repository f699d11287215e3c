"""The indexes that are filled behind the writer: full text and entities.

Taking words apart costs more than storing them, so a document can be found some seconds after it is stored.
"""

from sqlalchemy import Engine, func, select, text

from storage.tables import index_queue

_INDEX = text("SELECT index_documents(:limit)")


def index_documents(engine: Engine, limit: int = 2000) -> int:
    """Index about `limit` of the documents that wait for it, in one transaction; returns how many, 0 when none wait.

    Any number of processes may do so at once: each takes other batches.
    """
    with engine.begin() as connection:
        return int(connection.execute(_INDEX, {"limit": limit}).scalar_one())


def waiting(engine: Engine) -> int:
    """Documents that are stored and cannot be found by their words yet."""
    with engine.connect() as connection:
        count = select(func.coalesce(func.sum(func.cardinality(index_queue.c["keys"])), 0))
        return int(connection.execute(count).scalar_one())
