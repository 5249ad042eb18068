#!/bin/busybox sh
# The first process of the lab guest with a benchmark's load: starts /loads/<bench.load> once the
# lab guest's store answers, and goes on as the lab guest's own /init. From the kernel's command line:
#   bench.load=none    the file in /loads to run; each INCR that it prints counts a piece of work
#   bench.args=a,b     its arguments
# The shell opens /dev/null for what runs in the background.
/bin/busybox mount -t devtmpfs dev /dev
(
  until [ -x /bin/redis-cli ] && [ -x /bin/sleep ]; do /bin/busybox sleep 0.1; done
  export PATH=/bin
  load=none args=
  until [ -e /proc/cmdline ]; do sleep 0.1; done
  for word in $(cat /proc/cmdline); do
    case "$word" in
      bench.load=*) load="${word#*=}" ;;
      bench.args=*) args="${word#*=}" ;;
    esac
  done
  [ "$load" = none ] && exit
  until [ "$(redis-cli ping 2>/dev/null)" = PONG ]; do sleep 0.1; done
  # shellcheck disable=SC2086
  "/loads/$load" $(echo "$args" | tr , ' ') | redis-cli >/dev/null
  echo "LOAD $load ended"
) &
exec /init
