"""The command line as people and scripts meet it: help, errors in one line, exit codes, JSON."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from newsquake.commands.output import cell
from newsquake.commands.trends import sparkline
from storage.settings import StorageSettings
from storage.writer import BatchWriter
from tests.storage.rows import document


def newsquake(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEWSQUAKE_")}
    own["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "newsquake", *arguments], env=own | env, capture_output=True, text=True, timeout=60
    )


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_help_names_every_command() -> None:
    shown = newsquake("--help").stdout
    for command in (
        "up",
        "worker",
        "scheduler",
        "publish",
        "trends",
        "export",
        "alerts",
        "topics",
        "dead-letters",
        "db",
        "model",
        "bench",
    ):
        assert command in shown


def assert_refused(done: "subprocess.CompletedProcess[str]", says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_database_that_does_not_answer_is_one_line_and_exit_code_2() -> None:
    url = f"postgresql://user:secret@{nobody()}/x"
    for command in (["worker"], ["scheduler"], ["trends"], ["db", "check"], ["alerts", "list"]):
        done = newsquake(*command, NEWSQUAKE_STORAGE_URL=url)
        assert_refused(done, "NEWSQUAKE_STORAGE_URL")
        assert "secret" not in done.stderr


def test_a_url_of_something_else_is_one_line_and_exit_code_2() -> None:
    assert_refused(newsquake("worker", NEWSQUAKE_STORAGE_URL="redis://localhost"), "postgresql://")


def test_a_broker_that_does_not_answer_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")
    for command in (["topics", "create"], ["topics", "lag"], ["publish", "file", str(rows)]):
        assert_refused(newsquake(*command, NEWSQUAKE_PIPELINE_BROKER=nobody()), "no Kafka broker answers")
    assert_refused(newsquake("topics", "lag", NEWSQUAKE_PIPELINE_BROKER="nonsense"), "host:port")


def test_a_missing_schema_says_what_to_run(storage_settings: StorageSettings, database: Engine) -> None:
    from storage import migrate

    url = storage_settings.url.get_secret_value()
    migrate.downgrade(database, "base")
    for command in ("worker", "scheduler"):
        assert_refused(newsquake(command, NEWSQUAKE_STORAGE_URL=url), "newsquake db upgrade")
    assert newsquake("db", "check", NEWSQUAKE_STORAGE_URL=url).returncode == 1
    assert newsquake("db", "upgrade", NEWSQUAKE_STORAGE_URL=url).returncode == 0
    assert newsquake("db", "check", NEWSQUAKE_STORAGE_URL=url).returncode == 0


def test_what_the_database_refuses_is_one_line_and_exit_code_2(
    storage_settings: StorageSettings, database: Engine
) -> None:
    url = storage_settings.url.get_secret_value()
    reads = (["trends"], ["alerts", "list"], ["alerts", "test", "default"], ["alerts", "rules", "list"])
    for command in (*reads, ["db", "upgrade"]):
        assert_refused(newsquake(*command, NEWSQUAKE_STORAGE_URL=f"{url}?sslmod=require"), "option")
    with database.begin() as connection:
        connection.execute(text("CREATE ROLE newsquake_test_stranger LOGIN"))
        connection.execute(text("GRANT SELECT ON alembic_version TO newsquake_test_stranger"))
    stranger = make_url(url).set(username="newsquake_test_stranger").render_as_string(hide_password=False)
    try:
        for command in reads:
            assert_refused(newsquake(*command, NEWSQUAKE_STORAGE_URL=stranger), "permission denied")
    finally:
        with database.begin() as connection:
            connection.execute(text("DROP OWNED BY newsquake_test_stranger; DROP ROLE newsquake_test_stranger"))


def test_a_missing_checkpoint_is_one_line_and_exit_code_2(
    storage_settings: StorageSettings, broker: str, tmp_path: Path
) -> None:
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value(), "NEWSQUAKE_PIPELINE_BROKER": broker}
    assert newsquake("topics", "create", **env).returncode == 0
    done = newsquake("worker", NEWSQUAKE_MODELS_CHECKPOINT=str(tmp_path / "absent"), **env)
    assert_refused(done, str(tmp_path / "absent"))


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(broker: str) -> None:
    newsquake("topics", "create", NEWSQUAKE_PIPELINE_BROKER=broker)
    assert_refused(newsquake("publish", "file", "absent.jsonl", NEWSQUAKE_PIPELINE_BROKER=broker), "absent.jsonl")


def test_publishing_tells_rejected_rows_with_line_numbers(broker: str, tmp_path: Path) -> None:
    newsquake("topics", "create", NEWSQUAKE_PIPELINE_BROKER=broker)
    good = {"source": "test", "published_at": "2026-03-10T12:00:00Z", "text": "Profit rose."}
    lines = [json.dumps(good), "{nope", json.dumps({**good, "published_at": "9999-01-01T00:00:00Z"})]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines))
    told = newsquake("publish", "file", str(path), "--stream", "news", NEWSQUAKE_PIPELINE_BROKER=broker)
    assert told.returncode == 0
    assert "1 delivered, 2 rejected, 0 failed" in told.stdout
    assert "line 2: rejected: not JSON" in told.stderr and "line 3: rejected" in told.stderr
    as_json = newsquake("publish", "file", str(path), "--stream=news", "--json", NEWSQUAKE_PIPELINE_BROKER=broker)
    assert [entry["line"] for entry in json.loads(as_json.stdout)["rejections"]] == [2, 3]


def test_trends_are_a_table_for_people_and_json_for_scripts(
    storage_settings: StorageSettings, database: Engine
) -> None:
    url = storage_settings.url.get_secret_value()
    assert "nothing is stored" in newsquake("trends", NEWSQUAKE_STORAGE_URL=url).stdout
    BatchWriter(database, "m").write([document(n) for n in range(300)])
    shown = newsquake("trends", NEWSQUAKE_STORAGE_URL=url)
    assert shown.returncode == 0 and "financials" in shown.stdout and "█" in shown.stdout
    found = json.loads(newsquake("trends", "--topic", "energy", "--json", NEWSQUAKE_STORAGE_URL=url).stdout)
    assert [trend["topic"] for trend in found["trends"]] == ["energy"]
    assert found["trends"][0]["n"] == 100
    done = newsquake("trends", "--since", "yesterday", NEWSQUAKE_STORAGE_URL=url)
    assert done.returncode == 2 and "--since" in done.stderr


def test_retention_says_what_would_go_then_drops_it(storage_settings: StorageSettings, database: Engine) -> None:
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
    early = document(30, at=datetime(1999, 1, 1, tzinfo=UTC))
    BatchWriter(database, "m").write([early, *(document(n, at=datetime(2020, 1, 1, tzinfo=UTC)) for n in range(30))])
    planned = newsquake("db", "retention", "--keep", "2d", "--dry-run", **env)
    assert planned.returncode == 0 and "2020-01-01" in planned.stdout
    assert "1 documents from before 2000, 1 days and 31 keys" in planned.stdout
    done = json.loads(newsquake("db", "retention", "--keep", "1w", "--keep-keys=2w", "--json", **env).stdout)
    assert [day["day"] for day in done["days"]] == ["2020-01-01"] and done["keys"] == 31 and not done["dry_run"]
    wrong = newsquake("db", "retention", "--keep", "90", **env)
    assert wrong.returncode == 2 and "--keep" in wrong.stderr


def test_another_model_is_activated_by_name(storage_settings: StorageSettings, database: Engine) -> None:
    env = {"NEWSQUAKE_STORAGE_URL": storage_settings.url.get_secret_value()}
    for model in ("old", "[new]"):
        BatchWriter(database, model).write([document(n) for n in range(30)])
    done = newsquake("db", "activate", "[new]", **env)
    assert done.stdout == "[new] counts now; 30 documents moved to its scores\n"
    assert json.loads(newsquake("db", "activate", "[new]", "--json", **env).stdout) == {"active": "[new]", "moved": 0}
    assert_refused(newsquake("db", "activate", "newer", **env), "there are: old, [new]")


def test_no_alerts_is_an_empty_list(storage_settings: StorageSettings) -> None:
    done = newsquake("alerts", "list", "--json", NEWSQUAKE_STORAGE_URL=storage_settings.url.get_secret_value())
    assert json.loads(done.stdout) == {"alerts": []}


@pytest.mark.parametrize(
    ("values", "bars"), [([], ""), ([0, 0], "  "), ([1, 8], "▂█"), ([0, 7, 14], " ▅█"), ([1000, 1], "█▂")]
)
def test_a_sparkline_shows_even_one_of_many(values: list[int], bars: str) -> None:
    assert sparkline(values) == bars


def test_untrusted_text_cannot_style_the_terminal() -> None:
    assert cell("[red]x\x1b[31m").startswith("\\[red]x")
    assert "\x1b" not in cell("\x1b[31m")
