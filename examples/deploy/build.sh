#!/bin/sh
# The release in `release/`: the page for its version, and the scripts that a host needs.
set -eu
mkdir -p release
sed "s/@VERSION@/$(cat VERSION)/" page.html.in >release/page.html.in
cp VERSION start.sh check.sh release/
echo "built version $(cat VERSION)"
