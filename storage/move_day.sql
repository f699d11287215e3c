-- One day of documents that the model :model_id has scored and that count under another one: from now on its scores
-- count. `rollups.sql` is the statement's tail.
WITH gained AS (
    UPDATE scores SET counted = true
    WHERE published_at >= :start AND published_at < :end AND model_id = :model_id AND NOT counted
    RETURNING published_at, key, topic, sentiment, score
), lost AS (
    UPDATE scores SET counted = false
    FROM gained
    WHERE scores.published_at >= :start AND scores.published_at < :end AND scores.counted
      AND scores.published_at = gained.published_at AND scores.key = gained.key
    RETURNING scores.published_at, scores.key, scores.topic, scores.sentiment, scores.score
), moved AS (
    SELECT published_at, key, topic, sentiment, score, 1 AS sign FROM gained
    UNION ALL
    SELECT published_at, key, topic, sentiment, score, -1 FROM lost
), changes AS (
    SELECT published_at, documents.source, documents.stream, documents.lang, documents.entities, moved.topic,
           moved.sentiment, moved.score, moved.sign
    FROM moved JOIN documents USING (published_at, key)
    WHERE published_at >= :start AND published_at < :end
)
