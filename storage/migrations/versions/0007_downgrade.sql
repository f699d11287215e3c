-- Back to the tables of the revision before, which would take an alert about a name for one about all topics.

UPDATE alerts SET state = 'resolved', resolved_at = last_seen_at, owed_since = NULL
WHERE state <> 'resolved' AND (entity <> '*' OR languages <> '{}' OR source_patterns <> '{}');

DROP VIEW open_alerts;
ALTER TABLE alerts DROP COLUMN entity, DROP COLUMN languages, DROP COLUMN source_patterns;

CREATE VIEW open_alerts AS
SELECT alert_id, topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at,
       round(expected::numeric, 2) AS expected, observed, messages, p_value, sources, contents, members, reasons,
       rule, acknowledged_by, acknowledged_at, told_at, escalated_at,
       quiet_until IS NOT NULL AS silenced, quiet_until AS silenced_until
FROM alerts
LEFT JOIN (SELECT silence_id AS quiet_id, ends_at AS quiet_until FROM silences) AS quiet
    ON quiet_id = alerts.silence_id AND quiet_until > now()
WHERE state <> 'resolved';
COMMENT ON VIEW open_alerts IS 'Alerts that are firing or acknowledged.';
COMMENT ON COLUMN open_alerts.alert_id IS 'Number of the episode.';
COMMENT ON COLUMN open_alerts.topic IS 'Topic that leads the episode; * is all topics.';
COMMENT ON COLUMN open_alerts.stream IS 'Stream of the series; * is both.';
COMMENT ON COLUMN open_alerts.state IS 'firing or acknowledged.';
COMMENT ON COLUMN open_alerts.severity IS 'warning or critical.';
COMMENT ON COLUMN open_alerts.test IS 'volume or share: the test that fired.';
COMMENT ON COLUMN open_alerts.window_minutes IS 'Length of the window that fired, minutes.';
COMMENT ON COLUMN open_alerts.opened_at IS 'Event-time minute in which it fired (UTC).';
COMMENT ON COLUMN open_alerts.last_seen_at IS 'Latest event-time minute in which a series of it was still high.';
COMMENT ON COLUMN open_alerts.expected IS 'Negatives expected in the window.';
COMMENT ON COLUMN open_alerts.observed IS 'Negatives counted in the window.';
COMMENT ON COLUMN open_alerts.messages IS 'All messages of the series in the window.';
COMMENT ON COLUMN open_alerts.p_value IS 'Probability of so much by chance, on what counts.';
COMMENT ON COLUMN open_alerts.sources IS 'Distinct sources among the negatives that count.';
COMMENT ON COLUMN open_alerts.contents IS 'Distinct texts among them.';
COMMENT ON COLUMN open_alerts.members IS 'Series that joined, as JSON.';
COMMENT ON COLUMN open_alerts.reasons IS 'Worst documents, sources and entities, as JSON.';
COMMENT ON COLUMN open_alerts.rule IS 'The rule that judged it.';
COMMENT ON COLUMN open_alerts.acknowledged_by IS 'Who took it on; null while nobody has.';
COMMENT ON COLUMN open_alerts.acknowledged_at IS 'When they did (wall clock, UTC).';
COMMENT ON COLUMN open_alerts.told_at IS 'When the first message about it was queued (wall clock, UTC); null while nobody has been told.';
COMMENT ON COLUMN open_alerts.escalated_at IS 'When it went to the second route (wall clock, UTC).';
COMMENT ON COLUMN open_alerts.silenced IS 'Whether a silence covers it now.';
COMMENT ON COLUMN open_alerts.silenced_until IS 'When that silence ends (wall clock, UTC).';
-- The grants of the view went with it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_reader') THEN
        GRANT SELECT ON open_alerts TO newsquake_reader;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'newsquake_writer') THEN
        GRANT SELECT, INSERT, UPDATE ON open_alerts TO newsquake_writer;
    END IF;
END $$;
