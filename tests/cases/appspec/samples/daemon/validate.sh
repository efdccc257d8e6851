#!/bin/sh
kill -0 $(cat /srv/daemon.pid)
