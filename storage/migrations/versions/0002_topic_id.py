"""The identity of the Kafka topic that a partition's progress speaks of, so that a re-created topic is told apart.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; progress that is there already names no topic until the next report."""
    op.execute("ALTER TABLE stream_progress ADD COLUMN topic_id uuid")
    op.execute(
        "COMMENT ON COLUMN stream_progress.topic_id IS "
        "'Kafka''s id of the topic that the offsets count in: another id means that the topic was made anew.'"
    )


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE stream_progress DROP COLUMN topic_id")
