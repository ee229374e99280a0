# Shared by the entry points of the test images. What is here behaves as in the official images, so that a test
# that runs with one of them runs with the other: the same variables, the same twins, the same init directory.

say() { printf '%s [entrypoint] %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# env_or_file NAME [DEFAULT]: NAME, or what the file named by NAME_FILE holds, or DEFAULT; exported as NAME.
env_or_file() {
	local name=$1 twin="${1}_FILE" value=${2:-}
	if [ -n "${!name+set}" ] && [ -n "${!twin:-}" ]; then die "both $name and $twin are set, they exclude each other"; fi
	if [ -n "${!name+set}" ]; then
		value=${!name}
	elif [ -n "${!twin:-}" ]; then
		value=$(<"${!twin}")
	fi
	export "$name=$value"
	unset "$twin"
}

# as_server_user USER DIRECTORY… -- ARGV: as root, give the directories to USER and start again as USER.
# Under any other uid (a restricted pod) nothing is changed: the directories have to be writable already.
as_server_user() {
	local user=$1 directory
	shift
	local directories=()
	while [ "$1" != -- ]; do directories+=("$1"); shift; done
	shift
	[ "$(id -u)" = 0 ] || return 0
	for directory in "${directories[@]}"; do
		mkdir -p "$directory"
		find "$directory" \! -user "$user" -exec chown "$user": '{}' +
	done
	exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$0" "$@"
}

# run_init_files: each file of /docker-entrypoint-initdb.d in the order of names; `init_sql` reads SQL from stdin.
run_init_files() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		[ -e "$file" ] || continue
		say "running $file"
		case $file in
			*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
			*.sql) init_sql <"$file" ;;
			*.sql.gz) gzip -dc "$file" | init_sql ;;
			*) say "ignoring $file" ;;
		esac
	done
}

has_init_files() { compgen -G '/docker-entrypoint-initdb.d/*' >/dev/null; }

# sql_literal TEXT: a string literal of MySQL and MariaDB. Needs a session without NO_BACKSLASH_ESCAPES.
sql_literal() {
	local text=${1//\\/\\\\}
	text=${text//\'/\\\'}
	text=${text//$'\n'/\\n}
	printf "'%s'" "$text"
}

sql_name() { printf '`%s`' "${1//\`/\`\`}"; }

# wait_until_up PID COMMAND…: until COMMAND succeeds; fails when the process PID is gone, or after 2 minutes.
wait_until_up() {
	local pid=$1 deadline=$((SECONDS + 120))
	shift
	until "$@" >/dev/null 2>&1 </dev/null; do
		kill -0 "$pid" 2>/dev/null || die "the temporary server ended before it answered"
		# a command that can never succeed (not installed, refused) would otherwise wait for ever
		[ "$SECONDS" -lt "$deadline" ] || die "the temporary server did not answer within 2 minutes: $*"
		sleep 0.05
	done
}
