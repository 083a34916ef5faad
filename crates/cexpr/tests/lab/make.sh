#!/bin/sh
# Makes lab.hex (the memory of lab.c at its kernel-like addresses) and gdb.txt (what gdb prints for
# each expression of gdb.txt). Needs gcc, gdb, objcopy, python3. Run in this directory.
set -eu
tmp=$(mktemp -d)
gcc -g -O0 -mcmodel=kernel -mno-red-zone -fno-pie -no-pie -nostdlib -static -fno-asynchronous-unwind-tables \
  -fno-zero-initialized-in-bss -fno-stack-protector -fcf-protection=none -Wl,--build-id=none -Wl,-e,0 \
  -Wl,-Ttext=0xffffffff81000000 -Wl,-Tdata=0xffffffff82000000 -Wl,--section-start=.rodata=0xffffffff81800000 \
  -o "$tmp/lab" lab.c
for s in rodata data; do
  objcopy -O binary --only-section=.$s "$tmp/lab" "$tmp/$s"
  echo "$s $(od -An -v -tx1 "$tmp/$s" | tr -d ' \n')"
done > lab.hex
nm -S "$tmp/lab" | awk 'NF == 4 { print "symbol", $4, $1, $2, $3 }' >> lab.hex
python3 - "$tmp/lab" <<'P'
import re, subprocess, sys
blocks = [b for b in open('gdb.txt').read().split('\n\n') if b.strip()]
exprs = [b.strip('\n').split('\n')[0] for b in blocks]
cmd = ['gdb', '-batch', '-nx']
for s in ['pretty on', 'elements 256', 'repeats 0']: cmd += ['-ex', 'set print ' + s]
cmd += ['-ex', 'set width 0']
for e in exprs: cmd += ['-ex', 'echo @@@\\n', '-ex', 'p' + e if e.startswith('/') else 'p ' + e]
out = subprocess.run(cmd + [sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
with open('gdb.txt', 'w') as f:
    for e, p in zip(exprs, out.split('@@@\n')[1:]):
        m = re.match(r'\$\d+ = ', p)
        assert m, (e, p)
        f.write(e + '\n' + p[m.end():].rstrip('\n') + '\n\n')
P
rm -r "$tmp"
