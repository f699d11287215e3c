-- One micro-batch, exactly once. Reads the staging table that COPY has just filled; only documents whose key is new
-- are stored, and only they raise the rollups. Keys first, then rollups, each in order: workers cannot deadlock.
WITH fresh AS (
    INSERT INTO document_keys (key, published_at)
    SELECT key, published_at FROM staging ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING key
), stored AS (
    SELECT staging.* FROM staging JOIN fresh USING (key)
), written AS (
    INSERT INTO documents (published_at, key, source, id, stream, lang, title, text, url, author, entities,
                           content_hash)
    SELECT published_at, key, source, id, stream, lang, title, text, url, author, entities, content_hash FROM stored
), scored AS (
    INSERT INTO scores (published_at, key, model_id, topic, sentiment, negative, neutral, positive, score, confidence)
    SELECT published_at, key, model_id, topic, sentiment, negative, neutral, positive, score, confidence FROM stored
), raised AS (
    INSERT INTO sentiment_minute AS total (bucket, topic, stream, lang, n, negative, neutral, positive, score_sum)
    SELECT date_trunc('minute', published_at), topic, stream, lang,
           count(*), count(*) FILTER (WHERE sentiment = 'negative'), count(*) FILTER (WHERE sentiment = 'neutral'),
           count(*) FILTER (WHERE sentiment = 'positive'), sum(score)
    FROM stored
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (bucket, topic, stream, lang) DO UPDATE
    SET n = total.n + excluded.n,
        negative = total.negative + excluded.negative,
        neutral = total.neutral + excluded.neutral,
        positive = total.positive + excluded.positive,
        score_sum = total.score_sum + excluded.score_sum
)
SELECT count(*) FROM fresh
