-- What every table, view, column and function is: read by \d+ in psql, by BI tools and by the catalogue.

COMMENT ON TABLE models IS 'Classifier checkpoints that have scored documents.';
COMMENT ON COLUMN models.model_id IS 'Number of the model within this database.';
COMMENT ON COLUMN models.name IS 'Checkpoint name and a short hash of its weights.';
COMMENT ON COLUMN models.first_used IS 'When its first batch was stored (UTC).';
COMMENT ON COLUMN models.active IS 'Whether the rollups follow this model wherever it has scored a document; one model at most. The first one is, until `newsquake db activate`.';

COMMENT ON TABLE document_keys IS 'One row for each (source, id) ever stored: what makes a second delivery change nothing, even where it carries another publication time. Kept longer than the documents.';
COMMENT ON COLUMN document_keys.key IS '128-bit BLAKE2b digest of source and id.';
COMMENT ON COLUMN document_keys.published_at IS 'Event time under which the document is stored: the partition to look in.';

COMMENT ON TABLE documents IS 'Every news item and comment, once; partitioned by UTC day of publication.';
COMMENT ON COLUMN documents.published_at IS 'Event time (UTC): when the source published it.';
COMMENT ON COLUMN documents.key IS '128-bit digest of (source, id); see document_keys.';
COMMENT ON COLUMN documents.source IS 'Where it came from: reuters, rss:ft.com/world, xueqiu, …';
COMMENT ON COLUMN documents.id IS 'The source''s own identifier, unique within the source.';
COMMENT ON COLUMN documents.stream IS 'news or comment: the Kafka topic it came by.';
COMMENT ON COLUMN documents.lang IS 'Primary language subtag: given by the source, else told from the script.';
COMMENT ON COLUMN documents.title IS 'Headline, where the source gives one.';
COMMENT ON COLUMN documents.text IS 'What was written; scored with the title in front.';
COMMENT ON COLUMN documents.url IS 'Where to read it.';
COMMENT ON COLUMN documents.author IS 'Who wrote it, as the source says.';
COMMENT ON COLUMN documents.entities IS 'Names or tickers that the source gave, each once.';
COMMENT ON COLUMN documents.content_hash IS 'Hash of the normalised text: equal for copies that differ in case, spacing, punctuation or emoji.';
COMMENT ON COLUMN documents.received_at IS 'When it was stored (UTC).';

COMMENT ON TABLE scores IS 'What a model said of a document; partitioned like documents. One score of each document is counted.';
COMMENT ON COLUMN scores.published_at IS 'Event time of the document (UTC).';
COMMENT ON COLUMN scores.key IS 'The document''s key.';
COMMENT ON COLUMN scores.model_id IS 'The model that said so; see models.';
COMMENT ON COLUMN scores.topic IS 'Topic that the model chose.';
COMMENT ON COLUMN scores.sentiment IS 'negative, neutral or positive: the most probable one.';
COMMENT ON COLUMN scores.negative IS 'P(negative), 0 to 1.';
COMMENT ON COLUMN scores.neutral IS 'P(neutral), 0 to 1.';
COMMENT ON COLUMN scores.positive IS 'P(positive), 0 to 1.';
COMMENT ON COLUMN scores.score IS 'P(positive) - P(negative), from -1 to 1.';
COMMENT ON COLUMN scores.confidence IS 'Calibrated probability of the sentiment that was chosen.';
COMMENT ON COLUMN scores.counted IS 'Whether the rollups count this score: the first model''s, until the active model has scored the document too.';

COMMENT ON TABLE document_entities IS 'Which documents name an entity; partitioned like documents. Filled some seconds after a document is stored; entity_minute counts at once.';
COMMENT ON COLUMN document_entities.entity IS 'Name or ticker, as the source gave it.';
COMMENT ON COLUMN document_entities.published_at IS 'Event time of the document (UTC).';
COMMENT ON COLUMN document_entities.key IS 'The document''s key.';

COMMENT ON TABLE document_search IS 'Full-text index of the documents, partitioned like them; filled some seconds after a document is stored. Ask it by search_documents().';
COMMENT ON COLUMN document_search.published_at IS 'Event time of the document (UTC).';
COMMENT ON COLUMN document_search.key IS 'The document''s key.';
COMMENT ON COLUMN document_search.words IS 'Stems of English words, and pairs of neighbouring Chinese characters.';

