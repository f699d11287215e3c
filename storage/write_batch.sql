-- One micro-batch, exactly once. Reads the staging table that COPY has just filled; only documents whose key is new
-- are stored, counted and queued for the indexes that are filled later. Keys first, in order; `rollups.sql` is the statement's tail.
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
), queued AS (
    INSERT INTO index_queue (keys, times)
    SELECT array_agg(key), array_agg(published_at) FROM stored HAVING count(*) > 0
), changes AS (
    SELECT published_at, source, stream, lang, entities, topic, sentiment, score, 1 AS sign FROM stored
)
