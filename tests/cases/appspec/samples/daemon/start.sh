#!/bin/sh
sleep 120 &
echo $! > /srv/daemon.pid
