-- Everything that gateways share. Times are epoch ms. `envelope`, `recipient`, `state` and `octets` are sealed
-- under the key of their message (src/store/record.ts); no query looks into them.
-- readable-from: 1

-- One row for each run of a gateway; its id is the owner of the deliveries that the run has claimed.
-- `beat` grows while it lives. `ended_at`: it said good-bye, or others found it dead.
CREATE TABLE node (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text COLLATE "C" NOT NULL,
  started_at bigint NOT NULL,
  beat       bigint NOT NULL DEFAULT 0,
  ended_at   bigint
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- `id` begins with the time and so sorts by age. `recipients`: how many it was accepted for.
-- `body_id` names its rows in `chunk`, `body_bytes` counts its octets before they were sealed.
-- `master_key`: the id of the master key that wrapped `wrapped_key`; both empty: not encrypted.
CREATE TABLE message (
  id          text COLLATE "C" PRIMARY KEY,
  customer    text,
  size_bytes  bigint NOT NULL,
  accepted_at bigint NOT NULL,
  expires_at  bigint NOT NULL,
  recipients  integer NOT NULL,
  body_id     text COLLATE "C" NOT NULL,
  body_bytes  bigint NOT NULL,
  master_key  text COLLATE "C" NOT NULL,
  wrapped_key bytea NOT NULL,
  envelope    bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 1000);

CREATE INDEX message_by_master_key ON message (master_key, id) WHERE master_key <> '';

-- Octets of bodies, 256 KB a row. What is sealed or encoded does not get smaller: no compression.
CREATE TABLE chunk (
  body_id text COLLATE "C" NOT NULL,
  n       integer NOT NULL,
  octets  bytea NOT NULL,
  PRIMARY KEY (body_id, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 1000);
ALTER TABLE chunk ALTER COLUMN octets SET STORAGE EXTERNAL;

-- Large bodies that stream in and that no message names yet. A row whose owner ended is an orphan.
CREATE TABLE upload (
  body_id text COLLATE "C" PRIMARY KEY,
  owner   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE INDEX upload_owner ON upload (owner);

-- States: active = owner is set; waiting = no owner, not held; held = put aside. See docs/queue-states.md.
-- `cause`: of the last failure. `route`: next hop that an operator chose. `ordered`: what an operator ordered.
-- `destination`: what is skipped as a whole when it is down; empty for what needs none.
-- While a delivery is held, `next_at` is when its lifetime ends.
CREATE TABLE delivery (
  message_id   text COLLATE "C" NOT NULL,
  position     integer NOT NULL,
  domain       text COLLATE "C" NOT NULL,
  recipient    bytea NOT NULL,
  next_at      bigint NOT NULL,
  owner        bigint,
  token        bigint NOT NULL,
  attempts     integer NOT NULL DEFAULT 0,
  state        bytea,
  cause        text,
  held         text,
  route        text COLLATE "C",
  ordered      text COLLATE "C" NOT NULL DEFAULT 'deliver' CHECK (ordered IN ('deliver', 'drop', 'drop-silently')),
  destination  text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (CASE ordered WHEN 'deliver' THEN coalesce(route, domain) ELSE '' END) STORED,
  PRIMARY KEY (message_id, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 1000);

-- Fresh deliveries are born owned and never enter the first two.
CREATE INDEX delivery_due ON delivery (next_at, destination, message_id, position)
  WHERE owner IS NULL AND held IS NULL;
CREATE INDEX delivery_by_destination ON delivery (destination, next_at) WHERE owner IS NULL AND held IS NULL;
CREATE INDEX delivery_owned ON delivery (owner) WHERE owner IS NOT NULL;
CREATE INDEX delivery_held ON delivery (next_at) WHERE held IS NOT NULL;

CREATE TABLE event (
  seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at           bigint NOT NULL,
  kind         text NOT NULL,
  message_id   text COLLATE "C" NOT NULL,
  customer     text,
  reverse_path text NOT NULL,
  forward_path text,
  facts        text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX event_at ON event (at);
CREATE INDEX event_message ON event (message_id);

-- `domains` and `addresses` are JSON arrays: always read and replaced as a whole.
CREATE TABLE customer (
  name                      text COLLATE "C" PRIMARY KEY,
  domains                   text NOT NULL,
  addresses                 text NOT NULL,
  cleartext_allowed         boolean NOT NULL,
  null_reverse_path_allowed boolean NOT NULL
);

-- `login` in lower case.
CREATE TABLE credential (
  login         text COLLATE "C" PRIMARY KEY,
  customer      text COLLATE "C" NOT NULL REFERENCES customer (name) ON DELETE CASCADE,
  password_hash text NOT NULL
);
CREATE INDEX credential_customer ON credential (customer);
