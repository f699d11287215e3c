COMMENT ON VIEW trend_minute IS 'Sentiment by minute, topic, stream and language, with the change against the minute before. Ask it with a topic and a range of bucket.';
COMMENT ON VIEW trend_hourly IS 'Sentiment by hour (UTC), topic, stream and language, with the change against the hour before.';
COMMENT ON VIEW trend_daily IS 'Sentiment by UTC day, topic, stream and language, with the change against the day before.';
COMMENT ON VIEW topic_now IS 'Each topic over the hour up to the newest stored minute (event time, so it works in a replay too), and against the hour before.';
COMMENT ON VIEW entity_now IS 'Each entity over the hour up to the newest stored minute, like topic_now.';
COMMENT ON VIEW source_mix IS 'Sentiment by hour (UTC), source and stream, and how much of the stream a source is. Ask it with a range of bucket.';
COMMENT ON VIEW worst_documents IS 'Negative documents: ORDER BY score LIMIT 20 for the worst. Ask it with a range of published_at, and a topic if you like.';

-- What a column means in every view that has it.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT attrelid::regclass AS view, attname, meaning
        FROM (VALUES
            ('topic', 'Topic that the counted model chose.'),
            ('stream', 'news or comment.'),
            ('lang', 'Primary language subtag.'),
            ('source', 'Where the documents came from: reuters, rss:ft.com/world, xueqiu, …'),
            ('entity', 'Name or ticker, as the source gave it.'),
            ('n', 'Documents.'),
            ('negative', 'Negative ones among them.'),
            ('neutral', 'Neutral ones among them.'),
            ('positive', 'Positive ones among them.'),
            ('negative_share', 'negative / n, 0 to 1.'),
            ('neutral_share', 'neutral / n, 0 to 1.'),
            ('positive_share', 'positive / n, 0 to 1.'),
            ('mean_score', 'Mean of score, from -1 (all negative) to 1.'),
            ('negative_low', 'Lower end of the 95 % Wilson interval of negative_share.'),
            ('negative_high', 'Upper end of the 95 % Wilson interval of negative_share.'),
            ('previous_n', 'Documents of the same series in the period before; null where there were none.'),
            ('n_change', 'n less that of the period before; null where there was none.'),
            ('negative_share_change', 'negative_share less that of the period before; null where there was none.'),
            ('mean_score_change', 'mean_score less that of the period before; null where there was none.'),
            ('last_minute', 'Newest minute with such a document (UTC).'),
            ('share_of_stream', 'n / all documents of the hour and stream, 0 to 1.'),
            ('published_at', 'Event time (UTC): when the source published it.'),
            ('score', 'P(positive) - P(negative), from -1 (the worst) to 1.'),
            ('confidence', 'Calibrated probability that it is negative.'),
            ('id', 'The source''s own identifier.'),
            ('title', 'Headline, where the source gives one.'),
            ('excerpt', 'First 280 characters of the text.'),
            ('url', 'Where to read it.'),
            ('entities', 'Names or tickers that the source gave.')
        ) AS said (name, meaning)
        JOIN pg_attribute ON attname = name
        WHERE attrelid IN ('trend_minute'::regclass, 'trend_hourly'::regclass, 'trend_daily'::regclass,
                           'topic_now'::regclass, 'entity_now'::regclass, 'source_mix'::regclass,
                           'worst_documents'::regclass, 'trend_bucket'::regclass)
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', item.view, item.attname, item.meaning);
    END LOOP;
END $$;
COMMENT ON COLUMN trend_minute.bucket IS 'Start of the minute (UTC).';
COMMENT ON COLUMN trend_hourly.bucket IS 'Start of the hour (UTC).';
COMMENT ON COLUMN trend_daily.bucket IS 'Start of the UTC day.';
COMMENT ON COLUMN source_mix.bucket IS 'Start of the hour (UTC).';
COMMENT ON COLUMN trend_bucket.bucket IS 'Start of the bucket (UTC).';

COMMENT ON TYPE trend_bucket IS 'A row of trend(): one bucket, empty ones too.';
COMMENT ON FUNCTION trend IS 'A topic over time without gaps, all streams and languages together unless they are given: trend(''financials'', now() - interval ''1 day''), trend(''energy'', ''2026-03-01'', ''1 day'', stream => ''news''). No topic (null): all. Buckets are whole minutes, hours, days or weeks (from Monday), begin with the one that holds since, though not before the first stored document, and end with the newest document, or with until. In an empty bucket n is 0, shares are null.';
COMMENT ON FUNCTION wilson_low IS 'Lower end of the 95 % Wilson interval of k among n, 0 to 1; null where n is 0.';
COMMENT ON FUNCTION wilson_high IS 'Upper end of the 95 % Wilson interval of k among n, 0 to 1; null where n is 0.';
