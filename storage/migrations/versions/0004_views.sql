-- Views for people. Each one's usual predicates (topic, entity, bucket, stream, lang) reach an index of its table.

-- One topic over time: the primary keys begin with the bucket. Raising a row that is there touches none of these.
CREATE INDEX sentiment_minute_topic ON sentiment_minute (topic, bucket);
CREATE INDEX sentiment_hour_topic ON sentiment_hour (topic, bucket);
CREATE INDEX sentiment_day_topic ON sentiment_day (topic, bucket);

-- Wilson (1927), as in Brown, Cai and DasGupta (2001), doi:10.1214/ss/1009213286; 1.959964 is the normal 97.5 % quantile.
CREATE FUNCTION wilson_low(k bigint, n bigint) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
CASE WHEN n > 0 THEN
    round(greatest(0, (k + 1.920729410347 - 1.959963984540 * sqrt(k::float8 * (n - k) / n + 0.960364705174))
                      / (n + 3.841458820694))::numeric, 4)
END;
CREATE FUNCTION wilson_high(k bigint, n bigint) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
CASE WHEN n > 0 THEN
    round(least(1, (k + 1.920729410347 + 1.959963984540 * sqrt(k::float8 * (n - k) / n + 0.960364705174))
                   / (n + 3.841458820694))::numeric, 4)
END;

-- Trends -------------------------------------------------------------------------------------------------------------

-- The bucket before is looked up by its key, row by row, and not at all where no column needs it. lag() would read the
-- whole series, and so would a plain join, whose other side no range of bucket reaches. max() of one row is that row:
-- a subquery of aggregates has one row for certain, which is what lets the planner leave it out.
-- 24 hours, not a day: days of a session's time zone may have 23.
CREATE OR REPLACE VIEW trend_minute AS
SELECT now.bucket, now.topic, now.stream, now.lang, now.n, now.negative, now.neutral, now.positive,
       round(now.negative::numeric / now.n, 4) AS negative_share,
       round((now.score_sum / now.n)::numeric, 4) AS mean_score,
       round(now.neutral::numeric / now.n, 4) AS neutral_share,
       round(now.positive::numeric / now.n, 4) AS positive_share,
       wilson_low(now.negative, now.n) AS negative_low,
       wilson_high(now.negative, now.n) AS negative_high,
       before.n AS previous_n,
       now.n - before.n AS n_change,
       round(now.negative::numeric / now.n - before.negative::numeric / before.n, 4) AS negative_share_change,
       round((now.score_sum / now.n - before.score_sum / before.n)::numeric, 4) AS mean_score_change
FROM sentiment_minute AS now
LEFT JOIN LATERAL (
    SELECT max(n) AS n, max(negative) AS negative, max(score_sum) AS score_sum FROM sentiment_minute
    WHERE bucket = now.bucket - interval '1 minute' AND topic = now.topic AND stream = now.stream AND lang = now.lang
      AND n > 0
) AS before ON true
WHERE now.n > 0;

CREATE OR REPLACE VIEW trend_hourly AS
SELECT now.bucket, now.topic, now.stream, now.lang, now.n::bigint AS n, now.negative::bigint AS negative,
       now.neutral::bigint AS neutral, now.positive::bigint AS positive,
       round(now.negative::numeric / now.n, 4) AS negative_share,
       round((now.score_sum / now.n)::numeric, 4) AS mean_score,
       round(now.neutral::numeric / now.n, 4) AS neutral_share,
       round(now.positive::numeric / now.n, 4) AS positive_share,
       wilson_low(now.negative, now.n) AS negative_low,
       wilson_high(now.negative, now.n) AS negative_high,
       before.n::bigint AS previous_n,
       (now.n - before.n)::bigint AS n_change,
       round(now.negative::numeric / now.n - before.negative::numeric / before.n, 4) AS negative_share_change,
       round((now.score_sum / now.n - before.score_sum / before.n)::numeric, 4) AS mean_score_change
FROM sentiment_hour AS now
LEFT JOIN LATERAL (
    SELECT max(n) AS n, max(negative) AS negative, max(score_sum) AS score_sum FROM sentiment_hour
    WHERE bucket = now.bucket - interval '1 hour' AND topic = now.topic AND stream = now.stream AND lang = now.lang
      AND n > 0
) AS before ON true
WHERE now.n > 0;

