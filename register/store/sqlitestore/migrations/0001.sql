-- Times are milliseconds since 1970, NULL for none. Digests are 32 bytes.

CREATE TABLE register (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	revision INTEGER NOT NULL,
	network  TEXT NOT NULL,
	cursor   TEXT NOT NULL
) STRICT;
INSERT INTO register VALUES (1, 1, '', '');

CREATE TABLE bodies (
	id         TEXT PRIMARY KEY,
	place      INTEGER NOT NULL, -- in the order of all
	configured INTEGER NOT NULL,
	name       TEXT NOT NULL,
	name_en    TEXT NOT NULL,
	clear_days INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meetings (
	id         TEXT PRIMARY KEY,
	body       TEXT NOT NULL REFERENCES bodies (id),
	title      TEXT NOT NULL,
	start      INTEGER NOT NULL,
	zone       TEXT NOT NULL,
	place      TEXT NOT NULL,
	state      TEXT NOT NULL,
	published  INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	changed_at INTEGER NOT NULL,
	UNIQUE (body, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX meetings_by_start ON meetings (start, id);
CREATE INDEX meetings_published_by_start ON meetings (start, id) WHERE published;

CREATE TABLE proofs (
	digest       BLOB PRIMARY KEY CHECK (length(digest) = 32),
	state        TEXT NOT NULL,
	added_at     INTEGER NOT NULL,
	submitted_at INTEGER,
	batch        INTEGER NOT NULL, -- 0: none
	height       INTEGER NOT NULL,
	block_hash   TEXT NOT NULL,
	block_time   INTEGER,
	complete_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX proofs_by_state ON proofs (state, digest);
CREATE INDEX proofs_by_batch ON proofs (batch, digest) WHERE batch <> 0;
CREATE INDEX proofs_waiting ON proofs (added_at, digest) WHERE state = 'waiting';

CREATE TABLE entries (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	digest       BLOB NOT NULL REFERENCES proofs (digest),
	meeting      TEXT REFERENCES meetings (id), -- NULL: none
	kind         TEXT NOT NULL,
	title        TEXT NOT NULL,
	number       TEXT NOT NULL,
	file_name    TEXT NOT NULL,
	media_type   TEXT NOT NULL,
	size         INTEGER NOT NULL,
	added_at     INTEGER NOT NULL,
	published    INTEGER NOT NULL,
	download     INTEGER NOT NULL,
	online_since INTEGER,
	withdrawn_at INTEGER,
	replaces     INTEGER REFERENCES entries (id),
	replaced_by  INTEGER REFERENCES entries (id),
	replaced_at  INTEGER,

	-- What follows from the rest, and from the meeting. The engine keeps it for the indexes.
	at           INTEGER NOT NULL, -- start of the meeting, or added_at
	shown        INTEGER NOT NULL, -- 0: not published, 1: was on line, 2: on line
	kind_place   INTEGER NOT NULL, -- in the order of kinds
	number_key   TEXT NOT NULL,    -- sorts as people count
	words        TEXT NOT NULL     -- as store.Words returns them, a space before each
) STRICT;
CREATE UNIQUE INDEX entries_of_meeting ON entries (coalesce(meeting, ''), digest);
CREATE INDEX entries_in_meeting ON entries (meeting, at DESC, kind_place, number_key, id, shown);
CREATE INDEX entries_by_digest ON entries (digest, id, shown);
CREATE INDEX entries_by_meeting ON entries (at DESC, meeting, kind_place, number_key, id);
CREATE INDEX entries_of_kind ON entries (kind, at DESC, meeting, kind_place, number_key, id);
CREATE INDEX shown_by_meeting ON entries (at DESC, meeting, kind_place, number_key, id, shown) WHERE shown > 0;
CREATE INDEX shown_of_kind ON entries (kind, at DESC, meeting, kind_place, number_key, id, shown) WHERE shown > 0;
CREATE INDEX shown_by_digest ON entries (digest, id, shown) WHERE shown > 0;
CREATE INDEX shown_by_id ON entries (id, shown) WHERE shown > 0;
CREATE INDEX entries_replaces ON entries (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX entries_replaced_by ON entries (replaced_by) WHERE replaced_by IS NOT NULL;

-- The words of an entry, and the beginnings of up to 8 letters of each, which are found as fast as
-- whole words. The row number is the entry's ID.
CREATE VIRTUAL TABLE search USING fts5 (words, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii', prefix = '1 2 3 4 5 6 7 8');
