-- Back to the tables of the revision before. Audit rows of kinds that it does not know are dropped.

DROP VIEW open_alerts, active_silences;
DELETE FROM alert_events WHERE kind IN ('resolved_by_hand', 'silenced', 'unsilenced', 'released', 'repeated', 'escalated');
ALTER TABLE alert_events DROP CONSTRAINT alert_events_kind_check;
ALTER TABLE alert_events ADD CONSTRAINT alert_events_kind_check
    CHECK (kind IN ('fired', 'joined', 'worsened', 'acknowledged', 'resolved'));
ALTER TABLE alert_events DROP COLUMN actor, DROP COLUMN note;
ALTER TABLE notifications DROP COLUMN reason;
-- The older release lets one episode be open at a time and would never end the others.
UPDATE alerts SET state = 'resolved', resolved_at = last_seen_at
WHERE state <> 'resolved' AND alert_id <> (SELECT max(alert_id) FROM alerts WHERE state <> 'resolved');
ALTER TABLE alerts
    DROP COLUMN rule, DROP COLUMN acknowledged_at, DROP COLUMN acknowledged_by, DROP COLUMN told_at,
    DROP COLUMN last_told_at, DROP COLUMN owed_since, DROP COLUMN escalated_at, DROP COLUMN silence_id;
DROP TABLE silences, rules;

CREATE VIEW open_alerts AS
SELECT alert_id, topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at,
       round(expected::numeric, 2) AS expected, observed, messages, p_value, sources, contents, members, reasons
FROM alerts
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
COMMENT ON COLUMN alert_events.at IS 'Event-time minute of the change (UTC); recorded_at is the wall clock.';
COMMENT ON COLUMN alert_events.kind IS 'fired, joined, worsened, acknowledged or resolved.';
COMMENT ON COLUMN notifications.state IS 'muted: recorded but not sent, since its minute was older than max_age.';
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
