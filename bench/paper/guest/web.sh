#!/bin/sh
# nginx with one file of 256 KiB, at port 8080.
mkdir -p /tmp/www /var/lib/nginx /var/log/nginx
dd if=/dev/urandom of=/tmp/www/file bs=1k count=256 2>/dev/null
cat >/tmp/nginx.conf <<'END'
user root root;
daemon off;
pid /tmp/nginx.pid;
worker_processes 1;
error_log stderr error;
events { worker_connections 512; }
http {
  access_log off;
  keepalive_requests 1000000;
  server { listen 8080; root /tmp/www; }
}
END
exec nginx -c /tmp/nginx.conf
