#!/bin/bash
# PostgreSQL for tests: variables, files and order of the official image (POSTGRES_*, PGDATA, initdb.d).
set -euo pipefail
. /usr/local/lib/entrypoint-common.sh

init_sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -U "$POSTGRES_USER" -d "$POSTGRES_DB"; }

create_cluster() {
	[ -n "$POSTGRES_PASSWORD" ] || [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ] ||
		die "the database is not initialised and POSTGRES_PASSWORD is not set; set it, or POSTGRES_PASSWORD_FILE"
	# Through a pipe, on one and the same line: it lives as long as the command. No password (trust): an empty one is refused.
	# shellcheck disable=SC2086  # a list of arguments by its contract
	if [ -n "$POSTGRES_PASSWORD" ]; then
		initdb --username="$POSTGRES_USER" --pgdata="$PGDATA" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
	else
		initdb --username="$POSTGRES_USER" --pgdata="$PGDATA" ${POSTGRES_INITDB_ARGS:-}
	fi
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

# On its socket only: who asks over TCP cannot take this server for the real one.
with_temporary_server() {
	local arguments
	# without arguments printf would still print one, the empty one
	arguments=$([ $# = 0 ] || printf '%q ' "$@")
	pg_ctl -D "$PGDATA" -s -w -o "${arguments}-c listen_addresses='' -p 5432" start
	"${WORK[@]}"
	pg_ctl -D "$PGDATA" -s -w -m fast stop
}

first_work() {
	if [ "$POSTGRES_DB" != postgres ]; then
		psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -U "$POSTGRES_USER" -d postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
	fi
	run_init_files
}

main() {
	if [ $# = 0 ] || [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
	[ "$1" = postgres ] || exec "$@"
	as_server_user postgres "$PGDATA" /var/run/postgresql -- "$@"
	env_or_file POSTGRES_PASSWORD
	env_or_file POSTGRES_USER postgres
	env_or_file POSTGRES_DB "$POSTGRES_USER"
	mkdir -p "$PGDATA"
	if [ ! -s "$PGDATA/PG_VERSION" ]; then
		create_cluster
		if [ "$POSTGRES_DB" != postgres ] || has_init_files; then
			WORK=(first_work)
			with_temporary_server "${@:2}"
		fi
		say "ready to start"
	fi
	# the server has no business with the password
	unset POSTGRES_PASSWORD PGPASSWORD
	exec "$@"
}

main "$@"
