#!/bin/sh
# Makes docker/secrets/ with fresh passwords and keys; existing files are kept.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
word() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
keep() { [ -s "$1" ] || printf '%s' "$2" > "$1"; }
keep secret_key "$(word)$(word)"
keep credential_keys "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
keep postgres_password "$(word)"
keep owner_password "$(word)"
keep app_password "$(word)"
keep broker_password "$(word)"
keep database_url "postgresql://cardhour_app:$(cat app_password)@postgres:5432/cardhour"
keep database_owner_url "postgresql://cardhour_owner:$(cat owner_password)@postgres:5432/cardhour"
keep celery_broker_url "amqp://cardhour:$(cat broker_password)@rabbitmq:5672//"
keep email_password "put the mail account's password here"
keep rabbitmq_definitions "{\"vhosts\": [{\"name\": \"/\", \"default_queue_type\": \"quorum\"}],
  \"users\": [{\"name\": \"cardhour\", \"password\": \"$(cat broker_password)\", \"tags\": []}],
  \"permissions\": [{\"user\": \"cardhour\", \"vhost\": \"/\",
    \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"}]}"
# The containers' user reads the mounted files with the modes they have here; on this machine
# the folder keeps everybody out.
chmod 0444 ./*
