"""What a database URL says of its connections, beside what Newsquake sets."""

import pytest
from pydantic import SecretStr
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import OperationalError

from storage import migrate
from storage.engine import open_engine
from storage.settings import StorageSettings


def shown(settings: StorageSettings, names: str, **query: str) -> list[str]:
    """Settings of a session whose URL has this query."""
    url = make_url(settings.url.get_secret_value()).update_query_dict(query)
    engine = open_engine(StorageSettings(url=SecretStr(url.render_as_string(hide_password=False))), application="ours")
    with engine.connect() as connection:
        found = [str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in names.split()]
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["ours", '"$user", public', "UTC", "1min", "30s"]),
        ({"application_name": "theirs"}, ["theirs", '"$user", public', "UTC", "1min", "30s"]),
        ({"options": "-c search_path=market -c timezone=Asia/Shanghai"}, ["ours", "market", "UTC", "1min", "30s"]),
    ],
)
def test_what_the_url_says_holds_but_for_time_zone_and_time_outs(
    storage_settings: StorageSettings, query: dict[str, str], expected: list[str]
) -> None:
    names = "application_name search_path timezone statement_timeout idle_in_transaction_session_timeout"
    assert shown(storage_settings, names, **query) == expected


def test_the_urls_time_out_for_connecting_holds() -> None:
    engine = open_engine(StorageSettings(url=SecretStr("postgresql://127.0.0.1:1/x?connect_timeout=2&keepalives=0")))
    taken: dict[str, object] = {}

    @event.listens_for(engine, "do_connect")
    def look(dialect: object, record: object, arguments: object, parameters: dict[str, object]) -> None:
        taken.update(parameters)

    with pytest.raises(OperationalError):
        engine.connect()
    assert (taken["connect_timeout"], taken["keepalives"], taken["keepalives_idle"]) == ("2", "0", 10)


def test_a_schema_of_ones_own_is_migrated_and_the_other_left_alone(storage_settings: StorageSettings) -> None:
    url = make_url(storage_settings.url.get_secret_value())
    engine = open_engine(storage_settings)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA market"))
    own = url.update_query_dict({"options": "-csearch_path=market"}).render_as_string(hide_password=False)
    market = open_engine(StorageSettings(url=SecretStr(own)))
    migrate.upgrade(market)
    assert migrate.check(market) == migrate.check(engine) == migrate.head()
    with market.connect() as connection:
        assert connection.execute(text("SELECT to_regclass('market.documents') IS NOT NULL")).scalar_one()
    market.dispose()
    engine.dispose()
