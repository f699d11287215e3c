"""Documents, scores, minute rollups, alerts, alert events and the notification outbox.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything; the statements stand in `0001_initial.sql` beside this file."""
    sql = Path(__file__).with_suffix(".sql").read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def downgrade() -> None:
    """Drop everything that `upgrade` made, with all data."""
    for view in ("open_alerts", "topic_now", "trend_hourly", "trend_minute"):
        op.execute(f"DROP VIEW {view}")
    op.execute("DROP FUNCTION ensure_document_day")
    for table in (
        "notifications",
        "alert_events",
        "alerts",
        "alert_cursor",
        "stream_progress",
        "sentiment_minute",
        "scores",
        "documents",
        "document_keys",
        "models",
    ):
        op.drop_table(table)
