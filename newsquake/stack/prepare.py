"""What servers need before the programs may start: a schema, topics, and no memory of another broker's offsets."""

from pathlib import Path

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from newsquake.errors import ServerError
from newsquake.servers.server import Server
from pipeline.errors import PipelineError
from pipeline.settings import PipelineSettings
from storage import migrate
from storage.engine import open_engine
from storage.errors import StorageError
from storage.settings import StorageSettings
from storage.tables import stream_progress


def prepare_database(settings: StorageSettings, *, forget_progress: bool) -> None:
    """Bring the schema to this release's revision; raises `ServerError`.

    `forget_progress` is for a broker that begins at offset 0 again: rows about an earlier one would be taken for lag.
    """
    engine = open_engine(settings, application="newsquake-stack")
    try:
        migrate.upgrade(engine)
        if forget_progress:
            with engine.begin() as connection:
                connection.execute(delete(stream_progress))
    except (StorageError, SQLAlchemyError) as error:
        raise ServerError(f"the database could not be prepared: {error}") from error
    finally:
        engine.dispose()


def prepare_topics(broker: str) -> None:
    """Create the topics that are missing; raises `ServerError`."""
    # Imported here: the client library takes a third of a second, which PostgreSQL's start can have instead.
    from pipeline.topics import create_topics

    try:
        create_topics(PipelineSettings(broker=broker))
    except PipelineError as error:
        raise ServerError(f"topics could not be created: {error}") from error


def is_another_broker(broker: Server | None, data_dir: Path) -> bool:
    """Whether the broker's offsets have nothing to do with those that this data directory saw last; remembers it."""
    mark = data_dir / "broker"
    before = mark.read_text("utf-8").strip() if mark.exists() else ""
    now = broker.name if broker else "yours"
    mark.write_text(now + "\n", "utf-8")
    return (broker is not None and not broker.durable) or before not in ("", now)
