#!/bin/sh
# Runs in the new release: the page, with this host's greeting.
set -eu
mkdir -p public
greeting=$(cat greeting 2>/dev/null || echo "")
sed "s/@GREETING@/$greeting/" page.html.in >public/index.html
