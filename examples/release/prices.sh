#!/bin/sh
# prices.sh CENTS: the price with tax (19 %), as customers read it.
set -eu
total=$(($1 + ($1 * 19 + 50) / 100))
printf '%d.%02d\n' $((total / 100)) $((total % 100))
