"""Rules of names, languages and sources on a real database: what fires, what is told once, what silences it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from alerts.evaluate import tick
from alerts.queries import list_alerts
from alerts.rules import DEFAULT, Rule, Scope
from alerts.series import HOUR, MINUTE
from alerts.settings import AlertsSettings
from storage.tables import alert_cursor, alert_events, alerts, notifications
from tests.alerts.rounds import DESK, go, hush, minutes, the_alert, told
from tests.alerts.traffic import MONDAY, document, read_to_the_end, store

pytestmark = pytest.mark.integration

RUN = MONDAY + timedelta(hours=34)
END = RUN + 8 * HOUR
ALL_NAMES = Rule(name="names", scope=Scope(entities=("*",)))
BANK = "Corvane Bank"


def ordinary(engine: Engine) -> None:
    """Two days: ten messages an hour that name one of six firms, every tenth of them bad, spread over topics."""
    for number, topic in enumerate(("markets", "earnings", "debt")):
        times = [MONDAY + minute * MINUTE + number * timedelta(seconds=7) for minute in range(0, 42 * 60, 18)]
        made = [document(1000 * number + n, at, entities=(f"Firm {n % 6}",)) for n, at in enumerate(times)]
        store(engine, [item for n, item in enumerate(made) if n % 10], topic=topic, sentiment="positive")
        store(engine, made[::10], topic=topic)


def bank_run(engine: Engine, *topics: str, name: str = BANK, first: int = 5000) -> None:
    """Forty bad messages about one name in two hours, taking turns in these topics."""
    for turn, topic in enumerate(topics):
        times = range(turn, 40, len(topics))
        store(engine, [document(first + n, RUN + n * 3 * MINUTE, entities=(name,)) for n in times], topic=topic)


def evaluate(engine: Engine, *rules: Rule, settled: datetime = END) -> None:
    read_to_the_end(engine, settled + 2 * MINUTE, settled + 3 * MINUTE)
    tick(engine, AlertsSettings(replay=True), settled + 3 * MINUTE, rules=rules)


def about(engine: Engine) -> list[tuple[str, str]]:
    return [(alert["topic"], alert["entity"]) for alert in reversed(list_alerts(engine))]


def test_a_name_fires_by_its_own_counts_where_no_topic_does(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "markets", "earnings", "debt", "energy", "financials")
    evaluate(database, ALL_NAMES)
    (alert,) = list_alerts(database)
    assert (alert["topic"], alert["entity"], alert["rule"]) == ("*", BANK, "names")
    assert RUN < alert["opened_at"] < RUN + HOUR
    assert alert["reasons"]["entities"] == {BANK: alert["reasons"]["contents"]}
    with database.connect() as connection:
        titles = connection.execute(select(notifications.c.title).order_by(notifications.c.notification_id)).scalars()
        assert next(iter(titles)) == f"Newsquake: negative spike about {BANK} (comments)"
        payload = connection.execute(select(notifications.c.payload).limit(1)).scalar_one()
    assert (payload["entity"], payload["entities"], payload["topic"]) == (BANK, [BANK], "*")


def test_a_name_that_is_not_watched_alerts_no_one(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "markets", "earnings", "debt")
    evaluate(database, Rule(name="one", scope=Scope(entities=("Firm 1", "Corvane"))))
    assert list_alerts(database) == []


def test_what_a_topics_alert_tells_of_is_not_told_again_of_the_name(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "financials")
    evaluate(database, DEFAULT, ALL_NAMES)
    assert about(database) == [("financials", "*")]


def test_a_name_of_other_topics_is_told_beside_the_topics_alert(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "financials")
    bank_run(database, "markets", "earnings", "debt", "energy", name="Merrowdale", first=7000)
    evaluate(database, Rule(name="banks", scope=Scope(topics=("financials",))), ALL_NAMES)
    assert sorted(about(database)) == [("*", "Merrowdale"), ("financials", "*")]


def test_names_are_the_same_however_minutes_are_cut(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "markets", "earnings", "debt")

    def story() -> list[object]:
        with database.connect() as connection:
            rows = connection.execute(select(alert_events.c.kind, alert_events.c.at, alert_events.c.detail)).all()
        return [tuple(row) for row in rows]

    for part in range(0, 8 * 60, 7):
        evaluate(database, ALL_NAMES, settled=RUN + part * MINUTE)
    evaluate(database, ALL_NAMES)
    small = story()
    with database.begin() as connection:
        connection.execute(alerts.delete())
        connection.execute(alert_cursor.delete())
    evaluate(database, ALL_NAMES)
    assert small == story() and small


def test_a_silence_of_the_name_covers_its_alert_and_one_of_the_topic_that_it_is_about(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "financials")
    rule = Rule(name="names", scope=Scope(entities=("*",)), channels=("console",))
    for scope in ({"entity": BANK.upper()}, {"topic": "financials"}):
        hush(database, RUN, END, **scope)
        minutes(database, RUN, RUN + HOUR, rule)
        assert told(database) == ["(fired)"]
        assert the_alert(database)["state"] == "firing"
        with database.begin() as connection:
            for table in ("alerts", "alert_cursor", "silences"):
                connection.exec_driver_sql(f"TRUNCATE {table} CASCADE")


def test_a_silence_of_another_name_hides_nothing(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "financials")
    hush(database, RUN, END, entity="Firm 1")
    minutes(database, RUN, RUN + HOUR, Rule(name="names", scope=Scope(entities=(BANK,)), channels=("console",)))
    assert told(database) == ["fired"]


def test_a_name_that_goes_on_is_told_again_with_its_own_counts(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "financials")
    rule = Rule(name="names", scope=Scope(entities=(BANK,)), channels=DESK.channels, repeat_hours=1)
    minutes(database, RUN, RUN + 2 * HOUR, rule)
    assert told(database) == ["fired", "repeated"]
    (repeated,) = [event for event in the_alert(database)["events"] if event["kind"] == "repeated"]
    assert repeated["detail"]["now"]["negatives"] == repeated["detail"]["now"]["messages"] > 0


def test_an_episode_whose_name_is_no_longer_watched_is_closed(database: Engine) -> None:
    ordinary(database)
    bank_run(database, "markets", "earnings", "debt")
    go(database, RUN + HOUR, ALL_NAMES)
    assert the_alert(database)["state"] == "firing"
    go(database, RUN + HOUR + 5 * MINUTE, DEFAULT)
    assert the_alert(database)["state"] == "resolved"


def test_a_language_is_judged_by_its_own_messages(database: Engine) -> None:
    ordinary(database)
    made = [document(8000 + n, RUN + n * 3 * MINUTE) for n in range(40)]
    store(database, made, topic="debt", lang="zh")
    zh = Rule(name="zh", scope=Scope(languages=("zh",)))
    evaluate(database, zh, Rule(name="fr", scope=Scope(languages=("fr",))))
    (alert,) = list_alerts(database)
    assert (alert["rule"], alert["topic"], alert["languages"]) == ("zh", "debt", ["zh"])
    assert alert["events"][0]["notifications"][0]["title"] == "Newsquake: negative spike in debt in zh (comments)"
    assert " AND lang IN ('zh')" in alert["events"][0]["notifications"][0]["body"]
    assert alert["messages"] == alert["reasons"]["negatives"], "other languages are not in its counts"


def test_sources_are_judged_together_and_others_are_not_counted(database: Engine) -> None:
    ordinary(database)
    made = [document(8000 + n, RUN + n * 3 * MINUTE, source=f"rss:paper{n % 4}") for n in range(40)]
    store(database, made, topic="debt")
    evaluate(database, Rule(name="rss", scope=Scope(sources=("rss:*",))), Rule(name="x", scope=Scope(sources=("x*",))))
    (alert,) = list_alerts(database)
    assert (alert["rule"], alert["topic"], alert["source_patterns"]) == ("rss", "*", ["rss:*"])
    assert set(alert["reasons"]["sources"]) == {f"rss:paper{n}" for n in range(4)}
    assert alert["events"][0]["notifications"][0]["title"].endswith("in all topics from rss:* (comments)")


def test_the_query_of_each_message_runs_and_finds_what_was_counted(database: Engine) -> None:
    ordinary(database)
    odd = "O'Brien & 50%_Söhne"
    made = [document(8000 + n, RUN + n * 3 * MINUTE, source=f"rss:100%_{n % 4}", entities=(odd,)) for n in range(40)]
    store(database, made, topic="debt", lang="zh")
    evaluate(
        database,
        Rule(name="zh", scope=Scope(languages=("zh",))),
        Rule(name="rss", scope=Scope(sources=("rss:100%_?",))),
        Rule(name="odd", scope=Scope(entities=(odd,))),
    )
    found = list_alerts(database)
    assert sorted(alert["rule"] for alert in found) == ["odd", "rss", "zh"]
    for alert in found:
        query = next(line for line in alert["events"][0]["notifications"][0]["body"].splitlines() if "SELECT" in line)
        with database.connect() as connection:
            rows = connection.exec_driver_sql(query.strip().replace("%", "%%")).all()
        assert len(rows) == min(20, alert["events"][0]["detail"]["window"]["negatives"]), alert["rule"]
