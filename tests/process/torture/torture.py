#!/usr/bin/env python3
"""torture.py [--every N] [--opt O...] [--engines E...] [--options ARGS] - GCC's gcc.c-torture/execute under doppel

The cases come from Debian's gcc-12-source; each is a C program that aborts or exits with another status than 0 if the
machine got something wrong. They are compiled for riscv64, static, and run under the reference QEMU and under doppel
with each engine. What QEMU fails in this run is left out of the count, and named; so is what does not compile.

GCC's own harness is followed as far as it matters for one target: dg-options, dg-additional-options, dg-skip-if by target
and option, the extra flags of ieee/, and the extra files of builtins/. Its older Tcl files (*.x) are not read: what they
exclude here, QEMU fails too.

Programs are kept under OUT by the hash of what they were made from; a pass is kept by the hash of program, engine, options and
doppel, so that a run that was interrupted goes on where it was.
"""
import argparse
import concurrent.futures
import glob
import hashlib
import os
import re
import shlex
import subprocess
import sys
import threading

TARGET = "riscv64-unknown-linux-gnu"
COMMON = ["-static", "-s", "-w", "-fpermissive"]  # -fpermissive: from 14 on gcc refuses what old C allowed
LIMIT_QEMU, LIMIT = 60, 300

env = os.environ
OUT = os.path.join(os.path.dirname(env["OUT"]), "torture")  # one cache for the sample and the whole


def sources():
    """The folder of cases, extracted once; None if the package is not there."""
    where = os.path.join(OUT, "src")
    done = glob.glob(where + "/*/gcc/testsuite/gcc.c-torture/execute")
    if done and os.path.exists(where + "/complete"):
        return done[0]
    tars = glob.glob("/usr/src/gcc-12/gcc-12*.tar.xz")
    if not tars:
        return None
    os.makedirs(where, exist_ok=True)
    subprocess.run(["tar", "-xJf", tars[0], "-C", where, "--wildcards", "*/gcc/testsuite/gcc.c-torture/execute"], check=True)
    open(where + "/complete", "w").close()
    return glob.glob(where + "/*/gcc/testsuite/gcc.c-torture/execute")[0]


def tcl_words(text):
    """Split Tcl's words: "a b", {a {b c}}, bare."""
    words, i = [], 0
    while i < len(text):
        c = text[i]
        if c.isspace():
            i += 1
        elif c == '"':
            j = text.find('"', i + 1)
            j = len(text) if j < 0 else j
            words.append(text[i + 1:j])
            i = j + 1
        elif c == "{":
            depth, j = 1, i + 1
            while j < len(text) and depth:
                depth += {"{": 1, "}": -1}.get(text[j], 0)
                j += 1
            words.append(text[i + 1:j - 1].strip())
            i = j
        else:
            j = i
            while j < len(text) and not text[j].isspace():
                j += 1
            words.append(text[i:j])
            i = j
    return words


def directives(text):
    for m in re.finditer(r"\{\s*(dg-[a-z-]+)\s", text):
        depth, j = 1, m.end()
        while j < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[j], 0)
            j += 1
        yield m.group(1), tcl_words(text[m.end():j - 1])


def selected(selector):
    """Whether a target selector holds for us. Names of properties (int32plus, alloca, ...) do not contain "-*"."""
    s = selector.strip()
    if s.startswith("target"):
        s = s[len("target"):].strip()
    if s.startswith("{") and s.endswith("}"):
        s = s[1:-1].strip()
    if s.startswith("!"):
        return not selected(s[1:])
    globs = [w for w in tcl_words(s) if "*" in w]
    return any(re.fullmatch(g.replace("*", ".*").replace("?", "."), TARGET) for g in globs)


def options(path, text, opt):
    """Flags for this case at this level, or None if it is not for us."""
    flags = []
    for name, words in directives(text):
        if name in ("dg-options", "dg-additional-options"):
            if len(words) < 2 or selected(words[1]):
                flags += shlex.split(words[0].replace('"', ""))
        elif name == "dg-skip-if" and len(words) >= 2 and selected(words[1]):
            matches = lambda w: any(o in ("*", opt) for o in tcl_words(w))
            if (len(words) < 3 or matches(words[2])) and not (len(words) > 3 and matches(words[3])):
                return None
    if "/ieee/" in path:
        flags.append("-fno-inline")
    if "/builtins/" in path:
        flags += "-fno-tree-dse -fno-tree-loop-distribute-patterns -fno-tracer -fno-ipa-ra -fno-inline-functions".split()
    return flags


def hash_of(*parts):
    h = hashlib.sha256()
    for p in parts:
        h.update(p if isinstance(p, bytes) else p.encode())
        h.update(b"\0")
    return h.hexdigest()[:24]


