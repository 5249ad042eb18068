#!/bin/busybox sh
# The lab guest's first process: drivers, network, Redis, a counter, a load. It reads these words
# from the kernel's command line:
#   lab.counter=50     INCRs of lab:counter a second, by one process on one connection; 0: none
#   lab.load=none      none, kv (keys and values in Redis), memory (random bytes into a tmpfs)
#   lab.rate=1000      kv: SETs a second, 0 as fast as it goes; memory: MiB a second
#   lab.set=64         memory: size of the working set in MiB
#   lab.disk=none      none, or a device with an ext4 file system: Redis appends each write to a log
#                      there and syncs it before it answers
#   lab.ip=10.0.2.15/24 lab.gw=10.0.2.2   address and router of eth0
# Port 80 serves /cgi-bin/numbers: the numbers from 1 on, a line each, for as long as somebody reads.
# The last line on the console is "LAB READY <boot id>" or "LAB FAILED <what>".
/bin/busybox mkdir -p /dev /proc /sys /tmp /load
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1

fail() {
  echo "LAB FAILED $1"
  # The end of PID 1 would panic the kernel.
  sleep 0.2
  poweroff -f
}

counter=50 load=none rate=1000 working_set=64 disk=none ip=10.0.2.15/24 gw=10.0.2.2
for word in $(cat /proc/cmdline); do
  case "$word" in
    lab.counter=*) counter="${word#*=}" ;;
    lab.load=*) load="${word#*=}" ;;
    lab.rate=*) rate="${word#*=}" ;;
    lab.set=*) working_set="${word#*=}" ;;
    lab.disk=*) disk="${word#*=}" ;;
    lab.ip=*) ip="${word#*=}" ;;
    lab.gw=*) gw="${word#*=}" ;;
  esac
done

# In the order in which they need each other; a device that is not there does no harm.
while read -r module; do
  insmod "/lib/modules/$module" || fail "module $module"
done </lib/modules/order

echo 1 >/proc/sys/vm/overcommit_memory
[ -e /sys/kernel/mm/transparent_hugepage/enabled ] &&
  echo never >/sys/kernel/mm/transparent_hugepage/enabled

ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
  ip addr add "$ip" dev eth0 && ip link set eth0 up && ip route add default via "$gw" ||
    fail "network"
fi

boot_id=$(cat /proc/sys/kernel/random/boot_id)
memory_kib=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)
append_only="--appendonly no"
if [ "$disk" != none ]; then
  mkdir -p /data
  # A file system that had an error must not be written on as if nothing were.
  mount -t ext4 -o errors=panic "$disk" /data || fail "disk $disk"
  append_only="--appendonly yes --appendfsync always --dir /data"
fi
# Nothing is evicted: a key that is missing was lost.
# shellcheck disable=SC2086
redis-server --save '' $append_only --bind 0.0.0.0 --protected-mode no --port 6379 \
  --maxmemory "$((memory_kib / 4))kb" --maxmemory-policy noeviction --hz 1 \
  --jemalloc-bg-thread no --logfile /dev/null --tcp-keepalive 0 &
redis=$!
tries=0
until [ "$(redis-cli ping 2>/dev/null)" = PONG ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || fail "redis does not answer"
  sleep 0.05
done
redis-cli set lab:boot-id "$boot_id" >/dev/null || fail "redis takes no writes"

mkdir -p /www/cgi-bin
cat >/www/cgi-bin/numbers <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
exec awk 'BEGIN {
  for (n = 1; ; n++) {
    print n
    if (n % 500 == 0) { fflush(); if (system("sleep 0.05") != 0) exit }
  }
}'
END
chmod +x /www/cgi-bin/numbers
httpd -p 80 -h /www || fail "httpd"

if [ "$counter" -gt 0 ]; then
  interval=$(awk -v n="$counter" 'BEGIN { printf "%.6f", 1 / n }')
  redis-cli -r -1 -i "$interval" incr lab:counter >/dev/null &
fi

# A record that looks like an application's: some structure, some text, a number that changes.
paced_kv='
  local tick = redis.call("INCR", "lab:kv-tick")
  math.randomseed(tick)
  for i = 1, tonumber(ARGV[1]) do
    local id = math.random(1, 100000)
    redis.call("SET", "kv:" .. id, string.format(
      "{\"id\":%d,\"name\":\"user-%06d\",\"visits\":%d,\"note\":\"%s\"}",
      id, id, tick, string.rep(string.char(97 + id % 26), 64)))
  end
  return tick'

case "$load" in
  none) ;;
  kv)
    if [ "$rate" -gt 0 ]; then
      per_tick=$((rate / 50))
      [ "$per_tick" -gt 0 ] || per_tick=1
      redis-cli -r -1 -i 0.02 eval "$paced_kv" 0 "$per_tick" >/dev/null &
    else
      redis-benchmark -l -q -c 4 -r 100000 -d 128 -t set,get >/dev/null &
    fi
    ;;
  memory)
    mount -t tmpfs -o "size=$((working_set + 1))m" load /load
    [ "$rate" -gt 0 ] || rate=1
    awk -v set="$working_set" -v rate="$rate" 'BEGIN {
      srand(1)
      for (;;) {
        command = sprintf("dd if=/dev/urandom of=/load/set bs=1M count=1 seek=%d conv=notrunc " \
          "2>/dev/null; sleep %.4f", int(rand() * set), 1 / rate)
        system(command)
      }
    }' &
    ;;
  *) fail "unknown lab.load=$load" ;;
esac

echo "LAB READY $boot_id"
wait "$redis"
fail "redis ended"
