#!/bin/sh
# Run once by PostgreSQL's image on an empty volume: the owner migrates, the runtime role serves.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres --dbname cardhour \
    --set owner="$(cat "$OWNER_PASSWORD_FILE")" --set app="$(cat "$APP_PASSWORD_FILE")" << 'SQL'
CREATE ROLE cardhour_owner LOGIN PASSWORD :'owner';
CREATE ROLE cardhour_app LOGIN PASSWORD :'app';
ALTER DATABASE cardhour OWNER TO cardhour_owner;
REVOKE CONNECT ON DATABASE cardhour FROM PUBLIC;
GRANT CONNECT ON DATABASE cardhour TO cardhour_app;
SQL
