#!/bin/sh
echo "$LIFECYCLE_EVENT root" >> /srv/trace
