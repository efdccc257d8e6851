#!/bin/sh
echo "$LIFECYCLE_EVENT stop" >> /srv/trace
