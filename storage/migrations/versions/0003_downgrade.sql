-- Back to revision 0002: documents, their counted scores and the minute rollups stay.

DROP FUNCTION search_documents, index_documents, search_query, search_terms;
DROP FUNCTION drop_documents_before_2000, drop_document_day, document_days;
DROP TABLE index_queue, document_search, document_entities;
DROP TABLE entity_minute, source_hour, sentiment_day;

CREATE OR REPLACE VIEW trend_minute AS
SELECT bucket, topic, stream, lang, n, negative, neutral, positive,
       round(negative::numeric / n, 4) AS negative_share,
       round((score_sum / n)::numeric, 4) AS mean_score
FROM sentiment_minute;

CREATE OR REPLACE VIEW trend_hourly AS
SELECT date_trunc('hour', bucket, 'UTC') AS bucket, topic, stream, lang,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score
FROM sentiment_minute
GROUP BY 1, 2, 3, 4;

CREATE OR REPLACE VIEW topic_now AS
WITH latest AS (SELECT max(bucket) AS minute FROM sentiment_minute)
SELECT topic,
       sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(neutral)::bigint AS neutral,
       sum(positive)::bigint AS positive,
       round(sum(negative)::numeric / sum(n), 4) AS negative_share,
       round((sum(score_sum) / sum(n))::numeric, 4) AS mean_score,
       max(bucket) AS last_minute
FROM sentiment_minute, latest
WHERE bucket > latest.minute - interval '1 hour'
GROUP BY topic;

DROP TABLE sentiment_hour;
DELETE FROM sentiment_minute WHERE n = 0;
ALTER TABLE sentiment_minute
    ADD CONSTRAINT sentiment_minute_negative_check CHECK (negative >= 0),
    ADD CONSTRAINT sentiment_minute_neutral_check CHECK (neutral >= 0),
    ADD CONSTRAINT sentiment_minute_positive_check CHECK (positive >= 0);

CREATE OR REPLACE FUNCTION ensure_document_day(day date) RETURNS void LANGUAGE plpgsql SECURITY INVOKER AS $$
DECLARE
    parent text;
    child  text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('newsquake.ensure_document_day'));
    FOREACH parent IN ARRAY ARRAY['documents', 'scores'] LOOP
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        IF day >= DATE '2000-01-01' AND to_regclass(format('%I.%I', current_schema(), child)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;
ALTER FUNCTION ensure_document_day(date) RESET ALL;
GRANT EXECUTE ON FUNCTION ensure_document_day(date) TO PUBLIC;
COMMENT ON FUNCTION ensure_document_day IS 'Creates the partitions of one UTC day unless they exist. Days before 2000 share one partition.';

DELETE FROM scores WHERE NOT counted;
DROP INDEX scores_negative, scores_worst, document_keys_time, models_one_active;
ALTER TABLE scores DROP COLUMN counted;
CREATE INDEX scores_sentiment_time ON scores (sentiment, topic, published_at);
ALTER TABLE scores ADD CONSTRAINT scores_model_id_fkey FOREIGN KEY (model_id) REFERENCES models;
ALTER TABLE models DROP COLUMN active;
ALTER TABLE alerts DROP CONSTRAINT alerts_stream_check;

-- Roles are the cluster's: other databases may use them, so they stay, without rights here.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['newsquake_writer', 'newsquake_reader'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), name);
            EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM %I', current_schema(), name);
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), name);
        END IF;
    END LOOP;
END $$;
