#!/bin/sh
# Removes the project's cache folder: compiled binaries, images, the private Docker engine's data.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vya-backupdb
case $cache in /*/vya-backupdb) ;; *) echo "not removing $cache" >&2; exit 1 ;; esac
if [ -d "$cache" ]; then
  echo "removing $cache"
  if [ "$(id -u)" = 0 ]; then rm -rf --one-file-system "$cache"; else sudo rm -rf --one-file-system "$cache"; fi
fi
