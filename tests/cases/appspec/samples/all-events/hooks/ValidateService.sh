#!/bin/sh
echo "$LIFECYCLE_EVENT ValidateService" >> /srv/trace