def passes(command, limit, cwd):
    p = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env={"PATH": env["PATH"], "LC_ALL": "C", "QEMU_CPU": "rv64"})
    try:
        return p.wait(limit)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        return "time limit"


class Case:
    def __init__(self, root, path, opt):
        self.path, self.opt = path, opt
        self.name = "%s %s" % (os.path.relpath(path, root)[:-2], opt)
        self.files = [path]
        if "/builtins/" in path:
            self.files += [path[:-2] + "-lib.c", os.path.join(root, "builtins/lib/main.c")]
        with open(path, errors="replace") as f:
            self.flags = options(path, f.read(), opt)

    def compile(self, compiler):
        """The program's path; None if gcc refuses."""
        command = COMMON + [self.opt] + self.flags
        headers = [f for f in glob.glob(os.path.dirname(self.path) + "/*.h") + glob.glob(os.path.dirname(self.path) + "/lib/*.[ch]")]
        texts = [open(f, "rb").read() for f in self.files + sorted(headers)]
        self.key = hash_of(compiler, " ".join(command), *texts)
        exe = os.path.join(OUT, "bin", self.key)
        if os.path.exists(exe + ".no"):
            return None
        if not os.path.exists(exe):
            tmp = "%s.%d.%d" % (exe, os.getpid(), threading.get_ident())
            p = subprocess.run([env["RISCV_CC"]] + command + ["-o", tmp] + self.files + ["-lm"], cwd=os.path.dirname(self.path),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if p.returncode:
                open(exe + ".no", "w").close()
                return None
            os.rename(tmp, exe)
        return exe


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--every", type=int, default=1)
    a.add_argument("--opt", action="append")
    a.add_argument("--engines", default="switch,indirect,predecoded,threaded")
    a.add_argument("--options", default="", help="more options for doppel run")
    o = a.parse_args()
    engines = o.engines.split(",")

    if not env.get("QEMU"):
        print("ok torture # SKIP %s" % env.get("QEMU_WHY", "no reference QEMU"))
        return 0
    root = sources()
    if not root:
        print("ok torture # SKIP no /usr/src/gcc-12: install gcc-12-source")
        return 0
    os.makedirs(OUT + "/bin", exist_ok=True)
    os.makedirs(OUT + "/tmp", exist_ok=True)
    compiler = subprocess.run([env["RISCV_CC"], "--version"], capture_output=True, text=True, check=True).stdout
    doppel = hash_of(open(env["DOPPEL"], "rb").read())
    paths = sorted(p for d in ("", "ieee/", "builtins/") for p in glob.glob("%s/%s*.c" % (root, d)) if not p.endswith("-lib.c"))
    cases = [Case(root, p, opt) for p in paths[::o.every] for opt in (o.opt or ["-O0", "-O2", "-O3"])]
    cases = [c for c in cases if c.flags is not None]

    passed_file = os.path.join(OUT, "passed-" + doppel)
    seen = set(open(passed_file).read().split()) if os.path.exists(passed_file) else set()
    lock, passed_log = threading.Lock(), open(passed_file, "a")
    uncompiled, left_out, count, bad = [], [], 0, 0

    def one(case):
        nonlocal count, bad
        exe = case.compile(compiler)
        if not exe:
            with lock:
                uncompiled.append(case.name)
            return
        if passes([env["QEMU"], exe], LIMIT_QEMU, OUT + "/tmp") != 0:
            with lock:
                left_out.append(case.name)
            return
        for e in engines:
            key = "%s-%s%s" % (case.key, e, "".join(o.options.split()))
            status = 0 if key in seen else passes([env["DOPPEL"], "run", "--engine=" + e] + o.options.split() + [exe], LIMIT, OUT + "/tmp")
            with lock:
                if status == 0:
                    if key not in seen:
                        passed_log.write(key + "\n")
                        passed_log.flush()
                    count += 1
                    print("ok %s %s" % (case.name, e))
                else:
                    bad += 1
                    print("not ok %s %s (status %s, %s)" % (case.name, e, status, exe))

    with concurrent.futures.ThreadPoolExecutor(int(env.get("JOBS", "2"))) as pool:
        for f in [pool.submit(one, c) for c in cases]:
            f.result()
    names = lambda l: ", ".join(sorted(l)) or "none"
    print("note: %d programs, %d engines; %d passed, %d failed" % (len(cases) - len(uncompiled) - len(left_out), len(engines), count, bad))
    print("note: left out, because QEMU fails them: " + names(left_out))
    print("note: not compiled by %s: %s" % (compiler.split("\n")[0], names(uncompiled)))
    return 1 if bad else 0


sys.exit(main())
