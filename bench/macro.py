#!/usr/bin/env python3
"""macro.py - real programs of a Debian root: CPU seconds under doppel, QEMU, and native

Each workload of scripts/guests/bench/work.sh (fixed work, the same output everywhere), and dpkg's second stage of a
minbase, under each runner in turn; a figure is user + system of the whole process tree, the least of the rounds. doppel
runs twice: `cold` with an empty folder of kept translations, `warm` with what that run kept. QEMU runs as two CPU models,
by a private binfmt_misc; the faster one counts. A workload that fails, or prints something else than under the others, has
no time. Needs root, or subuid ranges, for QEMU and native; doppel is run as uid 1000 then. See docs/performance.md.
"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
GUESTS = TOP / "scripts" / "guests"
SECOND_STAGE = "second-stage"
NOT_NATIVE = {SECOND_STAGE}  # rows without a native figure
OWN_CODE = {"gccsqlite"}  # prints a hash of machine code: the same under each emulator, not natively
USER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
MODELS = {"qemu": {"QEMU_CPU": "max"}, "qemu rv64": {"QEMU_CPU": "rv64"}}


def die(text):
    sys.exit(f"macro.py: {text}")


class Runner:
    """One column: how it is told to bench-user.py and bench-second-stage.sh, and with which environment."""

    def __init__(self, name, how, env=None, user=False):
        self.name, self.how, self.user = name, how, user
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DOPPEL_", "QEMU_"))}
        self.env.update(env or {})

    def run(self, command):
        if self.user and os.geteuid() == 0:
            command = USER + command
        p = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return p.stdout + p.stderr

    def workload(self, name, root, data):
        """(CPU seconds, what it printed), or (None, why not)."""
        for left in (f"{root}/bench", f"{root}/tmp"):  # by another runner, as another user
            shutil.rmtree(left, ignore_errors=True)
        os.makedirs(f"{root}/tmp", exist_ok=True)
        os.chmod(f"{root}/tmp", 0o1777)
        out = self.run([str(GUESTS / "bench-user.py")] + self.how + ["--bench", data, root, name])
        m = re.search(rf"^{re.escape(name)} +([\d.]+) +([\d.]+) +[\d.]+ +ok *(.*)$", out, re.M)
        return (float(m[1]) + float(m[2]), m[3]) if m else (None, out.strip().splitlines()[-1:])

    def second_stage(self, stage1):
        how = ["--run", self.how[1]] if self.how[:1] == ["--run"] else [self.how[1]]
        out = self.run(["sh", str(GUESTS / "bench-second-stage.sh"), "--stage1", stage1] + how)
        m = re.search(r"user (\d+)m([\d.]+)s sys (\d+)m([\d.]+)s", out)
        return (60 * (int(m[1]) + int(m[3])) + float(m[2]) + float(m[4]), "") if m else (None, out[-200:])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--doppel", default=str(TOP / "build" / "doppel"), metavar="FILE", help="one that uid 1000 can execute")
    ap.add_argument("--qemu", metavar="FILE", help="a static qemu-riscv64; without it no such columns")
    ap.add_argument("--native-root", metavar="DIR", help="a root of this machine's architecture with the same packages")
    ap.add_argument("--data", required=True, metavar="DIR", help="sqlite3.c and data.tar: make-bench-data.sh")
    ap.add_argument("--stage1", metavar="FILE", help="first stage (make-rootfs.sh --stage1): adds the row second-stage")
    ap.add_argument("--rounds", type=int, default=1)
    ap.add_argument("--json", metavar="FILE", help="write all figures")
    ap.add_argument("root", help="a riscv64 root: doppel root DIR gcc python3 perl ...")
    ap.add_argument("names", nargs="*", help="workloads; default: all of work.sh")
    a = ap.parse_args()
    listed = subprocess.run(["sh", str(GUESTS / "bench" / "work.sh"), "list-bench"], capture_output=True, text=True, check=True)
    names = a.names or [n for n in listed.stdout.split() if n != "openssl"]  # that one measures by time
    if a.stage1 and not a.names:
        names.append(SECOND_STAGE)

    kept = tempfile.mkdtemp(prefix="macro-", dir="/var/tmp")
    if os.geteuid() == 0:
        os.chown(kept, 1000, 1000)
    command = f"{a.doppel} run --root {{root}} --fake-root -E HOME=/tmp"
    runners = [Runner(n, ["--run", command], {"DOPPEL_CACHE": kept + "/c"}, user=True) for n in ("cold", "warm")]
    if a.qemu:
        runners += [Runner(n, ["--emu", a.qemu], env) for n, env in MODELS.items()]
    if a.native_root:
        runners.insert(0, Runner("native", []))

    figures = {n: {} for n in names}
    print("%-14s" % "CPU seconds" + "".join("%11s" % r.name for r in runners), flush=True)
    for name in names:
        answers = set()
        for _ in range(a.rounds):
            for r in runners:
                if r.name == "cold":
                    shutil.rmtree(kept + "/c", ignore_errors=True)
                if r.name == "native" and name in NOT_NATIVE:
                    continue
                if name == SECOND_STAGE:
                    t, said = r.second_stage(a.stage1)
                else:
                    t, said = r.workload(name, a.native_root if r.name == "native" else a.root, a.data)
                if t is None:
                    print(f"macro.py: {name}, {r.name}: {said}", file=sys.stderr)
                    continue
                if r.name != "native" or name not in OWN_CODE:
                    answers.add(said)
                figures[name][r.name] = min(t, figures[name].get(r.name, math.inf))
        if len(answers) > 1:
            print(f"macro.py: {name}: different output: {sorted(answers)}", file=sys.stderr)
            figures[name] = {}
        print("%-14s" % name + "".join("%11.2f" % figures[name][r.name] if r.name in figures[name] else "%11s" % "-" for r in runners),
              flush=True)
    shutil.rmtree(kept, ignore_errors=True)

    common = [f for f in figures.values() if len(f) == len(runners)]
    print("%-14s" % ("sum of %d" % len(common)) + "".join("%11.2f" % sum(f[r.name] for f in common) for r in runners))

    if a.qemu:
        whole = {n: f for n, f in figures.items() if "cold" in f and "warm" in f and any(m in f for m in MODELS)}
        best = {n: min(f[m] for m in MODELS if m in f) for n, f in whole.items()}
        for kind in ("cold", "warm") if whole else ():
            total, mean = sum(best.values()) / sum(f[kind] for f in whole.values()), 1.0
            for n, f in whole.items():
                mean *= (best[n] / max(f[kind], 0.01)) ** (1 / len(whole))
            worst = min(whole, key=lambda n: best[n] / max(whole[n][kind], 0.01))
            print("QEMU / %s: total %.2f, geometric mean %.2f, least %.2f (%s)" %
                  (kind, total, mean, best[worst] / max(whole[worst][kind], 0.01), worst))
    if a.json:
        Path(a.json).write_text(json.dumps(figures, indent=1) + "\n")
    missing = [n for n in names if not all(r.name in figures[n] for r in runners if r.name != "native" or n not in NOT_NATIVE)]
    if missing:
        die("no figure for " + " ".join(missing))


main()
