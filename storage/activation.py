"""Which model the rollups follow: `activate` makes another one count, for what is stored and for what will be.

A document counts once, under the first model that scored it, until the active model has scored it too. New documents
count at once whoever scores them, so that alerts never starve while models change.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError

from storage.errors import UnknownModel
from storage.faults import meaning
from storage.partitions import document_days
from storage.tables import models
from storage.writer import statement

_MOVE = statement("move_day.sql", answer="SELECT count(*) FROM gained")
_EARLY = (datetime(1, 1, 2, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC))


def activate(engine: Engine, model: str, *, told: Callable[[date, int], None] = lambda day, moved: None) -> int:
    """Make `model` the active one and move the rollups of all stored documents that it has scored; returns how many.

    A transaction a day, newest first; `told` hears of each. Broken off, it goes on when it is called again.

    Raises:
        UnknownModel: no model of this name has scored anything.
        StorageError: as the other parts of this package.
    """
    try:
        model_id = _choose(engine, model)
        days = [day.day for day in reversed(document_days(engine))]
        moved = 0
        for day in days:
            start = datetime.combine(day, time(), UTC)
            count = _move(engine, model_id, start, start + timedelta(days=1))
            told(day, count)
            moved += count
        return moved + _move(engine, model_id, *_EARLY)
    except DBAPIError as error:
        raise meaning(error) or error from error


def _choose(engine: Engine, model: str) -> int:
    """Once this is committed, no writer is left that takes another model for the active one."""
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE document_keys IN SHARE MODE"))
        known = connection.execute(select(models.c.model_id).where(models.c.name == model)).scalar_one_or_none()
        if known is None:
            names = connection.execute(select(models.c.name).order_by(models.c.model_id)).scalars()
            raise UnknownModel(f"no model {model!r} has scored documents here; there are: {', '.join(names) or 'none'}")
        connection.execute(update(models).where(models.c.active, models.c.model_id != known).values(active=False))
        connection.execute(update(models).where(models.c.model_id == known).values(active=True))
        return int(known)


def _move(engine: Engine, model_id: int, start: datetime, end: datetime) -> int:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        return int(connection.execute(_MOVE, {"model_id": model_id, "start": start, "end": end}).scalar_one())
