#!/usr/bin/env python3
"""hello.py - what starting costs: wall time and peak memory of a static hello world, natively and under doppel

Rounds alternate the runners, medians count. `cold` finds an empty folder of kept translations and fills it, `warm` finds what
earlier runs kept, `none` keeps nothing. The exit status is 1 if warm takes more than 2 ms longer than native, cold more than
5 ms, or either needs more than 4 MiB more at its peak.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
import run  # noqa: E402

MS_MORE = {"warm": 2.0, "cold": 5.0}
KIB_MORE = 4096


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    p.add_argument("--rounds", type=int, default=200, metavar="N", help="default: 200")
    p.add_argument("--doppel", default=str(run.TOP / "build" / "doppel"), metavar="PATH")
    p.add_argument("--qemu", default=os.environ.get("QEMU"), metavar="PATH", help="qemu-riscv64 (default: $QEMU)")
    opt = p.parse_args()
    run.stop_on_signals()
    versions, source = run.compilers(), run.BENCH / "hello.c"
    native, guest = (str(run.compile_cached(cc, versions[cc], source)) for cc in (run.CC_HOST, run.CC_GUEST))
    measure = run.compile_cached(run.CC_HOST, versions[run.CC_HOST], run.BENCH / "measure.c")
    with tempfile.TemporaryDirectory(prefix="doppel-hello-") as tmp:
        cold, warm = os.path.join(tmp, "cold"), os.path.join(tmp, "warm")
        commands = {
            "native": [native],
            "cold": [opt.doppel, "run", "--cache", cold, guest],
            "warm": [opt.doppel, "run", "--cache", warm, guest],
            "none": [opt.doppel, "run", "--no-cache", guest],
        }
        if opt.qemu:
            commands["qemu"] = [opt.qemu, guest]
        os.mkdir(warm, 0o700)
        runs = {name: [] for name in commands}
        for turn in range(-3, opt.rounds):  # three more at the start, for what the host keeps of files, and doppel of translations
            shutil.rmtree(cold, ignore_errors=True)
            os.mkdir(cold, 0o700)
            for name, command in commands.items():
                out, figures = run.run_once(measure, command, dict(os.environ), 60, tmp)
                if not figures or out != b"Hello, world.\n":
                    run.die(f"{name}: {out}")
                if turn >= 0:
                    runs[name].append(figures)
    ms, kib = ({n: scale * statistics.median(f[key] for f in fs) for n, fs in runs.items()} for key, scale in (("wall", 1e3), ("peak_kib", 1)))
    print(f"median of {opt.rounds} alternated runs")
    for n in commands:
        print(f"{n:<8}{ms[n]:7.2f} ms {ms[n] - ms['native']:+7.2f}   {kib[n] / 1024:6.2f} MiB {(kib[n] - kib['native']) / 1024:+6.2f}")
    missed = [n for n in MS_MORE if ms[n] - ms["native"] > MS_MORE[n] or kib[n] - kib["native"] > KIB_MORE]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
