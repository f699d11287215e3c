-- What an alert is about besides topic and stream. A name is watched over all topics: topic is * then.

ALTER TABLE alerts
    ADD COLUMN entity text NOT NULL DEFAULT '*' CHECK (length(entity) BETWEEN 1 AND 200),
    ADD COLUMN languages text[] NOT NULL DEFAULT '{}',
    ADD COLUMN source_patterns text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN alerts.entity IS 'The name that leads the episode; * is none: it is about a topic.';
COMMENT ON COLUMN alerts.languages IS 'Only messages in these languages were counted; empty is all.';
COMMENT ON COLUMN alerts.source_patterns IS 'Only messages from sources like these were counted; empty is all.';

CREATE OR REPLACE VIEW open_alerts AS
SELECT alert_id, topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at,
       round(expected::numeric, 2) AS expected, observed, messages, p_value, sources, contents, members, reasons,
       rule, acknowledged_by, acknowledged_at, told_at, escalated_at,
       quiet_until IS NOT NULL AS silenced, quiet_until AS silenced_until, entity, languages, source_patterns
FROM alerts
LEFT JOIN (SELECT silence_id AS quiet_id, ends_at AS quiet_until FROM silences) AS quiet
    ON quiet_id = alerts.silence_id AND quiet_until > now()
WHERE state <> 'resolved';
COMMENT ON COLUMN open_alerts.entity IS 'The name that leads the episode; * is none: it is about a topic.';
COMMENT ON COLUMN open_alerts.languages IS 'Only messages in these languages were counted; empty is all.';
COMMENT ON COLUMN open_alerts.source_patterns IS 'Only messages from sources like these were counted; empty is all.';
