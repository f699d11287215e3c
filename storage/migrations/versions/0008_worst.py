"""The worst documents of one topic from the index alone, without reading those of every other topic.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "DROP INDEX scores_worst; CREATE INDEX scores_worst ON scores ({}) WHERE counted AND sentiment = 'negative'"


def upgrade() -> None:
    """Tell the topic in the index by score; writers wait while it is built, some seconds for ten million documents."""
    op.get_bind().exec_driver_sql(_INDEX.format("score, topic"))


def downgrade() -> None:
    """Scores alone."""
    op.get_bind().exec_driver_sql(_INDEX.format("score"))