CREATE VIEW trend_daily AS
SELECT now.bucket, now.topic, now.stream, now.lang, now.n::bigint AS n, now.negative::bigint AS negative,
       now.neutral::bigint AS neutral, now.positive::bigint AS positive,
       round(now.negative::numeric / now.n, 4) AS negative_share,
       round((now.score_sum / now.n)::numeric, 4) AS mean_score,
       round(now.neutral::numeric / now.n, 4) AS neutral_share,
       round(now.positive::numeric / now.n, 4) AS positive_share,
       wilson_low(now.negative, now.n) AS negative_low,
       wilson_high(now.negative, now.n) AS negative_high,
       before.n::bigint AS previous_n,
       (now.n - before.n)::bigint AS n_change,
       round(now.negative::numeric / now.n - before.negative::numeric / before.n, 4) AS negative_share_change,
       round((now.score_sum / now.n - before.score_sum / before.n)::numeric, 4) AS mean_score_change
FROM sentiment_day AS now
LEFT JOIN LATERAL (
    SELECT max(n) AS n, max(negative) AS negative, max(score_sum) AS score_sum FROM sentiment_day
    WHERE bucket = now.bucket - interval '24 hours' AND topic = now.topic AND stream = now.stream AND lang = now.lang
      AND n > 0
) AS before ON true
WHERE now.n > 0;

-- Now: both hours are one index range, bounded above so that the planner does not expect a third of the table -----------

CREATE OR REPLACE VIEW topic_now AS
SELECT topic, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score,
       last_minute,
       wilson_low(negative, n) AS negative_low,
       wilson_high(negative, n) AS negative_high,
       previous_n,
       n - previous_n AS n_change,
       round(negative::numeric / n - previous_negative::numeric / previous_n, 4) AS negative_share_change
FROM (
    SELECT topic,
           sum(n) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS n,
           sum(negative) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS negative,
           sum(neutral) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS neutral,
           sum(positive) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS positive,
           sum(score_sum) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS score_sum,
           sum(n) FILTER (WHERE bucket <= newest.minute - interval '1 hour') AS previous_n,
           sum(negative) FILTER (WHERE bucket <= newest.minute - interval '1 hour') AS previous_negative,
           max(bucket) AS last_minute
    FROM (SELECT max(bucket) AS minute FROM sentiment_minute WHERE n > 0) AS newest
    JOIN sentiment_minute ON bucket > newest.minute - interval '2 hours' AND bucket <= newest.minute AND n > 0
    GROUP BY topic
) AS hours
WHERE n > 0;

CREATE VIEW entity_now AS
SELECT entity, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score,
       last_minute,
       wilson_low(negative, n) AS negative_low,
       wilson_high(negative, n) AS negative_high,
       previous_n,
       n - previous_n AS n_change,
       round(negative::numeric / n - previous_negative::numeric / previous_n, 4) AS negative_share_change
FROM (
    SELECT entity,
           sum(n) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS n,
           sum(negative) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS negative,
           sum(neutral) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS neutral,
           sum(positive) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS positive,
           sum(score_sum) FILTER (WHERE bucket > newest.minute - interval '1 hour') AS score_sum,
           sum(n) FILTER (WHERE bucket <= newest.minute - interval '1 hour') AS previous_n,
           sum(negative) FILTER (WHERE bucket <= newest.minute - interval '1 hour') AS previous_negative,
           max(bucket) AS last_minute
    FROM (SELECT max(bucket) AS minute FROM sentiment_minute WHERE n > 0) AS newest
    JOIN entity_minute ON bucket > newest.minute - interval '2 hours' AND bucket <= newest.minute AND n > 0
    GROUP BY entity
) AS hours
WHERE n > 0;

-- Documents and sources ----------------------------------------------------------------------------------------------

-- Each document is looked up in its own partition: scores are read from their index, the worst first, until there are enough.
CREATE VIEW worst_documents AS
SELECT scores.published_at, scores.topic, scores.score, scores.confidence, document.source, document.id,
       document.stream, document.lang, document.title, left(document.text, 280) AS excerpt, document.url,
       document.entities
FROM scores
CROSS JOIN LATERAL (
    SELECT * FROM documents
    WHERE documents.published_at = scores.published_at AND documents.key = scores.key OFFSET 0
) AS document
WHERE scores.counted AND scores.sentiment = 'negative';