COMMENT ON TABLE index_queue IS 'Documents that are stored and not in document_search and document_entities yet, one row for each batch.';
COMMENT ON COLUMN index_queue.entry_id IS 'Order of arrival.';
COMMENT ON COLUMN index_queue.keys IS 'Keys of the documents.';
COMMENT ON COLUMN index_queue.times IS 'Their event times (UTC), in the same order.';

COMMENT ON TABLE sentiment_minute IS 'Documents per event-time minute, topic, stream and language; brought up to date in the transaction that stores the documents, late ones too. Kept when documents are dropped.';
COMMENT ON COLUMN sentiment_minute.bucket IS 'Start of the minute (UTC).';
COMMENT ON COLUMN sentiment_minute.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN sentiment_minute.stream IS 'news or comment.';
COMMENT ON COLUMN sentiment_minute.lang IS 'Primary language subtag.';
COMMENT ON COLUMN sentiment_minute.n IS 'Documents counted; zero where another model moved them all elsewhere.';
COMMENT ON COLUMN sentiment_minute.negative IS 'Negative ones among them.';
COMMENT ON COLUMN sentiment_minute.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN sentiment_minute.positive IS 'Positive ones among them.';
COMMENT ON COLUMN sentiment_minute.score_sum IS 'Sum of score; divide by n for the mean.';

COMMENT ON TABLE sentiment_hour IS 'Documents per event-time hour, topic, stream and language; brought up to date in the transaction that stores the documents, late ones too. Kept when documents are dropped.';
COMMENT ON COLUMN sentiment_hour.bucket IS 'Start of the hour (UTC).';
COMMENT ON COLUMN sentiment_hour.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN sentiment_hour.stream IS 'news or comment.';
COMMENT ON COLUMN sentiment_hour.lang IS 'Primary language subtag.';
COMMENT ON COLUMN sentiment_hour.n IS 'Documents counted; zero where another model moved them all elsewhere.';
COMMENT ON COLUMN sentiment_hour.negative IS 'Negative ones among them.';
COMMENT ON COLUMN sentiment_hour.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN sentiment_hour.positive IS 'Positive ones among them.';
COMMENT ON COLUMN sentiment_hour.score_sum IS 'Sum of score; divide by n for the mean.';

COMMENT ON TABLE sentiment_day IS 'Documents per event-time UTC day, topic, stream and language; brought up to date in the transaction that stores the documents, late ones too. Kept when documents are dropped.';
COMMENT ON COLUMN sentiment_day.bucket IS 'Start of the UTC day (UTC).';
COMMENT ON COLUMN sentiment_day.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN sentiment_day.stream IS 'news or comment.';
COMMENT ON COLUMN sentiment_day.lang IS 'Primary language subtag.';
COMMENT ON COLUMN sentiment_day.n IS 'Documents counted; zero where another model moved them all elsewhere.';
COMMENT ON COLUMN sentiment_day.negative IS 'Negative ones among them.';
COMMENT ON COLUMN sentiment_day.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN sentiment_day.positive IS 'Positive ones among them.';
COMMENT ON COLUMN sentiment_day.score_sum IS 'Sum of score; divide by n for the mean.';

COMMENT ON TABLE source_hour IS 'Documents per event-time hour, source and stream; like sentiment_hour.';
COMMENT ON COLUMN source_hour.bucket IS 'Start of the hour (UTC).';
COMMENT ON COLUMN source_hour.source IS 'Where the documents came from.';
COMMENT ON COLUMN source_hour.stream IS 'news or comment.';
COMMENT ON COLUMN source_hour.n IS 'Documents counted; zero where another model moved them all elsewhere.';
COMMENT ON COLUMN source_hour.negative IS 'Negative ones among them.';
COMMENT ON COLUMN source_hour.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN source_hour.positive IS 'Positive ones among them.';
COMMENT ON COLUMN source_hour.score_sum IS 'Sum of score; divide by n for the mean.';

COMMENT ON TABLE entity_minute IS 'Documents per event-time minute that name an entity, by stream; like sentiment_minute.';
COMMENT ON COLUMN entity_minute.bucket IS 'Start of the minute (UTC).';
COMMENT ON COLUMN entity_minute.entity IS 'Name or ticker, as the source gave it.';
COMMENT ON COLUMN entity_minute.stream IS 'news or comment.';
COMMENT ON COLUMN entity_minute.n IS 'Documents counted; zero where another model moved them all elsewhere.';
COMMENT ON COLUMN entity_minute.negative IS 'Negative ones among them.';
COMMENT ON COLUMN entity_minute.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN entity_minute.positive IS 'Positive ones among them.';
COMMENT ON COLUMN entity_minute.score_sum IS 'Sum of score; divide by n for the mean.';


