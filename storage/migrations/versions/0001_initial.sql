-- Documents, scores, minute rollups, alerts and the notification outbox.

CREATE TABLE models (
    model_id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    first_used timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE models IS 'Classifier checkpoints that have scored documents.';
COMMENT ON COLUMN models.name IS 'Checkpoint name and a short hash of its weights.';

CREATE TABLE document_keys (
    key          uuid PRIMARY KEY,
    published_at timestamptz NOT NULL
);
COMMENT ON TABLE document_keys IS 'One row for each (source, id) ever stored: what makes a second delivery change nothing, even where it carries another publication time.';
COMMENT ON COLUMN document_keys.key IS '128-bit BLAKE2b digest of source and id.';
COMMENT ON COLUMN document_keys.published_at IS 'Event time under which the document is stored: the partition to look in.';

CREATE TABLE documents (
    published_at timestamptz NOT NULL,
    key          uuid NOT NULL,
    source       text NOT NULL CHECK (length(source) BETWEEN 1 AND 80),
    id           text NOT NULL CHECK (length(id) BETWEEN 1 AND 200),
    stream       text NOT NULL CHECK (stream IN ('news', 'comment')),
    lang         text NOT NULL CHECK (length(lang) BETWEEN 2 AND 8),
    title        text,
    text         text NOT NULL,
    url          text,
    author       text,
    entities     text[] NOT NULL DEFAULT '{}',
    content_hash bigint NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (published_at, key)
) PARTITION BY RANGE (published_at);
COMMENT ON TABLE documents IS 'Every news item and comment, once; partitioned by UTC day of publication.';
COMMENT ON COLUMN documents.published_at IS 'Event time (UTC): when the source published it.';
COMMENT ON COLUMN documents.key IS '128-bit digest of (source, id); see document_keys.';
COMMENT ON COLUMN documents.source IS 'Where it came from: reuters, rss:ft.com/world, xueqiu, …';
COMMENT ON COLUMN documents.id IS 'The source''s own identifier, unique within the source.';
COMMENT ON COLUMN documents.stream IS 'news or comment: the Kafka topic it came by.';
COMMENT ON COLUMN documents.lang IS 'Primary language subtag: given by the source, else told from the script.';
COMMENT ON COLUMN documents.content_hash IS 'Hash of the normalised text: equal for copies that differ in case, spacing, punctuation or emoji.';
COMMENT ON COLUMN documents.received_at IS 'When it was stored (UTC).';

CREATE TABLE scores (
    published_at timestamptz NOT NULL,
    key          uuid NOT NULL,
    model_id     smallint NOT NULL REFERENCES models,
    topic        text NOT NULL CHECK (length(topic) BETWEEN 1 AND 80),
    sentiment    text NOT NULL CHECK (sentiment IN ('negative', 'neutral', 'positive')),
    negative     real NOT NULL CHECK (negative BETWEEN 0 AND 1),
    neutral      real NOT NULL CHECK (neutral BETWEEN 0 AND 1),
    positive     real NOT NULL CHECK (positive BETWEEN 0 AND 1),
    score        double precision NOT NULL CHECK (score BETWEEN -1 AND 1),
    confidence   real NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    PRIMARY KEY (published_at, key, model_id)
) PARTITION BY RANGE (published_at);
CREATE INDEX scores_sentiment_time ON scores (sentiment, topic, published_at);
COMMENT ON TABLE scores IS 'What a model said of a document; partitioned like documents.';
COMMENT ON COLUMN scores.score IS 'P(positive) - P(negative), from -1 to 1.';
COMMENT ON COLUMN scores.confidence IS 'Calibrated probability of the sentiment that was chosen.';

-- A partition is made stand-alone and then attached: attaching does not block readers or writers.
CREATE FUNCTION ensure_document_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child  text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('newsquake.ensure_document_day'));
    FOREACH parent IN ARRAY ARRAY['documents', 'scores'] LOOP
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        IF day >= DATE '2000-01-01' AND to_regclass(format('%I.%I', current_schema(), child)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION ensure_document_day IS 'Creates the partitions of one UTC day unless they exist. Days before 2000 share one partition.';

CREATE TABLE documents_before_2000 PARTITION OF documents FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');
CREATE TABLE scores_before_2000 PARTITION OF scores FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');

CREATE TABLE sentiment_minute (
    bucket    timestamptz NOT NULL,
    topic     text NOT NULL,
    stream    text NOT NULL CHECK (stream IN ('news', 'comment')),
    lang      text NOT NULL,
    n         integer NOT NULL CHECK (n = negative + neutral + positive),
    negative  integer NOT NULL CHECK (negative >= 0),
    neutral   integer NOT NULL CHECK (neutral >= 0),
    positive  integer NOT NULL CHECK (positive >= 0),
    score_sum double precision NOT NULL,
    PRIMARY KEY (bucket, topic, stream, lang)
);
COMMENT ON TABLE sentiment_minute IS 'Documents per event-time minute, topic, stream and language; raised in the transaction that stores the documents.';
COMMENT ON COLUMN sentiment_minute.bucket IS 'Start of the minute (UTC).';
COMMENT ON COLUMN sentiment_minute.score_sum IS 'Sum of score; divide by n for the mean.';

CREATE TABLE stream_progress (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    end_offset  bigint NOT NULL,
    event_time  timestamptz,
    seen_at     timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE stream_progress IS 'How far each Kafka partition is stored: gives the event-time watermark that alert evaluation follows.';
COMMENT ON COLUMN stream_progress.next_offset IS 'First offset not stored yet.';
COMMENT ON COLUMN stream_progress.end_offset IS 'End of the partition when the row was written; next_offset below it means a backlog.';
COMMENT ON COLUMN stream_progress.event_time IS 'Latest published_at stored from this partition, times ahead of the clock left out.';
COMMENT ON COLUMN stream_progress.seen_at IS 'Wall clock when event_time was last raised.';
COMMENT ON COLUMN stream_progress.updated_at IS 'Wall clock of the worker''s last report; with nothing left to read, event time runs on by updated_at - seen_at.';

CREATE TABLE alert_cursor (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_minute timestamptz NOT NULL
);
COMMENT ON TABLE alert_cursor IS 'The first minute that alert evaluation has not seen.';

CREATE TABLE alerts (
    alert_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text NOT NULL,
    stream      text NOT NULL,
    state       text NOT NULL CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    severity    text NOT NULL CHECK (severity IN ('warning', 'critical')),
    test        text NOT NULL CHECK (test IN ('volume', 'share')),
    window_minutes integer NOT NULL,
    opened_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    resolved_at timestamptz,
    expected    double precision NOT NULL,
    observed    integer NOT NULL,
    messages    integer NOT NULL,
    p_value     double precision NOT NULL,
    sources     integer NOT NULL,
    contents    integer NOT NULL,
    members     jsonb NOT NULL DEFAULT '[]',
    reasons     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
CREATE INDEX alerts_open ON alerts (opened_at) WHERE state <> 'resolved';
COMMENT ON TABLE alerts IS 'One row for each episode: a spike of negative sentiment from its first to its last minute, with all series that joined it.';
COMMENT ON COLUMN alerts.topic IS 'Topic that leads the episode: of the series that opened it, or the first single topic to join; * is all topics.';
COMMENT ON COLUMN alerts.stream IS 'Stream of that series; * is both.';
COMMENT ON COLUMN alerts.opened_at IS 'Event-time minute in which it fired (UTC).';
COMMENT ON COLUMN alerts.last_seen_at IS 'Latest event-time minute in which a series of the episode was still high.';
COMMENT ON COLUMN alerts.expected IS 'Negatives expected in the window.';
COMMENT ON COLUMN alerts.observed IS 'Negatives counted in the window: copies once, no source beyond its cap.';
COMMENT ON COLUMN alerts.messages IS 'All messages of the series in the window.';
COMMENT ON COLUMN alerts.members IS 'Series that joined: [{"topic", "stream", "since"}].';
COMMENT ON COLUMN alerts.reasons IS 'Worst documents, sources and entities.';

CREATE TABLE alert_events (
    event_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alerts ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('fired', 'joined', 'worsened', 'acknowledged', 'resolved')),
    detail      jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alert_events_alert ON alert_events (alert_id);
COMMENT ON TABLE alert_events IS 'Every change of an alert, in order.';
COMMENT ON COLUMN alert_events.at IS 'Event-time minute of the change (UTC); recorded_at is the wall clock.';

CREATE TABLE notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id        bigint NOT NULL REFERENCES alert_events ON DELETE CASCADE,
    channel         text NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'muted')),
    title           text NOT NULL,
    body            text NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    sent_at         timestamptz,
    UNIQUE (event_id, channel)
);
CREATE INDEX notifications_pending ON notifications (next_attempt_at) WHERE state = 'pending';
COMMENT ON TABLE notifications IS 'The outbox: written with the alert, delivered at least once, one row for each event and channel.';
COMMENT ON COLUMN notifications.channel IS 'Label of the channel, never its secret URL.';
COMMENT ON COLUMN notifications.state IS 'muted: recorded but not sent, since its minute was older than max_age.';

