#!/bin/sh
echo "$LIFECYCLE_EVENT BeforeInstall" >> /srv/trace
