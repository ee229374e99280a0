#!/bin/bash
# MariaDB for tests: variables, files and order of the official image (MARIADB_* and their MYSQL_* twins, initdb.d).
set -euo pipefail
. /usr/local/lib/entrypoint-common.sh

DATA=/var/lib/mysql
SOCKET=/run/mysqld/mysqld.sock

# Each MARIADB_X takes MYSQL_X where it is not set itself.
read_environment() {
	local name
	for name in ROOT_PASSWORD ROOT_HOST DATABASE USER PASSWORD; do
		env_or_file "MYSQL_$name"
		env_or_file "MARIADB_$name" "$(printenv "MYSQL_$name")"
		unset "MYSQL_$name"
	done
	: "${MARIADB_ROOT_HOST:=%}"
	EMPTY_ALLOWED=${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-${MYSQL_ALLOW_EMPTY_PASSWORD:-}}
}

# The password by the environment: an option file would need quoting of its own. Containers of tests hold no other user.
init_sql() { MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --no-defaults --socket="$SOCKET" -uroot --comments ${MARIADB_DATABASE:+"--database=$MARIADB_DATABASE"}; }

accounts_sql() {
	local password
	password=$(sql_literal "$MARIADB_ROOT_PASSWORD")
	echo "SET SESSION sql_log_bin = 0; SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '');"
	# what the installation leaves beside root@localhost has no password, and would answer before root@%
	echo "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys' AND NOT (User = 'root' AND Host = 'localhost');"
	echo "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost'; FLUSH PRIVILEGES;"
	echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $password;"
	if [ "$MARIADB_ROOT_HOST" != localhost ]; then
		local root
		root="'root'@$(sql_literal "$MARIADB_ROOT_HOST")"
		echo "CREATE USER $root IDENTIFIED BY $password;"
		echo "GRANT ALL ON *.* TO $root WITH GRANT OPTION; GRANT PROXY ON ''@'%' TO $root WITH GRANT OPTION;"
	fi
	[ -z "$MARIADB_DATABASE" ] || echo "CREATE DATABASE IF NOT EXISTS $(sql_name "$MARIADB_DATABASE");"
	[ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ] || return 0
	local user
	user="$(sql_literal "$MARIADB_USER")@'%'"
	echo "CREATE USER $user IDENTIFIED BY $(sql_literal "$MARIADB_PASSWORD");"
	[ -z "$MARIADB_DATABASE" ] || echo "GRANT ALL ON $(sql_name "${MARIADB_DATABASE//_/\\_}").* TO $user;"
}

create_data() {
	[ -n "$MARIADB_ROOT_PASSWORD$EMPTY_ALLOWED" ] ||
		die "the database is not initialised and MARIADB_ROOT_PASSWORD is not set; set it, or MARIADB_ROOT_PASSWORD_FILE"
	mariadb-install-db --datadir="$DATA" --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
		--skip-log-bin "$@" >/dev/null
	# on its socket only: who asks over TCP cannot take this server for the real one
	mariadbd --datadir="$DATA" --socket="$SOCKET" --skip-networking --skip-log-bin "$@" &
	local pid=$!
	wait_until_up "$pid" mariadb --no-defaults --socket="$SOCKET" -uroot --execute 'SELECT 1'
	accounts_sql | mariadb --no-defaults --socket="$SOCKET" -uroot --binary-mode
	run_init_files
	kill -TERM "$pid"
	wait "$pid"
}

main() {
	if [ $# = 0 ] || [ "${1:0:1}" = - ]; then set -- mariadbd "$@"; fi
	case $1 in mariadbd | mysqld) ;; *) exec "$@" ;; esac
	as_server_user mysql "$DATA" /run/mysqld -- "$@"
	read_environment
	if [ ! -d "$DATA/mysql" ]; then
		create_data "${@:2}"
		say "ready to start"
	fi
	# the server has no business with the passwords
	unset MARIADB_ROOT_PASSWORD MARIADB_PASSWORD
	exec mariadbd --datadir="$DATA" --socket="$SOCKET" "${@:2}"
}

main "$@"
