-- What ended since somebody looked, in order, however much is kept.

CREATE INDEX ended_by_end ON ended (ended_at, id text_pattern_ops);
