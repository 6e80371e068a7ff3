#!/usr/bin/env python3
"""replay.py LOG IMAGE SCRATCH [--flushes N] -- COMMAND...: the disks that a power cut could have left

LOG is what `--drive file=IMAGE-as-it-became,log=LOG` wrote (src/block/log.c), IMAGE the disk as it was before. For each completed flush
the disk is made that holds all that was done up to it and nothing later, in SCRATCH, and COMMAND SCRATCH is run: it has to succeed.
  --flushes N   only N of them, evenly spread, the last one always
  --torn SEED   besides, of what came after each of them, some writes in any order, as a disk's cache may have let them through
"""
import random
import shutil
import struct
import subprocess
import sys

WRITE, FLUSH, ZERO, DISCARD = 1, 2, 3, 4


def records(path):
    with open(path, "rb") as f:
        if f.readline() != b"doppel-log 1\n":
            sys.exit("replay: %s is no log" % path)
        while True:
            head = f.read(24)
            if len(head) < 24:
                return
            kind, _, off, n = struct.unpack("<IIQQ", head)
            data = f.read(n) if kind == WRITE else b""
            if kind == WRITE and len(data) < n:
                return  # cut off while it was written
            yield kind, off, n, data


def apply(disk, record):
    kind, off, n, data = record
    if kind == FLUSH or kind == DISCARD:
        return  # a discard need not have done anything
    disk.seek(off)
    while kind == ZERO and n > 0:
        now = min(n, 1 << 20)
        disk.write(bytes(now))
        n -= now
    disk.write(data)


def main():
    at = sys.argv.index("--")
    args, command = sys.argv[1:at], sys.argv[at + 1:]
    want, torn = None, None
    while len(args) > 3:
        value = int(args.pop())
        if args.pop() == "--flushes":
            want = value
        else:
            torn = random.Random(value)
    log, image, scratch = args
    every = [r for r in records(log)]
    flushes = [i for i, r in enumerate(every) if r[0] == FLUSH]
    picked = flushes if want is None or want >= len(flushes) else [flushes[(k + 1) * len(flushes) // want - 1] for k in range(want)]
    state, bad, done = scratch + ".state", 0, 0
    subprocess.run(["cp", "--sparse=always", image, state], check=True)
    with open(state, "r+b") as disk:
        for n, end in enumerate(picked):
            for record in every[done:end + 1]:
                apply(disk, record)
            disk.flush()
            done = end + 1
            subprocess.run(["cp", "--sparse=always", state, scratch], check=True)
            if torn:
                after = every[done:next((i for i in flushes if i >= done), len(every))]
                later = [r for r in after if r[0] == WRITE and torn.random() < 0.5]
                torn.shuffle(later)
                with open(scratch, "r+b") as cut:
                    for record in later:
                        apply(cut, record)
            p = subprocess.run(command + [scratch], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if p.returncode:
                bad += 1
                print("flush %d of %d: status %d\n%s" % (flushes.index(end), len(flushes), p.returncode, p.stdout.decode(errors="replace")[-800:]))
                shutil.copy(scratch, "%s.bad%d" % (scratch, n))
    print("%d records, %d flushes, %d replayed, %d bad" % (len(every), len(flushes), len(picked), bad))
    return 1 if bad else 0


sys.exit(main())
