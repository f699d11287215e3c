"""The worker's metrics, each declared once: served at `/metrics` by `pipeline.health`.

Seconds spent in tokenising and inference are the classifier's own (`models/metrics.py`).
"""

from prometheus_client import Counter, Gauge, Histogram, Summary

_LATENCY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300, 1800)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TOKENS = (64, 256, 512, 1024, 2048, 4096, 8192, 16384)

DOCUMENTS = Counter("newsquake_pipeline_documents", "Documents stored that were not there before.")
REPEATS = Counter("newsquake_pipeline_repeats", "Deliveries of documents that were stored already.")
DEAD_LETTERS = Counter("newsquake_pipeline_dead_letters", "Messages sent to the dead-letter topic.", ["reason"])
LOST = Counter(
    "newsquake_pipeline_lost_messages", "Messages that Kafka deleted before they were read.", ["topic", "partition"]
)
RETRIES = Counter("newsquake_pipeline_retries", "Tries that failed with a fault that passes.", ["what"])
REBALANCES = Counter("newsquake_pipeline_rebalances", "Times that partitions were dealt out to this worker anew.")
SECONDS = Summary("newsquake_pipeline_seconds", "Seconds spent, by stage: wait, decode, score, write.", ["stage"])
BATCH_MESSAGES = Histogram("newsquake_pipeline_batch_messages", "Messages in a micro-batch.", buckets=_SIZES)
BATCH_TOKENS = Histogram("newsquake_pipeline_batch_tokens", "Tokens in a micro-batch, estimated.", buckets=_TOKENS)
LATENCY = Histogram(
    "newsquake_pipeline_latency_seconds", "From the producer's timestamp until the row is committed.", buckets=_LATENCY
)
STORED = Gauge("newsquake_pipeline_stored_offset", "First offset not stored yet.", ["topic", "partition"])
COMMITTED = Gauge("newsquake_pipeline_committed_offset", "Offset committed to Kafka.", ["topic", "partition"])
END = Gauge("newsquake_pipeline_end_offset", "End of the partition.", ["topic", "partition"])
LAG = Gauge("newsquake_pipeline_lag", "Messages in Kafka that are not stored yet.", ["topic", "partition"])


def forget_partitions() -> None:
    """Say nothing more of any partition: it may be another worker's now, whose figures would stand beside old ones."""
    for gauge in (STORED, COMMITTED, END, LAG):
        gauge.clear()
