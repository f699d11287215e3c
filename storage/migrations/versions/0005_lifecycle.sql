-- Rules as rows, silences, and the life of an episode after it has fired.

CREATE TABLE rules (
    name       text PRIMARY KEY,
    position   integer NOT NULL,
    body       jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
    author     text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE silences (
    silence_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic          text,
    stream         text CHECK (stream IN ('news', 'comment')),
    entity         text,
    source_pattern text,
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    author         text NOT NULL,
    comment        text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    lifted_at      timestamptz,
    lifted_by      text,
    CHECK (ends_at >= starts_at)
);
CREATE INDEX silences_end ON silences (ends_at);

ALTER TABLE alerts
    ADD COLUMN rule text NOT NULL DEFAULT 'default',
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text,
    ADD COLUMN told_at timestamptz,
    ADD COLUMN last_told_at timestamptz,
    ADD COLUMN owed_since timestamptz,
    ADD COLUMN escalated_at timestamptz,
    ADD COLUMN silence_id bigint REFERENCES silences ON DELETE SET NULL;

-- What fired under the older release was told then, so that its end is told too.
UPDATE alerts SET told_at = told.first_at, last_told_at = told.last_at
FROM (
    SELECT alert_id, min(notifications.created_at) AS first_at, max(notifications.created_at) AS last_at
    FROM alert_events JOIN notifications USING (event_id) WHERE notifications.state <> 'muted' GROUP BY alert_id
) AS told
WHERE told.alert_id = alerts.alert_id;

ALTER TABLE alert_events ADD COLUMN actor text, ADD COLUMN note text;
ALTER TABLE alert_events DROP CONSTRAINT alert_events_kind_check;
ALTER TABLE alert_events ADD CONSTRAINT alert_events_kind_check CHECK (kind IN (
    'fired', 'joined', 'worsened', 'acknowledged', 'resolved', 'resolved_by_hand', 'silenced', 'unsilenced', 'released',
    'repeated', 'escalated'));

ALTER TABLE notifications ADD COLUMN reason text;
UPDATE notifications SET reason = 'its minutes were too old' WHERE state = 'muted';

CREATE OR REPLACE VIEW open_alerts AS
SELECT alert_id, topic, stream, state, severity, test, window_minutes, opened_at, last_seen_at,
       round(expected::numeric, 2) AS expected, observed, messages, p_value, sources, contents, members, reasons,
       rule, acknowledged_by, acknowledged_at, told_at, escalated_at,
       quiet_until IS NOT NULL AS silenced, quiet_until AS silenced_until
FROM alerts
LEFT JOIN (SELECT silence_id AS quiet_id, ends_at AS quiet_until FROM silences) AS quiet
    ON quiet_id = alerts.silence_id AND quiet_until > now()
WHERE state <> 'resolved';

CREATE VIEW active_silences AS
SELECT silence_id, topic, stream, entity, source_pattern, starts_at, ends_at, author, comment
FROM silences
WHERE ends_at > now() AND starts_at <= now();
