"""The worst documents of one topic from the index alone, and no index of the keys' times.

The first reads no other topic's documents any more. The second was for retention alone, once a day, and cost the writer
some 4 % of its rate.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORST = "DROP INDEX scores_worst; CREATE INDEX scores_worst ON scores ({}) WHERE counted AND sentiment = 'negative'"
_KEYS = "CREATE INDEX document_keys_time ON document_keys USING brin (published_at) WITH (autosummarize = on)"


def upgrade() -> None:
    """Writers wait while the index is built, some seconds for ten million documents."""
    op.get_bind().exec_driver_sql(_WORST.format("score, topic"))
    op.get_bind().exec_driver_sql("DROP INDEX document_keys_time")


def downgrade() -> None:
    """Both as they were."""
    op.get_bind().exec_driver_sql(_WORST.format("score"))
    op.get_bind().exec_driver_sql(_KEYS)
