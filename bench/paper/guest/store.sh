#!/bin/sh
# Redis: SETs of 128 bytes on 100,000 keys by four clients, as fast as it goes.
exec redis-benchmark -l -q -c 4 -r 100000 -d 128 -t set >/dev/null
