#!/bin/sh
echo "$LIFECYCLE_EVENT ApplicationStop" >> /srv/trace
