#!/bin/sh
# Compiles one C file of 200 functions over and over, each time in a new process.
awk 'BEGIN {
  for (f = 0; f < 200; f++) {
    printf "struct s%d { int a; double b[%d]; };\n", f, f % 7 + 1
    printf "int f%d(int n, struct s%d *s) {\n  int sum = %d;\n", f, f, f
    printf "  for (int i = 0; i < n; i++) {\n    if (i %% %d) sum += i * s->a;\n", f % 5 + 2
    printf "    else s->b[i %% %d] += sum / (i + 1);\n  }\n  return sum", f % 7 + 1
    if (f > 0) printf " + f%d(n - 1, (struct s%d *)s)", f - 1, f - 1
    print ";\n}"
  }
}' >/tmp/source.c
while tcc -nostdinc -c -o /tmp/object.o /tmp/source.c; do echo INCR lab:progress; done
