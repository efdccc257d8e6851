#!/bin/sh
echo "$LIFECYCLE_EVENT dependencies" >> /srv/trace
