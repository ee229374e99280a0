#!/bin/bash
# Oracle's MySQL for tests: variables, files and order of the official image (MYSQL_*, initdb.d).
set -euo pipefail
. /usr/local/lib/entrypoint-common.sh

DATA=/var/lib/mysql
SOCKET=/var/run/mysqld/mysqld.sock

read_environment() {
	local name
	for name in ROOT_PASSWORD DATABASE USER PASSWORD; do env_or_file "MYSQL_$name"; done
	env_or_file MYSQL_ROOT_HOST %
}

# The password by the environment: an option file would need quoting of its own. Containers of tests hold no other user.
init_sql() { MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --no-defaults --socket="$SOCKET" -uroot --comments ${MYSQL_DATABASE:+"--database=$MYSQL_DATABASE"}; }

accounts_sql() {
	local password
	password=$(sql_literal "$MYSQL_ROOT_PASSWORD")
	echo "SET SESSION sql_log_bin = 0; SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '');"
	if [ "$MYSQL_ROOT_HOST" != localhost ]; then
		local root
		root="'root'@$(sql_literal "$MYSQL_ROOT_HOST")"
		echo "CREATE USER $root IDENTIFIED BY $password; GRANT ALL ON *.* TO $root WITH GRANT OPTION;"
	fi
	[ -z "$MYSQL_DATABASE" ] || echo "CREATE DATABASE IF NOT EXISTS $(sql_name "$MYSQL_DATABASE");"
	if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
		local user
		user="$(sql_literal "$MYSQL_USER")@'%'"
		echo "CREATE USER $user IDENTIFIED BY $(sql_literal "$MYSQL_PASSWORD");"
		[ -z "$MYSQL_DATABASE" ] || echo "GRANT ALL ON $(sql_name "${MYSQL_DATABASE//_/\\_}").* TO $user;"
	fi
	# last: from here on this session's own account has a password
	echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $password;"
}

create_data() {
	[ -n "$MYSQL_ROOT_PASSWORD${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ] ||
		die "the database is not initialised and MYSQL_ROOT_PASSWORD is not set; set it, or MYSQL_ROOT_PASSWORD_FILE"
	mysqld --initialize-insecure --datadir="$DATA" "$@"
	# on its socket only: who asks over TCP cannot take this server for the real one
	mysqld --datadir="$DATA" --socket="$SOCKET" --skip-networking --mysqlx=OFF "$@" &
	local pid=$!
	wait_until_up "$pid" mysql --no-defaults --socket="$SOCKET" -uroot --execute 'SELECT 1'
	accounts_sql | mysql --no-defaults --socket="$SOCKET" -uroot --binary-mode
	run_init_files
	kill -TERM "$pid"
	wait "$pid"
}

main() {
	if [ $# = 0 ] || [ "${1:0:1}" = - ]; then set -- mysqld "$@"; fi
	[ "$1" = mysqld ] || exec "$@"
	as_server_user mysql "$DATA" /var/run/mysqld -- "$@"
	read_environment
	if [ ! -d "$DATA/mysql" ]; then
		create_data "${@:2}"
		say "ready to start"
	fi
	# the server has no business with the passwords
	unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
	exec mysqld --datadir="$DATA" --socket="$SOCKET" "${@:2}"
}

main "$@"
