-- Head of `write_batch.sql` where documents may be stored already: only those whose key is new go on. Keys first, in
-- order.
WITH fresh AS (
    INSERT INTO document_keys (key, published_at)
    SELECT key, published_at FROM staging ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING key
), stored AS (
    SELECT staging.* FROM staging JOIN fresh USING (key)
)
