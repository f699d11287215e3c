"""Rules, silences, and what an episode needs to be acknowledged, repeated, escalated and held back.

Revision ID: 0005
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; episodes that are stored belong to the rule `default`."""
    _run("0005_lifecycle.sql")
    _run("0005_comments.sql")


def downgrade() -> None:
    """Back to episodes that are firing or resolved; what only the newer release knows of them is dropped."""
    _run("0005_downgrade.sql")


def _run(name: str) -> None:
    sql = Path(__file__).with_name(name).read_text("utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
