, minutes AS MATERIALIZED (
    -- Tail of a statement that has a CTE `changes` (published_at, source, stream, lang, entities, topic, sentiment,
    -- score, sign): brings every rollup up to date. Each one is raised in its key's order and after all rows: no
    -- deadlocks. date_bin gives UTC buckets and, unlike date_trunc, looks no time zone up for each row.
    SELECT date_bin('1 minute', published_at, '2000-01-01Z') AS bucket, topic, stream, lang, sum(sign)::integer AS n,
           sum(CASE sentiment WHEN 'negative' THEN sign ELSE 0 END)::integer AS negative,
           sum(CASE sentiment WHEN 'neutral' THEN sign ELSE 0 END)::integer AS neutral,
           sum(CASE sentiment WHEN 'positive' THEN sign ELSE 0 END)::integer AS positive,
           sum(sign * score) AS score_sum
    FROM changes
    GROUP BY 1, 2, 3, 4
), hours AS MATERIALIZED (
    SELECT date_bin('1 hour', bucket, '2000-01-01Z') AS bucket, topic, stream, lang, sum(n)::integer AS n,
           sum(negative)::integer AS negative, sum(neutral)::integer AS neutral, sum(positive)::integer AS positive,
           sum(score_sum) AS score_sum
    FROM minutes
    GROUP BY 1, 2, 3, 4
), raised_day AS (
    INSERT INTO sentiment_day AS total (bucket, topic, stream, lang, n, negative, neutral, positive, score_sum)
    SELECT date_bin('1 day', bucket, '2000-01-01Z'), topic, stream, lang, sum(n), sum(negative), sum(neutral), sum(positive),
           sum(score_sum)
    FROM hours
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (bucket, topic, stream, lang) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
), raised_hour AS (
    INSERT INTO sentiment_hour AS total (bucket, topic, stream, lang, n, negative, neutral, positive, score_sum)
    SELECT bucket, topic, stream, lang, n, negative, neutral, positive, score_sum
    FROM hours
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (bucket, topic, stream, lang) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
), raised_source AS (
    INSERT INTO source_hour AS total (bucket, source, stream, n, negative, neutral, positive, score_sum)
    SELECT date_bin('1 hour', published_at, '2000-01-01Z'), source, stream, sum(sign),
           sum(CASE sentiment WHEN 'negative' THEN sign ELSE 0 END),
           sum(CASE sentiment WHEN 'neutral' THEN sign ELSE 0 END),
           sum(CASE sentiment WHEN 'positive' THEN sign ELSE 0 END),
           sum(sign * score)
    FROM changes
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (bucket, source, stream) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
), raised_entity AS (
    INSERT INTO entity_minute AS total (bucket, entity, stream, n, negative, neutral, positive, score_sum)
    SELECT date_bin('1 minute', published_at, '2000-01-01Z'), entity, stream, sum(sign),
           sum(CASE sentiment WHEN 'negative' THEN sign ELSE 0 END),
           sum(CASE sentiment WHEN 'neutral' THEN sign ELSE 0 END),
           sum(CASE sentiment WHEN 'positive' THEN sign ELSE 0 END),
           sum(sign * score)
    FROM changes CROSS JOIN unnest(entities) AS entity
    WHERE entities <> '{}'
    GROUP BY 1, 2, 3
    ORDER BY 2, 1, 3
    ON CONFLICT (entity, bucket, stream) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
), raised AS (
    INSERT INTO sentiment_minute AS total (bucket, topic, stream, lang, n, negative, neutral, positive, score_sum)
    SELECT bucket, topic, stream, lang, n, negative, neutral, positive, score_sum
    FROM minutes
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (bucket, topic, stream, lang) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
)
