#!/bin/sh
# build.sh OUTPUT: makes OUTPUT/<name>.html of every pages/<name>.txt; the first line is the title, an empty line starts a paragraph.
set -eu
out=${1:?usage: build.sh OUTPUT}
mkdir -p "$out"
for page in pages/*.txt; do
	name=$(basename "$page" .txt)
	awk '
		{ gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;") }
		NR == 1 { printf "<!doctype html>\n<title>%s</title>\n<h1>%s</h1>\n<p>\n", $0, $0; next }
		/^$/ { if (seen) print "</p>\n<p>"; next }
		{ print; seen = 1 }
		END { print "</p>" }
	' "$page" >"$out/$name.html"
	echo "built $name.html ($(wc -c <"$out/$name.html") bytes)"
done
