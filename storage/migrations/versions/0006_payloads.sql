-- A random key rather than the numbers of event and channel: those begin anew in a database that is set up again.

ALTER TABLE notifications
    ADD COLUMN key uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN payload jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN notifications.key IS 'Idempotency key: the same for every try of this notification.';
COMMENT ON COLUMN notifications.payload IS 'The change as JSON, for receivers that are programs; empty in rows of older releases.';
