"""Views for people: trends with shares, intervals and change, what is hot now, the worst documents, sources.

Revision ID: 0004
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them; the statements stand in the `.sql` files beside this one."""
    _run("0004_views.sql")
    _run("0004_comments.sql")


def downgrade() -> None:
    """Back to the views of revision 0003; no data is touched."""
    _run("0004_downgrade.sql")


def _run(name: str) -> None:
    sql = Path(__file__).with_name(name).read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