COMMENT ON COLUMN stream_progress.topic IS 'Kafka topic.';
COMMENT ON COLUMN stream_progress.partition IS 'Partition of the topic.';
COMMENT ON COLUMN stream_progress.next_offset IS 'First offset not stored yet.';

COMMENT ON COLUMN alert_cursor.only_row IS 'Always true: the table has one row.';
COMMENT ON COLUMN alert_cursor.next_minute IS 'Start of the first event-time minute not evaluated yet (UTC).';

COMMENT ON COLUMN alerts.alert_id IS 'Number of the episode.';
COMMENT ON COLUMN alerts.state IS 'firing, acknowledged or resolved.';
COMMENT ON COLUMN alerts.severity IS 'warning or critical.';
COMMENT ON COLUMN alerts.test IS 'volume or share: the test that fired.';
COMMENT ON COLUMN alerts.window_minutes IS 'Length of the window that fired, minutes.';
COMMENT ON COLUMN alerts.resolved_at IS 'Event-time minute in which it ended (UTC); null while open.';
COMMENT ON COLUMN alerts.p_value IS 'Probability of so much by chance, on what counts.';
COMMENT ON COLUMN alerts.sources IS 'Distinct sources among the negatives that count.';
COMMENT ON COLUMN alerts.contents IS 'Distinct texts among them.';
COMMENT ON COLUMN alerts.created_at IS 'Wall clock when it was recorded (UTC).';

COMMENT ON COLUMN alert_events.event_id IS 'Order of the events.';
COMMENT ON COLUMN alert_events.alert_id IS 'The episode that changed.';
COMMENT ON COLUMN alert_events.kind IS 'fired, joined, worsened, acknowledged or resolved.';
COMMENT ON COLUMN alert_events.detail IS 'What changed, as JSON.';
COMMENT ON COLUMN alert_events.recorded_at IS 'Wall clock when it was recorded (UTC).';

COMMENT ON COLUMN notifications.notification_id IS 'Order of the notifications.';
COMMENT ON COLUMN notifications.event_id IS 'The event that is told.';
COMMENT ON COLUMN notifications.title IS 'Subject line.';
COMMENT ON COLUMN notifications.body IS 'Message.';
COMMENT ON COLUMN notifications.attempts IS 'Deliveries tried so far.';
COMMENT ON COLUMN notifications.next_attempt_at IS 'When it is tried next (UTC).';
COMMENT ON COLUMN notifications.last_error IS 'Why the last try failed.';
COMMENT ON COLUMN notifications.created_at IS 'Wall clock when it was queued (UTC).';
COMMENT ON COLUMN notifications.sent_at IS 'When the channel took it (UTC).';

COMMENT ON VIEW trend_minute IS 'Sentiment by minute, topic, stream and language.';
COMMENT ON COLUMN trend_minute.bucket IS 'Start of the minute (UTC).';
COMMENT ON COLUMN trend_minute.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN trend_minute.stream IS 'news or comment.';
COMMENT ON COLUMN trend_minute.lang IS 'Primary language subtag.';
COMMENT ON COLUMN trend_minute.n IS 'Documents.';
COMMENT ON COLUMN trend_minute.negative IS 'Negative ones among them.';
COMMENT ON COLUMN trend_minute.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN trend_minute.positive IS 'Positive ones among them.';
COMMENT ON COLUMN trend_minute.negative_share IS 'negative / n, 0 to 1.';
COMMENT ON COLUMN trend_minute.mean_score IS 'Mean of score, from -1 (all negative) to 1.';

COMMENT ON VIEW trend_hourly IS 'Sentiment by hour (UTC), topic, stream and language.';
COMMENT ON COLUMN trend_hourly.bucket IS 'Start of the hour (UTC).';
COMMENT ON COLUMN trend_hourly.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN trend_hourly.stream IS 'news or comment.';
COMMENT ON COLUMN trend_hourly.lang IS 'Primary language subtag.';
COMMENT ON COLUMN trend_hourly.n IS 'Documents.';
COMMENT ON COLUMN trend_hourly.negative IS 'Negative ones among them.';
COMMENT ON COLUMN trend_hourly.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN trend_hourly.positive IS 'Positive ones among them.';
COMMENT ON COLUMN trend_hourly.negative_share IS 'negative / n, 0 to 1.';
COMMENT ON COLUMN trend_hourly.mean_score IS 'Mean of score, from -1 (all negative) to 1.';

