"""Notifications carry the change as JSON, for receivers that are programs, and a key that each try repeats.

Revision ID: 0006
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; what is stored gets keys, too. Grants are the table's."""
    sql = Path(__file__).with_name("0006_payloads.sql").read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def downgrade() -> None:
    """Back to texts alone."""
    op.drop_column("notifications", "payload")
    op.drop_column("notifications", "key")
