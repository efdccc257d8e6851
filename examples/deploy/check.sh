#!/bin/sh
# Whether the release beside this script is well: its page has a greeting, and is of its version.
set -eu
cd "$(dirname "$0")"
grep -q "<h1>..*</h1>" public/index.html || { echo "the page has no greeting"; exit 1; }
grep -q "Version $(cat VERSION)<" public/index.html
