#!/usr/bin/env python3
"""run.py - run the suites, print a line for each as it ends, and count (./test is the door; docs/hacking.md, "Tests")

A suite is an executable file: tests/AREA/NAME.test, tests/AREA/NAME.long (only with --long), or a unit test that meson
built from tests/AREA/NAME.c. It prints one line a case, in the words of TAP:

    ok NAME                  not ok NAME                  ok NAME # SKIP why it cannot run here

Everything else that it prints is shown only if something failed, but lines that start with "note:", which always are.
A suite that ends with another status than 0 without a "not ok", dies, or takes too long counts as one failed case.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build")
OUT = os.path.join(BUILD, "out")
# What ends a hang: a machine with other work on it takes many times what it does alone.
LIMIT, LIMIT_LONG = 1800, 2 * 3600
LINE = re.compile(r"^(not ok|ok)\b(?:\s+\d+(?=\s|$))?(?:\s+-)?\s*(.*?)\s*(?:#\s*(SKIP)\b\s*(.*))?$", re.I)


def usual_start():
    """What guests would inherit: a job in the background ignores these signals, and users differ in their umask."""
    os.umask(0o022)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Suite:
    def __init__(self, name, path, is_long=False):
        self.name, self.path, self.is_long = name, path, is_long
        self.passed, self.failed, self.skipped, self.notes = 0, [], [], []

    def run(self, env):
        out = os.path.join(OUT, self.name.replace("/", "-"))
        os.makedirs(out, exist_ok=True)
        log = out + ".log"
        limit = LIMIT_LONG if self.is_long else LIMIT
        start = time.time()
        with open(log, "wb") as f:
            p = subprocess.Popen([self.path], cwd=TOP, env=dict(env, OUT=out), stdin=subprocess.DEVNULL,
                                 stdout=f, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=usual_start)
            try:
                status = p.wait(limit)
            except subprocess.TimeoutExpired:
                status = "took longer than %d s" % limit
            finally:
                # Whatever a suite leaves behind goes with it, and so does all of it on Ctrl-C.
                try:
                    os.killpg(p.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            p.wait()
        self.seconds = time.time() - start
        with open(log, errors="replace") as f:
            self.text = f.read()
        for line in self.text.splitlines():
            if line.startswith("note:"):
                self.notes.append(line)
            m = LINE.match(line)
            if not m:
                continue
            if m.group(3):  # also after "not ok": cmocka before 1.1.7
                self.skipped.append("%s: %s" % (m.group(2) or self.name, m.group(4)))
            elif m.group(1).lower() == "not ok":
                self.failed.append(m.group(2))
            else:
                self.passed += 1
        if status and not self.failed and not (self.skipped and status == len(self.skipped)):
            what = "status %d" % status if isinstance(status, int) else status
            self.failed.append("%s (%s)" % (self.name, what))
        elif not (self.passed or self.failed or self.skipped):
            self.failed.append("%s (printed no case)" % self.name)


def find_suites():
    suites = []
    for area in sorted(os.listdir(os.path.join(TOP, "tests"))):
        folder = os.path.join(TOP, "tests", area)
        if not os.path.isdir(folder):
            continue
        for f in sorted(os.listdir(folder)):
            path, (stem, ext) = os.path.join(folder, f), os.path.splitext(f)
            name = area + "/" + stem
            if ext == ".c":
                unit = os.path.join(BUILD, "tests", "unit-" + re.sub(r"\W", "_", name))
                if os.path.exists(unit):
                    suites.append(Suite(name + ext, unit))  # there may be a .test of that name
            elif ext in (".test", ".long"):
                suites.append(Suite(name, path, ext == ".long"))
    return suites


def commit():
    """What a long piece that passed is recorded under; None if the tree is not a commit, and nothing is recorded."""
    git = lambda *a: subprocess.run(("git", "-C", TOP) + a, capture_output=True, text=True)
    head = git("rev-parse", "HEAD")
    if head.returncode or git("status", "--porcelain", "--untracked-files=no").stdout:
        return None
    return head.stdout.strip()


def reference_qemu(env):
    """QEMU (a path, or empty) and QEMU_WHY (why there is none) for the suites."""
    p = subprocess.run([os.path.join(TOP, "scripts", "reference-qemu"), os.path.join(OUT, "qemu")],
                       capture_output=True, text=True, env=env)
    if p.returncode == 0:
        return {"QEMU": p.stdout.strip()}
    return {"QEMU": "", "QEMU_WHY": (p.stderr.strip().splitlines() or ["no reference QEMU"])[-1]}


def report(s):
    bad = ", %d FAILED" % len(s.failed) if s.failed else ""
    skip = ", %d skipped" % len(s.skipped) if s.skipped else ""
    print("%-32s %5d passed%s%s  (%.1f s)" % (s.name, s.passed, bad, skip, s.seconds), flush=True)
    for n in s.notes:
        print("    " + n)
    if s.failed:
        lines = s.text.splitlines()
        for line in lines[-60:]:
            print("    | " + line)
        if len(lines) > 60:
            print("    (all of it: build/out/%s.log)" % s.name.replace("/", "-"))
        for f in s.failed[:20]:
            print("    failed: " + f)
    sys.stdout.flush()


def main():
    a = argparse.ArgumentParser(prog="test", usage="./test [--long[=NAME]] [--mutate] [--list] [NAME...]")
    a.add_argument("--long", nargs="?", const="", default=None)
    a.add_argument("--mutate", action="store_true")
    a.add_argument("--list", action="store_true")
    a.add_argument("names", nargs="*")
    o = a.parse_args()
    if o.mutate:
        o.long = "mutate"
    suites = [s for s in find_suites() if s.is_long == (o.long is not None)]
    suites = [s for s in suites if (not o.names or any(n in s.name for n in o.names)) and (o.long or "") in s.name]
    if not suites:
        hint = "" if o.long is not None else "; ./test --list, ./test --long --list"
        print("test: no suite's name contains %s%s" % (" or ".join("'%s'" % n for n in o.names + [o.long or ""] if n), hint), file=sys.stderr)
        return 1
    if o.list:
        print("\n".join(s.name for s in suites))
        return 0

    os.makedirs(OUT, exist_ok=True)
    jobs = os.cpu_count() or 1
    env = dict(os.environ, TOP=TOP, BUILD=BUILD, DOPPEL=os.path.join(BUILD, "doppel"), LC_ALL="C", XDG_CACHE_HOME=os.path.join(BUILD, "out", "cache"), CMOCKA_MESSAGE_OUTPUT="TAP",
               GUESTS=os.path.join(BUILD, "guests"), RISCV_CC="riscv64-linux-gnu-gcc", JOBS=str(jobs))
    env.update(reference_qemu(env))
    done_key = commit() if o.long is not None else None
    record = lambda s: os.path.join(OUT, "done", "%s-%s" % (s.name.replace("/", "-"), done_key))

    start, lock, todo, ran = time.time(), threading.Lock(), list(suites), []

    def work():
        while True:
            with lock:
                if not todo:
                    return
                s = todo.pop(0)
            if done_key and os.path.exists(record(s)):
                s.passed = int(open(record(s)).read())
                with lock:
                    ran.append(s)
                    print("%-32s %5d passed  (earlier, at this commit)" % (s.name, s.passed), flush=True)
                continue
            s.run(env)
            with lock:
                ran.append(s)
                report(s)
            if done_key and not s.failed and not s.skipped:
                os.makedirs(os.path.dirname(record(s)), exist_ok=True)
                with open(record(s), "w") as f:
                    f.write(str(s.passed))

    # Long pieces use all processors by themselves.
    workers = [threading.Thread(target=work) for _ in range(1 if o.long is not None else jobs)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()

    for why in sorted({k for s in ran for k in s.skipped}):
        print("skipped " + why)
    passed, failed = sum(s.passed for s in ran), sum(len(s.failed) for s in ran)
    for s in ran:
        for f in s.failed[:20]:
            print("failed %s: %s" % (s.name, f))
    print("%d suites in %d s" % (len(ran), time.time() - start))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
