#!/bin/sh
# Text that looks like markup must stay text.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp build.sh "$dir"
mkdir "$dir/pages"
printf 'T & <b>\n\n1 < 2 && 3 > 2\n' >"$dir/pages/x.txt"
(cd "$dir" && sh build.sh out >/dev/null)
grep -q '<h1>T &amp; &lt;b&gt;</h1>' "$dir/out/x.html"
grep -q '1 &lt; 2 &amp;&amp; 3 &gt; 2' "$dir/out/x.html"
echo "ok: markup is escaped"
