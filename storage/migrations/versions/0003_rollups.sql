-- One counted score a document, rollups for years, entities, full text, and partitions that can be dropped by the day.

-- Which model counts -------------------------------------------------------------------------------------------------

ALTER TABLE models ADD COLUMN active boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX models_one_active ON models (active) WHERE active;
UPDATE models SET active = true WHERE model_id = (SELECT max(model_id) FROM models);

-- A row-by-row foreign key costs the writer a tenth of its rate; models are never deleted.
ALTER TABLE scores DROP CONSTRAINT scores_model_id_fkey;
ALTER TABLE scores ADD COLUMN counted boolean NOT NULL DEFAULT true;
DROP INDEX scores_sentiment_time;
CREATE INDEX scores_negative ON scores (topic, published_at) WHERE counted AND sentiment = 'negative';
CREATE INDEX scores_worst ON scores (score) WHERE counted AND sentiment = 'negative';

CREATE INDEX document_keys_time ON document_keys USING brin (published_at) WITH (autosummarize = on);

-- Entities -----------------------------------------------------------------------------------------------------------

UPDATE documents
SET entities = ARRAY(SELECT entity FROM unnest(entities) WITH ORDINALITY AS given (entity, place)
                     WHERE entity <> '' GROUP BY entity ORDER BY min(place))
WHERE cardinality(entities) <> (SELECT count(DISTINCT entity) FROM unnest(entities) AS entity WHERE entity <> '');

CREATE TABLE document_entities (
    entity       text NOT NULL CHECK (length(entity) BETWEEN 1 AND 200),
    published_at timestamptz NOT NULL,
    key          uuid NOT NULL,
    PRIMARY KEY (entity, published_at, key)
) PARTITION BY RANGE (published_at);
CREATE TABLE document_entities_before_2000 PARTITION OF document_entities
    FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');

-- Full text ----------------------------------------------------------------------------------------------------------

CREATE TABLE document_search (
    published_at timestamptz NOT NULL,
    key          uuid NOT NULL,
    words        tsvector NOT NULL
) PARTITION BY RANGE (published_at);
CREATE TABLE document_search_before_2000 PARTITION OF document_search
    FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');
CREATE INDEX document_search_words ON document_search USING gin (words);

CREATE TABLE index_queue (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    keys     uuid[] NOT NULL,
    times    timestamptz[] NOT NULL,
    CHECK (cardinality(keys) = cardinality(times))
);

-- Digests do not compress.
ALTER TABLE index_queue ALTER keys SET STORAGE EXTERNAL, ALTER times SET STORAGE EXTERNAL;

