#!/bin/sh
echo "$LIFECYCLE_EVENT ApplicationStart" >> /srv/trace