-- The sum over all sources is looked up for each hour and stream: a window function would keep `source = …` from the index.
CREATE VIEW source_mix AS
SELECT one.bucket, one.source, one.stream, one.n::bigint AS n, one.negative::bigint AS negative,
       one.neutral::bigint AS neutral, one.positive::bigint AS positive,
       round(one.negative::numeric / one.n, 4) AS negative_share,
       round((one.score_sum / one.n)::numeric, 4) AS mean_score,
       round(one.n::numeric / every.n, 4) AS share_of_stream
FROM source_hour AS one
LEFT JOIN LATERAL (
    SELECT sum(n) AS n FROM source_hour WHERE bucket = one.bucket AND stream = one.stream
) AS every ON true
WHERE one.n > 0;

-- A trend without gaps -------------------------------------------------------------------------------------------------

CREATE TYPE trend_bucket AS (
    bucket                timestamptz,
    n                     bigint,
    negative              bigint,
    neutral               bigint,
    positive              bigint,
    negative_share        numeric,
    mean_score            numeric,
    negative_low          numeric,
    negative_high         numeric,
    n_change              bigint,
    negative_share_change numeric
);

-- Days begin at midnight UTC and weeks on Monday, whatever the session's time zone.
CREATE FUNCTION trend(topic text, since timestamptz, bucket interval DEFAULT '1 hour', until timestamptz DEFAULT NULL,
                      stream text DEFAULT NULL, lang text DEFAULT NULL)
RETURNS SETOF trend_bucket LANGUAGE plpgsql STABLE SECURITY DEFINER
SET timezone = 'UTC' SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    monday  CONSTANT timestamptz := '2000-01-03Z';
    width   interval := greatest(trend.bucket, interval '1 minute');
    seconds bigint := extract(epoch FROM width);
    oldest  timestamptz := CASE
        WHEN seconds % 86400 = 0 THEN (SELECT min(bucket) FROM sentiment_day WHERE n > 0)
        WHEN seconds % 3600 = 0 THEN (SELECT min(bucket) FROM sentiment_hour WHERE n > 0)
        ELSE (SELECT min(bucket) FROM sentiment_minute WHERE n > 0)
    END;
    newest  timestamptz := (SELECT max(bucket) FROM sentiment_minute WHERE n > 0);
    first   timestamptz := date_bin(width, greatest(trend.since, oldest), monday);
    last    timestamptz := date_bin(width, least(trend.until - interval '1 microsecond', newest), monday);
    before  timestamptz := greatest(first - width, date_bin(width, oldest, monday));
BEGIN
    IF oldest IS NULL OR first > last THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH counted AS (
        SELECT date_bin(width, bucket, monday) AS slot, sum(n) AS n, sum(negative) AS negative, sum(neutral) AS neutral,
               sum(positive) AS positive, sum(score_sum) AS score_sum
        FROM (
            SELECT * FROM sentiment_minute WHERE seconds % 3600 <> 0
            UNION ALL
            SELECT * FROM sentiment_hour WHERE seconds % 3600 = 0 AND seconds % 86400 <> 0
            UNION ALL
            SELECT * FROM sentiment_day WHERE seconds % 86400 = 0
        ) AS rollup
        WHERE bucket >= before AND bucket < last + width
          AND (trend.topic IS NULL OR topic = trend.topic) AND (trend.stream IS NULL OR stream = trend.stream)
          AND (trend.lang IS NULL OR lang = trend.lang)
        GROUP BY 1
    ), filled AS (
        SELECT slot, coalesce(n, 0)::bigint AS n, coalesce(negative, 0)::bigint AS negative,
               coalesce(neutral, 0)::bigint AS neutral, coalesce(positive, 0)::bigint AS positive,
               negative::numeric / nullif(n, 0) AS share, score_sum / nullif(n, 0) AS score
        FROM generate_series(before, last, width) AS slot LEFT JOIN counted USING (slot)
    ), compared AS (
        SELECT filled.*, n - lag(n) OVER (ORDER BY slot) AS n_change, share - lag(share) OVER (ORDER BY slot) AS share_change
        FROM filled
    )
    SELECT slot, n, negative, neutral, positive, round(share, 4), round(score::numeric, 4), wilson_low(negative, n),
           wilson_high(negative, n), n_change, round(share_change, 4)
    FROM compared WHERE slot >= first ORDER BY slot;
END $$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION trend(text, timestamptz, interval, timestamptz, text, text) SET search_path = %I, pg_temp',
                   current_schema());
    REVOKE ALL ON FUNCTION trend(text, timestamptz, interval, timestamptz, text, text) FROM PUBLIC;
END $$;
