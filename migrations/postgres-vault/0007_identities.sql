-- Numbers and ids that a subject gave up: until then they were the subject's, and what is reported from before still is.
CREATE TABLE former_aliases (
    account_id  TEXT COLLATE "C" NOT NULL,
    blind_index TEXT COLLATE "C" NOT NULL,
    subject_id  TEXT COLLATE "C" NOT NULL,
    until       BIGINT  NOT NULL,
    PRIMARY KEY (account_id, blind_index, subject_id)
);
CREATE INDEX former_aliases_of_subject ON former_aliases (account_id, subject_id);
