"""One counted score a document, rollups for years, entities, full text, days that can be dropped, comments everywhere.

Revision ID: 0003
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them, and count what is stored already; the statements stand in the `.sql` files beside this one."""
    _run("0003_rollups.sql")
    _run("0003_comments.sql")


def downgrade() -> None:
    """Back to one score a document, which is the counted one, and to minute rollups alone."""
    _run("0003_downgrade.sql")


def _run(name: str) -> None:
    sql = Path(__file__).with_name(name).read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
