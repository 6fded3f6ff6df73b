-- The queue and the event log of one machine. Never restored from a backup: that would send mail again.
-- Times are epoch ms. `meta`, `recipient`, `state`, `facts` are JSON that no query looks into.

-- One row for each run of the gateway; its id is the owner of the deliveries that the run has claimed.
CREATE TABLE incarnation (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  started_at INTEGER NOT NULL
) STRICT;

-- `seq` grows with acceptance; `id` is what people and files see. `location`: inline (table body) or file.
CREATE TABLE message (
  seq          INTEGER PRIMARY KEY,
  id           TEXT NOT NULL UNIQUE,
  customer     TEXT,
  reverse_path TEXT NOT NULL,
  size_bytes   INTEGER NOT NULL,
  accepted_at  INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  location     TEXT NOT NULL CHECK (location IN ('inline', 'file')),
  body_bytes   INTEGER NOT NULL,
  meta         TEXT NOT NULL,
  header       BLOB NOT NULL
) STRICT;

CREATE TABLE body (
  message INTEGER PRIMARY KEY,
  octets  BLOB NOT NULL
) STRICT;

-- States: active = owner is set; waiting = no owner, not held; held = put aside. See docs/queue-states.md.
CREATE TABLE delivery (
  message      INTEGER NOT NULL,
  position     INTEGER NOT NULL,
  domain       TEXT NOT NULL,
  forward_path TEXT NOT NULL,
  recipient    TEXT NOT NULL,
  next_at      INTEGER NOT NULL,
  owner        INTEGER,
  token        INTEGER NOT NULL,
  attempts     INTEGER NOT NULL DEFAULT 0,
  state        TEXT,
  held         TEXT,
  PRIMARY KEY (message, position)
) STRICT, WITHOUT ROWID;

-- Fresh deliveries are born owned and never enter the next two: the common case pays for one index only.
-- `owner` and `held` stand in them so that a walk never has to look at the rows.
CREATE INDEX delivery_due ON delivery (next_at, domain, owner, held) WHERE owner IS NULL AND held IS NULL;
CREATE INDEX delivery_by_domain ON delivery (domain, next_at, owner, held) WHERE owner IS NULL AND held IS NULL;
CREATE INDEX delivery_owned ON delivery (owner) WHERE owner IS NOT NULL;
CREATE INDEX delivery_held ON delivery (held) WHERE held IS NOT NULL;

CREATE TABLE event (
  seq          INTEGER PRIMARY KEY,
  at           INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  message_id   TEXT NOT NULL,
  customer     TEXT,
  reverse_path TEXT NOT NULL,
  forward_path TEXT,
  facts        TEXT NOT NULL
) STRICT;

CREATE INDEX event_at ON event (at);
CREATE INDEX event_message ON event (message_id);
