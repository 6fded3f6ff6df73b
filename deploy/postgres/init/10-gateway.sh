#!/bin/sh
# Run once by the image when the first primary is made: roles and database of the gateway. Here alone commits must
# not wait for a standby, because there is none yet.
set -eu
# The gateway's password stands in its URL, between the second colon and the at sign: letters and digits only.
gateway_password=$(sed -E 's|^[a-z]+://[^:]*:([^@]*)@.*$|\1|' /run/secrets/store-url)
replication_password=$(cat /run/secrets/replication-password)
psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres \
  -v gateway_password="$gateway_password" -v replication_password="$replication_password" <<'SQL'
SET synchronous_commit = local;
CREATE ROLE gateway LOGIN PASSWORD :'gateway_password' IN ROLE pg_monitor;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE DATABASE secure_transport OWNER gateway;
SQL
