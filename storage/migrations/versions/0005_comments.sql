COMMENT ON TABLE rules IS 'Alert rules kept in the database; they come after those of the rules file.';
COMMENT ON COLUMN rules.name IS 'Name of the rule, unique over file and table.';
COMMENT ON COLUMN rules.position IS 'Order: the first rule whose scope holds a series judges it.';
COMMENT ON COLUMN rules.body IS 'The rule as JSON, in the shape of one [[rule]] of a rules file; checked when it is written and when it is read.';
COMMENT ON COLUMN rules.author IS 'Who wrote it.';
COMMENT ON COLUMN rules.updated_at IS 'Wall clock when it was written (UTC).';

COMMENT ON TABLE silences IS 'While one covers all of an episode, the episode is recorded and nobody is told. Rows stay as a record.';
COMMENT ON COLUMN silences.silence_id IS 'Number of the silence.';
COMMENT ON COLUMN silences.topic IS 'Only this topic; null is any.';
COMMENT ON COLUMN silences.stream IS 'Only news or comment; null is both.';
COMMENT ON COLUMN silences.entity IS 'Only episodes in which at least half of what counts names this; null is any.';
COMMENT ON COLUMN silences.source_pattern IS 'Only episodes in which at least half of what counts comes from sources like this (* and ? as in file names); null is any.';
COMMENT ON COLUMN silences.starts_at IS 'From when (wall clock, UTC).';
COMMENT ON COLUMN silences.ends_at IS 'Until when (wall clock, UTC); lifting a silence moves it.';
COMMENT ON COLUMN silences.author IS 'Who asked for it.';
COMMENT ON COLUMN silences.comment IS 'Why.';
COMMENT ON COLUMN silences.created_at IS 'Wall clock when it was made (UTC).';
COMMENT ON COLUMN silences.lifted_at IS 'Wall clock when it was lifted before its end (UTC); null where it was not.';
COMMENT ON COLUMN silences.lifted_by IS 'Who lifted it.';

COMMENT ON COLUMN alerts.rule IS 'The rule that judged it; default where there are none.';
COMMENT ON COLUMN alerts.acknowledged_at IS 'Wall clock when somebody took it on (UTC); null where nobody did.';
COMMENT ON COLUMN alerts.acknowledged_by IS 'Who took it on.';
COMMENT ON COLUMN alerts.told_at IS 'Wall clock when the first message about it was queued (UTC); null while nobody has been told.';
COMMENT ON COLUMN alerts.last_told_at IS 'Wall clock when the latest message about its going on was queued (UTC).';
COMMENT ON COLUMN alerts.owed_since IS 'Since when a message has been held back (silence, quiet hours, pending, age) that is told once nothing holds it (UTC).';
COMMENT ON COLUMN alerts.escalated_at IS 'Wall clock when it went to the second route, since nobody had acknowledged (UTC).';
COMMENT ON COLUMN alerts.silence_id IS 'The silence that covers it, as the scheduler last saw; null where none does.';

COMMENT ON COLUMN alert_events.kind IS 'fired, joined, worsened, acknowledged, resolved, resolved_by_hand, silenced, unsilenced, released (what was held back is told), repeated or escalated.';
COMMENT ON COLUMN alert_events.at IS 'Event-time minute of the change (UTC), for what people and clocks do the minute that evaluation had reached; recorded_at is the wall clock.';
COMMENT ON COLUMN alert_events.actor IS 'Who did it; null where evaluation or the clock did.';
COMMENT ON COLUMN alert_events.note IS 'What they wrote with it, or why.';
COMMENT ON COLUMN notifications.state IS 'pending, sent, failed, or muted: recorded but not sent, for the reason in reason.';
COMMENT ON COLUMN notifications.reason IS 'Why it is muted; null where it is not.';

COMMENT ON COLUMN open_alerts.rule IS 'The rule that judged it.';
COMMENT ON COLUMN open_alerts.acknowledged_by IS 'Who took it on; null while nobody has.';
COMMENT ON COLUMN open_alerts.acknowledged_at IS 'When they did (wall clock, UTC).';
COMMENT ON COLUMN open_alerts.told_at IS 'When the first message about it was queued (wall clock, UTC); null while nobody has been told.';
COMMENT ON COLUMN open_alerts.escalated_at IS 'When it went to the second route (wall clock, UTC).';
COMMENT ON COLUMN open_alerts.silenced IS 'Whether a silence covers it now.';
COMMENT ON COLUMN open_alerts.silenced_until IS 'When that silence ends (wall clock, UTC).';

COMMENT ON VIEW active_silences IS 'Silences that hold now.';
COMMENT ON COLUMN active_silences.silence_id IS 'Number of the silence.';
COMMENT ON COLUMN active_silences.topic IS 'Only this topic; null is any.';
COMMENT ON COLUMN active_silences.stream IS 'Only news or comment; null is both.';
COMMENT ON COLUMN active_silences.entity IS 'Only episodes that are mostly about this name; null is any.';
COMMENT ON COLUMN active_silences.source_pattern IS 'Only episodes mostly from sources like this; null is any.';
COMMENT ON COLUMN active_silences.starts_at IS 'Since when (wall clock, UTC).';
COMMENT ON COLUMN active_silences.ends_at IS 'Until when (wall clock, UTC).';
COMMENT ON COLUMN active_silences.author IS 'Who asked for it.';
COMMENT ON COLUMN active_silences.comment IS 'Why.';
