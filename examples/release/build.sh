#!/bin/sh
# build.sh OUTPUT: a page of every list of goods, and one that leads to them.
set -eu
out=${1:?usage: build.sh OUTPUT}
mkdir -p "$out"
version=$(cat VERSION)
links=""
for list in pages/*.txt; do
	name=$(basename "$list" .txt)
	{
		echo "<!doctype html><title>$name</title><h1>$name</h1><ul>"
		while read -r price goods; do echo "<li>$goods: $(sh prices.sh "$price")</li>"; done <"$list"
		echo "</ul><p>version $version</p>"
	} >"$out/$name.html"
	links="$links<li><a href=\"$name.html\">$name</a></li>"
done
echo "<!doctype html><title>shop</title><ul>$links</ul><p>version $version</p>" >"$out/index.html"
echo "built $(ls "$out" | wc -l | tr -d ' ') pages of version $version"
