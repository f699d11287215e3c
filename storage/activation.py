"""Which model the rollups follow: `activate` makes another one count, for what is stored and for what will be.

A document counts once, under the first model that scored it, until the active model has scored it too. New documents
count at once whoever scores them, so that alerts never starve while models change.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Engine, bindparam, select, text, update
from sqlalchemy.exc import DBAPIError

from storage.errors import ActivationOvertaken, UnknownModel
from storage.faults import meaning
from storage.partitions import MILLENNIUM, document_days
from storage.tables import models
from storage.writer import statement

_MOVE = statement("move_day.sql", answer="SELECT count(*) FROM gained")
_STILL_ACTIVE = select(models.c.active).where(models.c.model_id == bindparam("model_id")).with_for_update(read=True)
_EARLY = (datetime(1, 1, 2, tzinfo=UTC), MILLENNIUM)


def activate(engine: Engine, model: str, *, told: Callable[[date, int], None] = lambda day, moved: None) -> int:
    """Make `model` the active one and move the rollups of all stored documents that it has scored; returns how many.

    A transaction a day, newest first; `told` hears of each. Broken off, it goes on when it is called again.

    Raises:
        UnknownModel: no model of this name has scored anything.
        ActivationOvertaken: another model was activated meanwhile; the days that are left follow that one.
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
    """Once this is committed, no writer is left that takes another model for the active one.

    Writers wait only from the last lock on: until then this may wait for a day that another activation moves.
    """
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE"))
        known = connection.execute(select(models.c.model_id).where(models.c.name == model)).scalar_one_or_none()
        if known is None:
            names = connection.execute(select(models.c.name).order_by(models.c.model_id)).scalars()
            raise UnknownModel(f"no model {model!r} has scored documents here; there are: {', '.join(names) or 'none'}")
        connection.execute(update(models).where(models.c.active, models.c.model_id != known).values(active=False))
        connection.execute(update(models).where(models.c.model_id == known).values(active=True))
        connection.execute(text("LOCK TABLE document_keys IN SHARE MODE"))
        return int(known)


def _move(engine: Engine, model_id: int, start: datetime, end: datetime) -> int:
    """Holds the model active to its end: two models that gain the same day could both keep their scores counted."""
    with engine.begin() as connection:
        if not connection.execute(_STILL_ACTIVE, {"model_id": model_id}).scalar_one():
            raise ActivationOvertaken("another model was activated meanwhile: the days that are left follow that one")
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        return int(connection.execute(_MOVE, {"model_id": model_id, "start": start, "end": end}).scalar_one())
