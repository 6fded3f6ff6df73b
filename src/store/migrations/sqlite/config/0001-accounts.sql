-- Customers and credentials. Worth a backup, unlike the queue.

-- `domains` and `addresses` are JSON arrays: always read and replaced as a whole.
CREATE TABLE customer (
  name                      TEXT PRIMARY KEY,
  domains                   TEXT NOT NULL,
  addresses                 TEXT NOT NULL,
  cleartext_allowed         INTEGER NOT NULL,
  null_reverse_path_allowed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `login` in lower case.
CREATE TABLE credential (
  login         TEXT PRIMARY KEY,
  customer      TEXT NOT NULL REFERENCES customer (name) ON DELETE CASCADE,
  password_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX credential_customer ON credential (customer);
