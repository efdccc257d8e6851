#!/bin/sh
echo "$LIFECYCLE_EVENT start" >> /srv/trace
