#!/usr/bin/env bash
# The passwords, made here and kept nowhere but in the cluster. Two ways to hand a password to the backup are shown:
#
#   mariadb-backup      plain text, as a Secret store or a database operator would make it (encoding: Plain)
#   postgresql-backup   Fernet tokens, which may lie in Git; the keys lie in a Secret of their own (encoding: Fernet)
#
# Usage: 20-secrets.sh [NAMESPACE]; what exists is left as it is. KUBECTL and VYA_BACKUPDB name other programs.
# No password is an argument of a program: arguments are for everyone on the machine to see.
set -euo pipefail
namespace=${1:-shop}
kubectl=${KUBECTL:-kubectl}
vya_backupdb=${VYA_BACKUPDB:-vya-backupdb}

umask 077
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

random() { head -c 24 /dev/urandom | base64 | tr -d '\n'; }
exists() { "$kubectl" -n "$namespace" get "secret/$1" -o name >/dev/null 2>&1; }

# secret NAME KEY…: a Secret of the files with these names, unless there is one already
secret() {
	local name=$1 key
	local files=()
	shift
	for key in "$@"; do files+=("--from-file=$key=$directory/$key"); done
	if exists "$name"; then
		echo "secret/$name is there already"
	else
		"$kubectl" -n "$namespace" create secret generic "$name" "${files[@]}"
	fi
}

encrypt() { "$vya_backupdb" credentials encrypt --keyring "$directory/keyring"; }

# the servers' own accounts
random >"$directory/password"
secret mariadb-root password
random >"$directory/password"
secret postgresql-root password

# the account that backs up MariaDB, as plain text
printf backup >"$directory/username"
random >"$directory/password"
secret mariadb-backup username password

# the account that backs up PostgreSQL: for the server as plain text, for the backup as tokens
random >"$directory/password"
secret postgresql-backup-account username password
if ! exists postgresql-backup || ! exists backup-keyring; then
	"$vya_backupdb" keys generate >"$directory/keyring"
	for key in username password; do
		"$kubectl" -n "$namespace" get secret/postgresql-backup-account -o "go-template={{.data.$key}}" |
			base64 -d | encrypt >"$directory/token"
		mv "$directory/token" "$directory/$key"
	done
	"$kubectl" -n "$namespace" delete --ignore-not-found secret/postgresql-backup secret/backup-keyring
	secret postgresql-backup username password
	secret backup-keyring keyring
fi
