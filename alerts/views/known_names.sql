-- When each name was first counted. A loose scan of the key (entity, bucket, stream): one probe a name, however many
-- minutes there are of it.
WITH RECURSIVE names AS (
    (SELECT entity, bucket FROM entity_minute ORDER BY entity, bucket LIMIT 1)
    UNION ALL
    SELECT following.entity, following.bucket
    FROM names
    CROSS JOIN LATERAL (
        SELECT entity, bucket FROM entity_minute WHERE entity > names.entity ORDER BY entity, bucket LIMIT 1
    ) AS following
)
SELECT bucket FROM names WHERE entity <> '*'
