#!/bin/sh
# A shop of pages that are made as they are asked for, at port 8081: each is a CGI script in a process
# of its own, which reads a catalogue of 400 things, keeps what its visitor looked at in a file, and
# writes a page with the things of a shelf and that visitor's own. Six are made at a time.
mkdir -p /tmp/visitors
awk 'BEGIN {
  srand(1)
  for (id = 1; id <= 400; id++) {
    text = ""
    for (w = 0; w < 12; w++) text = text sprintf(" word%d", int(rand() * 500))
    printf "%d|thing %04d|%d|%.2f|%d|%s\n", id, id, id % 10, rand() * 100, rand() * 50, text
  }
}' >/tmp/catalogue
cat >/tmp/shop <<'END'
#!/bin/sh
# QUERY_STRING: user=NUMBER
printf 'Content-Type: text/html\r\n\r\n'
user=${QUERY_STRING#user=}
visitor=/tmp/visitors/$user
touch "$visitor"
awk -F'|' -v out="$visitor.$$" '
  FILENAME != "/tmp/catalogue" { seen[$1] = $2; visits = $1 > visits ? $1 : visits; next }
  $3 == visits % 10 {
    row[++rows] = sprintf("<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>", $2, $4, $5, $6)
    total += $4 * $5
    if (rows == 1 + visits % 7) looked = $2
  }
  END {
    print "<html><body><h1>Shelf " visits % 10 ", worth " total "</h1><table>"
    for (n = 1; n <= rows; n++) print row[n] row[rows + 1 - n]
    print "</table><ul>"
    visits++
    for (n = visits > 20 ? visits - 20 : 1; n < visits; n++) {
      print "<li>" seen[n] "</li>"
      print n "|" seen[n] >out
    }
    print visits "|" looked >out
    print "</ul></body></html>"
  }' "$visitor" /tmp/catalogue
mv "$visitor.$$" "$visitor"
END
chmod +x /tmp/shop
exec /loads/cgi-server 8081 6 /tmp/shop
