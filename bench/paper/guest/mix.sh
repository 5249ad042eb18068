#!/bin/sh
# mix.sh USERS: so many users who develop software at the same time, as SPEC's SDET (of its system
# development benchmarks) has them: each works through a script of small commands over a tree of
# sources, in a folder of their own, over and over. Prints a line for each command that worked.
make_sources() {
  awk -v folder="$1" 'BEGIN {
    for (file = 0; file < 12; file++) {
      name = folder "/part" file ".c"
      for (f = 0; f < 12; f++) {
        printf "/* Part %d, function %d: adds up what it is given. */\n", file, f >name
        printf "int p%d_f%d(int n, int *s) {\n  int sum = %d;\n", file, f, f >name
        printf "  for (int i = 0; i < n; i++) sum += s[i %% %d] * i;\n", f % 7 + 1 >name
        print "  return sum;\n}" >name
      }
      close(name)
    }
  }'
}

user() {
  home=/tmp/users/$1
  mkdir -p "$home/src" && make_sources "$home/src" && cd "$home" || exit 1
  step=$1
  while true; do
    step=$((step + 1))
    file=src/part$((step % 12)).c
    case $((step % 11)) in
      0) cp -r src copy ;;
      1) sed -i "s/sum = [0-9]*/sum = $step/" "$file" ;;
      2) tcc -nostdinc -c -o object.o "$file" ;;
      3) grep -r -n "p[0-9]*_f$((step % 12))" src >found ;;
      4) sort -r found >sorted ;;
      5) { diff -r src copy || true; } >changes ;;
      6) tar -cf all.tar src ;;
      7) gzip -c all.tar >all.tar.gz ;;
      8) tr -cs a-zA-Z '\n' <"$file" | sort | uniq -c | sort -n >words ;;
      9) find . -name '*.c' | xargs wc -l >lines ;;
      10) rm -rf copy ;;
    esac && echo INCR lab:progress
  done
}

for number in $(seq "$1"); do user "$number" & done
wait
