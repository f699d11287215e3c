-- Back to revision 0003's views.

DROP FUNCTION trend;
DROP TYPE trend_bucket;
DROP VIEW trend_daily, entity_now, source_mix, worst_documents, trend_minute, trend_hourly, topic_now;
DROP FUNCTION wilson_low, wilson_high;
DROP INDEX sentiment_minute_topic, sentiment_hour_topic, sentiment_day_topic;

CREATE VIEW trend_minute AS
SELECT bucket, topic, stream, lang, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_minute WHERE n > 0;

CREATE VIEW trend_hourly AS
SELECT bucket, topic, stream, lang, n::bigint AS n, negative::bigint AS negative, neutral::bigint AS neutral,
       positive::bigint AS positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_hour WHERE n > 0;

CREATE VIEW topic_now AS
WITH latest AS (SELECT max(bucket) AS minute FROM sentiment_minute WHERE n > 0)
SELECT topic,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score,
       max(bucket) AS last_minute
FROM sentiment_minute, latest
WHERE bucket > latest.minute - interval '1 hour' AND n > 0
GROUP BY topic;

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

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_reader') THEN
        GRANT SELECT ON trend_minute, trend_hourly, topic_now TO newsquake_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_writer') THEN
        GRANT SELECT ON trend_minute, trend_hourly, topic_now TO newsquake_writer;
    END IF;
END $$;