CREATE FUNCTION search_terms(words text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
CASE WHEN words !~ '[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]' THEN words ELSE
    regexp_replace(words, '([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{2})', ' \1 ', 'g') || ' '
    || regexp_replace(
        regexp_replace(
            regexp_replace(words, '[^\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+', ' ', 'g'), '(^| )[^ ]', '\1', 'g'),
        '([^ ]{2})', ' \1 ', 'g')
END;

CREATE FUNCTION search_query(query text) RETURNS tsquery LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    latin text := regexp_replace(query, '[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+', ' ', 'g');
    found tsquery := '';
    run   text;
BEGIN
    IF latin ~ '[[:alnum:]]' THEN
        found := websearch_to_tsquery('english', latin);
    END IF;
    FOR run IN SELECT piece[1] FROM regexp_matches(query, '[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+', 'g') AS piece LOOP
        IF length(run) = 1 THEN
            found := found && to_tsquery('simple', run || ':*');
        ELSE
            found := found && (SELECT to_tsquery('simple', string_agg(substr(run, place, 2), ' & '))
                               FROM generate_series(1, length(run) - 1) AS place);
        END IF;
    END LOOP;
    RETURN found;
END $$;

CREATE FUNCTION index_documents(max_documents integer DEFAULT 2000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    taken   index_queue;
    indexed integer := 0;
BEGIN
    WHILE indexed < max_documents LOOP
        DELETE FROM index_queue
        WHERE entry_id = (SELECT entry_id FROM index_queue ORDER BY entry_id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING * INTO taken;
        EXIT WHEN NOT FOUND;
        WITH waiting AS MATERIALIZED (
            SELECT document.*
            FROM unnest(taken.times, taken.keys) AS entry (published_at, key)
            CROSS JOIN LATERAL (
                SELECT published_at, key, title, text, entities FROM documents
                WHERE documents.published_at = entry.published_at AND documents.key = entry.key OFFSET 0
            ) AS document
        ), named AS (
            INSERT INTO document_entities (entity, published_at, key)
            SELECT entity, published_at, key FROM waiting CROSS JOIN unnest(entities) AS entity ORDER BY 1, 2, 3
        )
        INSERT INTO document_search (published_at, key, words)
        SELECT published_at, key, to_tsvector('english', search_terms(concat_ws(' ', title, text))) FROM waiting;
        indexed := indexed + cardinality(taken.keys);
    END LOOP;
    RETURN indexed;
END $$;

CREATE FUNCTION search_documents(query text, since timestamptz DEFAULT '-infinity', max_rows integer DEFAULT 50)
RETURNS TABLE (published_at timestamptz, source text, id text, stream text, lang text, topic text, sentiment text,
               score double precision, title text, text text, url text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50 SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    wanted tsquery := search_query(search_documents.query);
    oldest timestamptz;
    until  timestamptz;
    start  timestamptz;
    span   interval := '1 day';
    times  timestamptz[] := '{}';
    keys   uuid[] := '{}';
    part   record;
BEGIN
    -- Newest first, in windows that grow: a common word is found in the last days, a rare one in few steps, and no index
    -- is read that need not be.
    SELECT min(day)::timestamp AT TIME ZONE 'UTC' AS first, (max(day) + 1)::timestamp AT TIME ZONE 'UTC' AS past
    INTO part
    FROM (SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day
          FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
          WHERE inhparent = 'document_search'::regclass AND relname ~ '_[0-9]{8}$') AS days;
    oldest := coalesce(part.first, '2000-01-01Z');
    until := coalesce(part.past, '2000-01-01Z');
    LOOP
        start := greatest(since, CASE WHEN until > oldest THEN greatest(oldest, until - span) ELSE '-infinity' END);
        SELECT coalesce(array_agg(published_at), '{}') AS times, coalesce(array_agg(key), '{}') AS keys INTO part
        FROM (
            SELECT published_at, key FROM document_search
            WHERE words @@ wanted AND published_at >= start AND published_at < until
            ORDER BY published_at DESC LIMIT max_rows - cardinality(times)
        ) AS newest;
        times := times || part.times;
        keys := keys || part.keys;
        EXIT WHEN cardinality(times) >= max_rows OR start IN (since, '-infinity');
        until := start;
        span := span * 2;
    END LOOP;
    RETURN QUERY
    SELECT found.published_at, document.source, document.id, document.stream, document.lang, verdict.topic,
           verdict.sentiment, verdict.score, document.title, document.text, document.url
    FROM unnest(times, keys) AS found (published_at, key)
    CROSS JOIN LATERAL (
        SELECT * FROM documents WHERE documents.published_at = found.published_at AND documents.key = found.key OFFSET 0
    ) AS document
    CROSS JOIN LATERAL (
        SELECT * FROM scores
        WHERE scores.published_at = found.published_at AND scores.key = found.key AND counted OFFSET 0
    ) AS verdict
    ORDER BY found.published_at DESC, document.source, document.id;
END $$;

-- Partitions by day ----------------------------------------------------------------------------------------------------

-- A partition is made stand-alone and then attached: attaching does not block readers or writers.
CREATE OR REPLACE FUNCTION ensure_document_day(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    parent text;
    child  text;
BEGIN
    -- A look into the table, not to_regclass: that would remember what is absent past the wait for the lock.
    IF day < DATE '2000-01-01' OR 4 = (
        SELECT count(*) FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (ARRAY[
            'documents_' || to_char(day, 'YYYYMMDD'), 'scores_' || to_char(day, 'YYYYMMDD'),
            'document_entities_' || to_char(day, 'YYYYMMDD'), 'document_search_' || to_char(day, 'YYYYMMDD')])
    ) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('newsquake.ensure_document_day'));
    FOREACH parent IN ARRAY ARRAY['documents', 'scores', 'document_entities', 'document_search'] LOOP
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(format('%I.%I', current_schema(), child)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION document_days() RETURNS TABLE (day date, bytes bigint) LANGUAGE sql STABLE AS $$
    SELECT to_date(right(child.relname, 8), 'YYYYMMDD'), sum(pg_total_relation_size(child.oid))::bigint
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE parent.relnamespace = current_schema()::regnamespace
      AND parent.relname IN ('documents', 'scores', 'document_entities', 'document_search')
      AND child.relname ~ ('^' || parent.relname || '_[0-9]{8}$')
    GROUP BY 1
$$;

CREATE FUNCTION drop_document_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
    parent  text;
    child   text;
    dropped boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('newsquake.ensure_document_day'));
    FOREACH parent IN ARRAY ARRAY['documents', 'scores', 'document_entities', 'document_search'] LOOP
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(format('%I.%I', current_schema(), child)) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, child);
            EXECUTE format('DROP TABLE %I', child);
            dropped := true;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

CREATE FUNCTION drop_documents_before_2000() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
BEGIN
    IF EXISTS (SELECT FROM documents_before_2000) THEN
        TRUNCATE documents_before_2000, scores_before_2000, document_entities_before_2000, document_search_before_2000;
    END IF;
END $$;

-- Whoever calls them, these work on the tables of this schema and on no others.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ensure_document_day(date)', 'drop_document_day(date)', 'drop_documents_before_2000()',
        'index_documents(integer)', 'search_documents(text, timestamptz, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END $$;

-- Partitions of days that are there already.
SELECT ensure_document_day(day) FROM document_days();

-- Rollups ------------------------------------------------------------------------------------------------------------

-- Documents can move from one row to another when another model counts, so a change may be negative; n may end at zero.
ALTER TABLE sentiment_minute DROP CONSTRAINT sentiment_minute_negative_check,
    DROP CONSTRAINT sentiment_minute_neutral_check, DROP CONSTRAINT sentiment_minute_positive_check;

CREATE TABLE sentiment_hour (LIKE sentiment_minute INCLUDING ALL);
CREATE TABLE sentiment_day (LIKE sentiment_minute INCLUDING ALL);

CREATE TABLE source_hour (
    bucket    timestamptz NOT NULL,
    source    text NOT NULL,
    stream    text NOT NULL CHECK (stream IN ('news', 'comment')),
    n         integer NOT NULL CHECK (n = negative + neutral + positive),
    negative  integer NOT NULL,
    neutral   integer NOT NULL,
    positive  integer NOT NULL,
    score_sum double precision NOT NULL,
    PRIMARY KEY (bucket, source, stream)
);

CREATE TABLE entity_minute (
    bucket    timestamptz NOT NULL,
    entity    text NOT NULL CHECK (length(entity) BETWEEN 1 AND 200),
    stream    text NOT NULL CHECK (stream IN ('news', 'comment')),
    n         integer NOT NULL CHECK (n = negative + neutral + positive),
    negative  integer NOT NULL,
    neutral   integer NOT NULL,
    positive  integer NOT NULL,
    score_sum double precision NOT NULL,
    PRIMARY KEY (entity, bucket, stream)
);
CREATE INDEX entity_minute_bucket ON entity_minute USING brin (bucket) WITH (autosummarize = on);

INSERT INTO sentiment_hour
SELECT date_trunc('hour', bucket, 'UTC'), topic, stream, lang, sum(n), sum(negative), sum(neutral), sum(positive),
       sum(score_sum)
FROM sentiment_minute GROUP BY 1, 2, 3, 4;
INSERT INTO sentiment_day
SELECT date_trunc('day', bucket, 'UTC'), topic, stream, lang, sum(n), sum(negative), sum(neutral), sum(positive),
       sum(score_sum)
FROM sentiment_hour GROUP BY 1, 2, 3, 4;
INSERT INTO source_hour
SELECT date_trunc('hour', published_at, 'UTC'), source, stream, count(*),
       count(*) FILTER (WHERE sentiment = 'negative'), count(*) FILTER (WHERE sentiment = 'neutral'),
       count(*) FILTER (WHERE sentiment = 'positive'), sum(score)
FROM documents JOIN scores USING (published_at, key) GROUP BY 1, 2, 3;
INSERT INTO entity_minute (bucket, entity, stream, n, negative, neutral, positive, score_sum)
SELECT date_trunc('minute', published_at, 'UTC'), entity, stream, count(*),
       count(*) FILTER (WHERE sentiment = 'negative'), count(*) FILTER (WHERE sentiment = 'neutral'),
       count(*) FILTER (WHERE sentiment = 'positive'), sum(score)
FROM documents JOIN scores USING (published_at, key) CROSS JOIN unnest(entities) AS entity GROUP BY 1, 2, 3;
INSERT INTO index_queue (keys, times)
SELECT array_agg(key), array_agg(published_at)
FROM (SELECT key, published_at, (row_number() OVER (ORDER BY published_at DESC) - 1) / 500 AS part FROM documents) AS all_
GROUP BY part ORDER BY part;

-- Views --------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW trend_minute AS
SELECT bucket, topic, stream, lang, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_minute WHERE n > 0;

CREATE OR REPLACE VIEW trend_hourly AS
SELECT bucket, topic, stream, lang, n::bigint AS n, negative::bigint AS negative, neutral::bigint AS neutral,
       positive::bigint AS positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_hour WHERE n > 0;

CREATE OR REPLACE VIEW topic_now AS
WITH latest AS (SELECT max(bucket) AS minute FROM sentiment_minute WHERE n > 0)
SELECT topic,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score,
       max(bucket) AS last_minute
FROM sentiment_minute, latest
WHERE bucket > latest.minute - interval '1 hour' AND n > 0
GROUP BY topic;

-- Values that are one of a few ---------------------------------------------------------------------------------------

ALTER TABLE alerts ADD CONSTRAINT alerts_stream_check CHECK (stream IN ('news', 'comment', '*'));
