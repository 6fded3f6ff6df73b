-- Encryption at rest, and what operators order. Only adds: a queue of a million deliveries opens in seconds, and
-- mail of the former version is read where it lies. What was written before has an empty `master_key`, no
-- `envelope` and its clear text in `meta`, `header`, `recipient`, `state`; new rows leave those empty.

-- `master_key`: the id of the master key that wrapped `wrapped_key`; empty: not encrypted.
-- `envelope`: one line of JSON (meta), LF, header; sealed.
ALTER TABLE message ADD COLUMN master_key TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN wrapped_key BLOB;
ALTER TABLE message ADD COLUMN envelope BLOB;
CREATE INDEX message_by_master_key ON message (master_key) WHERE master_key <> '';

-- `cause`: of the last failure. `route`: next hop that an operator chose. `ordered`: what an operator ordered.
ALTER TABLE delivery ADD COLUMN sealed_recipient BLOB;
ALTER TABLE delivery ADD COLUMN sealed_state BLOB;
ALTER TABLE delivery ADD COLUMN cause TEXT;
ALTER TABLE delivery ADD COLUMN route TEXT;
ALTER TABLE delivery ADD COLUMN ordered TEXT NOT NULL DEFAULT 'deliver'
  CHECK (ordered IN ('deliver', 'drop', 'drop-silently'));
-- What the worker may ask to skip; empty for what needs no destination.
ALTER TABLE delivery ADD COLUMN destination TEXT
  GENERATED ALWAYS AS (CASE ordered WHEN 'deliver' THEN coalesce(route, domain) ELSE '' END) VIRTUAL;

DROP INDEX delivery_due;
DROP INDEX delivery_by_domain;
DROP INDEX delivery_held;
CREATE INDEX delivery_due ON delivery (next_at, destination, owner, held) WHERE owner IS NULL AND held IS NULL;
CREATE INDEX delivery_by_destination ON delivery (destination, next_at, owner, held)
  WHERE owner IS NULL AND held IS NULL;

-- While a delivery is held, `next_at` is when its lifetime ends.
UPDATE delivery SET next_at = coalesce((SELECT expires_at FROM message WHERE seq = message), next_at + 432000000)
 WHERE held IS NOT NULL;
CREATE INDEX delivery_held ON delivery (next_at) WHERE held IS NOT NULL;
