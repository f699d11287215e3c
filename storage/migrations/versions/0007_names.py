"""Alerts about names, and of messages in some languages or from some sources alone.

Revision ID: 0007
"""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; what is stored is about no single name and of all messages."""
    _run("0007_names.sql")


def downgrade() -> None:
    """Back to topics of all messages; open alerts of anything else are ended."""
    _run("0007_downgrade.sql")


def _run(name: str) -> None:
    sql = Path(__file__).with_name(name).read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
