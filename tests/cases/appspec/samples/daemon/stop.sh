#!/bin/sh
kill $(cat /srv/daemon.pid)
rm /srv/daemon.pid
