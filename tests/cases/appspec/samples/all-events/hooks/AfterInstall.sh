#!/bin/sh
echo "$LIFECYCLE_EVENT AfterInstall" >> /srv/trace
