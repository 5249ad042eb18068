#!/bin/sh
# compress.sh gzip|bzip2: compresses 128 KiB of text over and over.
awk 'BEGIN {
  srand(1)
  for (w = 0; w < 2000; w++)
    for (c = rand() * 8 + 2; c > 0; c--) word[w] = word[w] sprintf("%c", 97 + int(rand() * 26))
  for (bytes = 0; bytes < 131072; bytes += length(one) + 1) {
    one = word[int(2000 * rand() * rand())]
    printf "%s%s", one, rand() < 0.1 ? "\n" : " "
  }
}' >/tmp/text
while "$1" -c /tmp/text >/tmp/packed; do echo INCR lab:progress; done
