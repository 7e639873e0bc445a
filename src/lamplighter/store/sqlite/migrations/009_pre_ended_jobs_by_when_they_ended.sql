-- What ended since somebody looked, in order, however much is kept.

CREATE INDEX lamp_ended_by_end ON lamp_ended (ended_at, id);
