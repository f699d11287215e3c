-- Head of `write_batch.sql` where no document is expected to be stored already: one look into the keys' index for each,
-- not two, and no join. A known key is a unique violation, and nothing is stored. Keys first, in order.
WITH fresh AS (
    INSERT INTO document_keys (key, published_at)
    SELECT key, published_at FROM staging ORDER BY key
    RETURNING 1
), stored AS (
    SELECT * FROM staging WHERE (SELECT count(*) FROM fresh) > 0
)