CREATE VIEW trend_minute AS
SELECT bucket, topic, stream, lang, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_minute;
COMMENT ON VIEW trend_minute IS 'Sentiment by minute, topic, stream and language.';

CREATE VIEW trend_hourly AS
SELECT date_trunc('hour', bucket, 'UTC') AS bucket, topic, stream, lang,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score
FROM sentiment_minute
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW trend_hourly IS 'Sentiment by hour (UTC), topic, stream and language.';

CREATE VIEW topic_now AS
WITH latest AS (SELECT max(bucket) AS minute FROM sentiment_minute)
SELECT topic,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score,
       max(bucket) AS last_minute
FROM sentiment_minute, latest
WHERE bucket > latest.minute - interval '1 hour'
GROUP BY topic;
COMMENT ON VIEW topic_now IS 'Each topic over the hour up to the newest stored minute (event time, so it works in a replay too).';

CREATE VIEW open_alerts AS
SELECT alert_id, topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at,
       round(expected::numeric, 2) AS expected, observed, messages, p_value, sources, contents, members, reasons
FROM alerts
WHERE state <> 'resolved';
COMMENT ON VIEW open_alerts IS 'Alerts that are firing or acknowledged.';
COMMENT ON COLUMN open_alerts.expected IS 'Negatives expected in the window.';
COMMENT ON COLUMN open_alerts.observed IS 'Negatives counted in the window.';
