#!/bin/sh
set -eu
check() { # CENTS PRICE
	got=$(sh prices.sh "$1")
	[ "$got" = "$2" ] || { echo "not ok: $1 cents are $got, not $2"; exit 1; }
	echo "ok: $1 cents are $2"
}
check 0 0.00
check 100 1.19
check 999 11.89
check 1 0.01
