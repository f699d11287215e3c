-- The roles that people and services connect as, and what each may do here. Runs after every upgrade, so that new views
-- and tables are covered; changes nothing where nothing is missing. Roles are the cluster's: another database of it may
-- have made them, and what its administrator set on them since (passwords, time-outs) stays.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['newsquake_writer', 'newsquake_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', name);
                IF name = 'newsquake_reader' THEN
                    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', name, '30s');
                    EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', name);
                END IF;
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL; -- another database's migration was faster
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'the role % is missing and % may not create it', name, current_user
                        USING HINT = format('as an administrator: CREATE ROLE %I LOGIN; then run `newsquake db upgrade` again', name);
                    CONTINUE;
            END;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name);
        EXECUTE format('GRANT SELECT ON alembic_version TO %I', name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION search_documents(text, timestamptz, integer), '
                       'trend(text, timestamptz, interval, timestamptz, text, text) TO %I', name);
    END LOOP;
END $$;

DO $$
DECLARE
    item record;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_reader') THEN
        FOR item IN SELECT viewname FROM pg_views WHERE schemaname = current_schema() LOOP
            EXECUTE format('GRANT SELECT ON %I TO newsquake_reader', item.viewname);
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_writer') THEN
        FOR item IN SELECT relname FROM pg_class
                    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
                      AND NOT relispartition AND relname <> 'alembic_version' LOOP
            EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO newsquake_writer', item.relname);
        END LOOP;
        GRANT DELETE ON document_keys, index_queue, stream_progress, sentiment_minute, sentiment_hour, sentiment_day, rules,
            source_hour, entity_minute TO newsquake_writer;
        GRANT EXECUTE ON FUNCTION ensure_document_day(date), drop_document_day(date), drop_documents_before_2000(),
            index_documents(integer) TO newsquake_writer;
    END IF;
END $$;
