#!/bin/sh
id -un > /tmp/started-as-$DEPLOYMENT_ID; cat /tmp/started-as-$DEPLOYMENT_ID; rm /tmp/started-as-$DEPLOYMENT_ID
