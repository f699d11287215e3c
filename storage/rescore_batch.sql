-- The staged documents that are stored already, scored by another model: its scores are kept beside the others', in the
-- partition of the publication time that is stored. If the model is the active one its scores count from now on: the
-- rollups move. A second delivery inserts nothing, and so moves nothing. `rollups.sql` is the statement's tail.
WITH known AS MATERIALIZED (
    SELECT document.published_at, document.key, document.source, document.stream, document.lang, document.entities,
           staging.model_id, staging.topic, staging.sentiment, staging.negative, staging.neutral, staging.positive,
           staging.score, staging.confidence,
           staging.model_id IN (SELECT model_id FROM models WHERE active) AS counted
    FROM staging
    CROSS JOIN LATERAL (
        SELECT published_at FROM document_keys WHERE document_keys.key = staging.key OFFSET 0
    ) AS identity
    CROSS JOIN LATERAL (
        SELECT published_at, key, source, stream, lang, entities FROM documents
        WHERE documents.published_at = identity.published_at AND documents.key = staging.key OFFSET 0
    ) AS document
), rescored AS (
    INSERT INTO scores (published_at, key, model_id, topic, sentiment, negative, neutral, positive, score, confidence,
                        counted)
    SELECT published_at, key, model_id, topic, sentiment, negative, neutral, positive, score, confidence, counted
    FROM known
    ORDER BY published_at, key
    ON CONFLICT DO NOTHING
    RETURNING published_at, key, topic, sentiment, score, counted
), replaced AS (
    UPDATE scores SET counted = false
    FROM rescored
    WHERE rescored.counted AND scores.counted
      AND scores.published_at = rescored.published_at AND scores.key = rescored.key
    RETURNING scores.published_at, scores.key, scores.topic, scores.sentiment, scores.score
), moved AS (
    SELECT published_at, key, topic, sentiment, score, 1 AS sign FROM rescored WHERE counted
    UNION ALL
    SELECT published_at, key, topic, sentiment, score, -1 FROM replaced
), changes AS (
    SELECT published_at, known.source, known.stream, known.lang, known.entities, moved.topic, moved.sentiment,
           moved.score, moved.sign
    FROM moved JOIN known USING (published_at, key)
)
