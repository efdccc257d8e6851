#!/bin/sh
# Every page has exactly one title and one heading.
set -eu
dir=${1:?usage: pages.sh DIRECTORY}
for page in "$dir"/*.html; do
	[ "$(grep -c '<title>' "$page")" = 1 ] && [ "$(grep -c '<h1>' "$page")" = 1 ]
	echo "ok: $(basename "$page")"
done
