-- One micro-batch, exactly once, from the staging table that COPY has just filled. The head, `all_new.sql` or
-- `some_new.sql`, has a CTE `stored` of what is new; that is stored, counted and queued for the indexes that are filled
-- later. `rollups.sql` is the statement's tail.
, written AS (
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