COMMENT ON VIEW topic_now IS 'Each topic over the hour up to the newest stored minute (event time, so it works in a replay too).';
COMMENT ON COLUMN topic_now.topic IS 'Topic that the counted model chose.';
COMMENT ON COLUMN topic_now.n IS 'Documents.';
COMMENT ON COLUMN topic_now.negative IS 'Negative ones among them.';
COMMENT ON COLUMN topic_now.neutral IS 'Neutral ones among them.';
COMMENT ON COLUMN topic_now.positive IS 'Positive ones among them.';
COMMENT ON COLUMN topic_now.negative_share IS 'negative / n, 0 to 1.';
COMMENT ON COLUMN topic_now.mean_score IS 'Mean of score, from -1 (all negative) to 1.';
COMMENT ON COLUMN topic_now.last_minute IS 'Newest minute with a document of this topic (UTC).';

COMMENT ON VIEW open_alerts IS 'Alerts that are firing or acknowledged.';
COMMENT ON COLUMN open_alerts.alert_id IS 'Number of the episode.';
COMMENT ON COLUMN open_alerts.topic IS 'Topic that leads the episode; * is all topics.';
COMMENT ON COLUMN open_alerts.stream IS 'Stream of the series; * is both.';
COMMENT ON COLUMN open_alerts.state IS 'firing or acknowledged.';
COMMENT ON COLUMN open_alerts.severity IS 'warning or critical.';
COMMENT ON COLUMN open_alerts.test IS 'volume or share: the test that fired.';
COMMENT ON COLUMN open_alerts.window_minutes IS 'Length of the window that fired, minutes.';
COMMENT ON COLUMN open_alerts.opened_at IS 'Event-time minute in which it fired (UTC).';
COMMENT ON COLUMN open_alerts.last_seen_at IS 'Latest event-time minute in which a series of it was still high.';
COMMENT ON COLUMN open_alerts.expected IS 'Negatives expected in the window.';
COMMENT ON COLUMN open_alerts.observed IS 'Negatives counted in the window.';
COMMENT ON COLUMN open_alerts.messages IS 'All messages of the series in the window.';
COMMENT ON COLUMN open_alerts.p_value IS 'Probability of so much by chance, on what counts.';
COMMENT ON COLUMN open_alerts.sources IS 'Distinct sources among the negatives that count.';
COMMENT ON COLUMN open_alerts.contents IS 'Distinct texts among them.';
COMMENT ON COLUMN open_alerts.members IS 'Series that joined, as JSON.';
COMMENT ON COLUMN open_alerts.reasons IS 'Worst documents, sources and entities, as JSON.';

COMMENT ON FUNCTION ensure_document_day IS 'Creates the partitions of one UTC day unless they exist. Days before 2000 share one partition.';
COMMENT ON FUNCTION drop_document_day IS 'Drops one UTC day of documents, scores, entities and search index; says whether there was any. Rollups and keys stay. Waits a second for readers, then fails with lock_not_available.';
COMMENT ON FUNCTION drop_documents_before_2000 IS 'Empties the partitions that the days before 2000 share.';
COMMENT ON FUNCTION document_days IS 'The UTC days that have partitions, and their bytes on disk with indexes.';
COMMENT ON FUNCTION index_documents IS 'Moves up to so many documents from index_queue into document_search and document_entities, a batch at a time; returns how many. Any number of sessions at once.';
COMMENT ON FUNCTION search_documents IS 'The newest documents that match: search_documents(''rate cut -fed''), search_documents(''央行降息'', since => now() - interval ''7 days''). English words are stemmed; "quotes", or and - work for them; Chinese is matched by pairs of neighbouring characters. A document is found some seconds after it is stored.';
COMMENT ON FUNCTION search_query IS 'What search_documents makes of its query.';
COMMENT ON FUNCTION search_terms IS 'A text with each run of Chinese characters taken apart into overlapping pairs, so that a tsvector can index them.';
