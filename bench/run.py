#!/usr/bin/env python3
"""run.py - how much slower than native: the programs of bench/programs under doppel, QEMU and others

Every figure is CPU seconds (user and system, children included) divided by those of the same source
compiled natively with the same major version of gcc and the same options. Rounds alternate the
runners and the median counts (on a busy machine --least). A program that fails, or prints something else than the native one,
has no time. See docs/performance.md.
"""

import argparse
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
TOP = BENCH.parent
OUT = TOP / "build" / "out" / "bench"
GROUPS = {
    "integer": "integer",
    "float": "floating point",
    "calls": "calls and interpreters",
    "memory": "strings, memory",
    "os": "OS-bound",
}
ENGINES = ["switch", "indirect", "predecoded", "threaded", "adaptive"]
CFLAGS = ["-std=gnu17", "-O3", "-static", "-pthread"]
CC_HOST, CC_GUEST = "gcc", "riscv64-linux-gnu-gcc"
# Debian's own interpreters: these rows need a riscv64 root (--root) and the same version natively (--native-root).
SCRIPTS = {".lua": "/usr/bin/lua5.4", ".py": "/usr/bin/python3"}
VERSION_FLAG = {"/usr/bin/lua5.4": "-v", "/usr/bin/python3": "-V"}
LIBRARIES = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]


class Program:
    def __init__(self, source, quick):
        self.source, self.name, self.group = source, source.stem, source.parent.name
        text = source.read_text()
        sizes = dict(re.findall(r"\b(FULL|QUICK) +(\d+)", text))
        self.work = sizes["QUICK" if quick else "FULL"]
        self.script = SCRIPTS.get(source.suffix)

    def command(self, runner, exes, opt):
        """What to execute, or None if this runner cannot."""
        if self.script:
            if runner.kind == "novec":
                return None
            start = native_interpreter(self.script, opt.native_root) if runner.kind == "native" else \
                guest_interpreter(self.script, runner, opt.root)
            return [*start, str(self.source), self.work] if start else None
        return [*runner.prefix, str(exe_for(runner, exes)), self.work]

    def run(self, measure, command, env, limit, tmp):
        """Once; see run_once()."""
        return run_once(measure, command, env, limit, tmp)


class Runner:
    """One column. `prefix` goes before the program; kind says which binary it is given."""

    def __init__(self, name, kind, prefix=(), env=None, sysroot=False):
        self.name, self.kind, self.prefix = name, kind, list(prefix)
        self.env = dict(os.environ, **(env or {}))
        self.sysroot = sysroot  # knows -L DIR


class Progress:
    """One line on stderr that is written over, if somebody looks."""

    def __init__(self):
        self.on = sys.stderr.isatty()

    def show(self, text):
        if self.on:
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + text[:width], end="", file=sys.stderr, flush=True)

    def clear(self):
        if self.on:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def die(text):
    print(f"run.py: {text}", file=sys.stderr)
    sys.exit(2)


def gcc_version(cc):
    try:
        return subprocess.run([cc, "-dumpfullversion"], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        die(f"{cc} is needed (Debian: apt install gcc gcc-riscv64-linux-gnu libc6-dev-riscv64-cross)")


def compile_cached(cc, version, source, extra=()):
    """The program, compiled once for each content of source, compiler and options."""
    flags = [*CFLAGS, *extra]
    key = hashlib.sha256(" ".join([cc, version, *flags]).encode() + source.read_bytes())
    exe = OUT / f"{source.stem}-{key.hexdigest()[:16]}"
    if not exe.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        part = exe.with_suffix(f".{os.getpid()}")
        try:
            subprocess.run([cc, *flags, str(source), "-o", str(part), "-lm"], check=True)
        except subprocess.CalledProcessError:
            die(f"{source} does not compile with {cc}")
        part.rename(exe)
    return exe


def run_once(measure, command, env, limit, tmp, stdin=subprocess.DEVNULL, good=(0,), cwd=None):
    """Returns (output, figures) or (reason, None). good: exit statuses."""
    read_fd, write_fd = os.pipe()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([str(measure), str(write_fd), *command], stdout=out,
                                 stderr=subprocess.DEVNULL, stdin=stdin,
                                 env=dict(env, TMPDIR=tmp), pass_fds=[write_fd],
                                 cwd=cwd, start_new_session=True)
        os.close(write_fd)
        try:
            child.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            os.close(read_fd)
            return "timeout", None
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        with os.fdopen(read_fd) as report:
            words = report.read().split()
        if len(words) != 5:
            return "failed", None
        user, system, wall, peak, status = map(int, words)
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in good:
            return "wrong" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1 else "failed", None
        out.seek(0)
        return out.read(), {"cpu": (user + system) / 1e6, "wall": wall / 1e9, "peak_kib": peak}


def native_interpreter(interpreter, root):
    """How to start the host's, or that of a root of the host's architecture; None if it is not there."""
    if not root:
        return [interpreter] if os.path.exists(interpreter) else None
    exe = Path(root) / interpreter.lstrip("/")
    folders = [d for lib in LIBRARIES if (d := Path(root) / lib).is_dir()]
    loaders = [x for d in folders if (x := d / "ld-linux-x86-64.so.2").exists()]
    if not exe.exists() or not loaders:
        return None
    return [str(loaders[0]), "--library-path", ":".join(map(str, folders)), str(exe)]


def guest_interpreter(interpreter, runner, root):
    exe = Path(root) / interpreter.lstrip("/") if root else None
    return [*runner.prefix, "-L", root, str(exe)] if exe and runner.sysroot and exe.exists() else None


def check_versions(programs, runners, opt):
    """The same source on both sides: the native interpreter's version must be the guest's."""
    guest = next((r for r in runners if r.sysroot), None)
    for interpreter in sorted({p.script for p in programs if p.script}):
        commands = [native_interpreter(interpreter, opt.native_root),
                    guest and guest_interpreter(interpreter, guest, opt.root)]
        if None in commands:
            continue
        said = [subprocess.run([*c, VERSION_FLAG[interpreter]], capture_output=True, text=True).stdout.strip()
                for c in commands]
        if said[0] != said[1]:
            die(f"{interpreter}: natively \"{said[0]}\", in {opt.root} \"{said[1]}\"; "
                "--native-root DIR names a root of this machine's architecture with the same version")


def exe_for(runner, exes):
    return exes[runner.kind if runner.kind in ("native", "novec") else "guest"]


def measure_program(program, runners, exes, opt, measure, tmp, progress):
    """{runner: {"cpu", "wall", "peak_kib", "runs"} or {"why"}}"""
    runs, why, expect = {r.name: [] for r in runners}, {}, None
    for turn in range(opt.rounds):
        for r in runners:
            if r.name in why:
                continue
            command = program.command(r, exes, opt)
            if not command:
                why[r.name] = "-"
                continue
            progress.show(f"{program.group}/{program.name}: {r.name}, round {turn + 1} of {opt.rounds}")
            out, figures = program.run(measure, command, r.env, opt.timeout, tmp)
            if figures and r.kind == "native":
                expect = expect if expect is not None else out
            if figures and out != expect:
                out, figures = "wrong", None
            if figures:
                runs[r.name].append(figures)
            else:
                why[r.name] = out
    result = {}
    for r in runners:
        if r.name in why:
            result[r.name] = {"why": why[r.name]}
        else:
            result[r.name] = {k: (min if opt.least else statistics.median)(f[k] for f in runs[r.name])
                              for k in ("cpu", "wall", "peak_kib")}
            result[r.name]["runs"] = [f["cpu"] for f in runs[r.name]]
    return result


def merge_qemu(result):
    """QEMU counts with the faster of its two CPU models."""
    models = [result.pop(k) for k in list(result) if k.startswith("qemu:")]
    if models:
        timed = [m for m in models if "cpu" in m]
        result["qemu"] = min(timed, key=lambda m: m["cpu"]) if timed else models[0]


def ratio(cell, native):
    if "cpu" not in cell or "cpu" not in native:
        return None
    return cell["cpu"] / max(native["cpu"], 1e-4)


def print_table(results, columns):
    def line(*cells):
        print(f"{cells[0]:<14}" + "".join(f"{c:>12}" for c in cells[1:]))

    print("\nCPU time as a multiple of native (gcc -O3 -static); native in seconds")
    for group, title in GROUPS.items():
        rows = {n: r for (g, n), r in results.items() if g == group}
        if not rows:
            continue
        print()
        line(title if len(title) < 14 else group, *columns)
        for name, row in rows.items():
            native = row["native"]
            cells = [f"{native['cpu']:.3f}" if "cpu" in native else native["why"]]
            for c in columns[1:]:
                x = ratio(row[c], native)
                cells.append(f"{x:.2f}" if x is not None else row[c]["why"])
            line(name, *cells)
        cells = [""]
        for c in columns[1:]:
            xs = [x for row in rows.values() if (x := ratio(row[c], row["native"])) is not None]
            missing = sum(1 for row in rows.values() if row[c].get("why", "-") != "-")
            mean = math.exp(sum(map(math.log, xs)) / len(xs)) if xs and min(xs) > 0 else None
            cells.append((f"{mean:.2f}" if mean else "-") + ("*" if missing else ""))
        line("geometric mean", *cells)
    if any("why" in c and c["why"] != "-" for r in results.values() for c in r.values()):
        print("\n* without the programs that gave no correct result")
    print("\nwall seconds / peak memory in MB")
    print()
    line("", *columns)
    for (_, name), row in results.items():
        line(name, *(f"{row[c]['wall']:.2f}/{row[c]['peak_kib'] / 1024:.1f}" if "cpu" in row[c]
                     else row[c]["why"] for c in columns))


def common_arguments(p):
    p.add_argument("--rounds", type=int, metavar="N", help="default: 3, with --full 5 (at least)")
    p.add_argument("--least", action="store_true", help="the least of the rounds counts, not the median")
    p.add_argument("--group", action="append", choices=list(GROUPS), help="only this group")
    p.add_argument("--only", action="append", metavar="PROGRAM", help="only this program")
    p.add_argument("--engine", action="append", choices=[*ENGINES, "none"],
                   help="only this engine of doppel's, or none (default: all)")
    p.add_argument("--doppel", default=str(TOP / "build" / "doppel"), metavar="PATH")
    p.add_argument("--cache", metavar="DIR", help="let doppel keep translations in DIR (default: every run translates)")
    p.add_argument("--qemu", default=os.environ.get("QEMU"), metavar="PATH",
                   help="qemu-riscv64 (default: $QEMU; without it no column)")
    p.add_argument("--runner", action="append", default=[], metavar="NAME=COMMAND",
                   help="another emulator: COMMAND PROGRAM ARGUMENT is executed")
    p.add_argument("--json", metavar="FILE", help="write all figures")
    p.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for one run")


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    size = p.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small work, a few minutes (the default)")
    size.add_argument("--full", action="store_true", help="0.3 to 1 second native, 5 rounds")
    common_arguments(p)
    p.add_argument("--root", metavar="DIR", help="riscv64 root for the lua and python rows")
    p.add_argument("--native-root", metavar="DIR",
                   help="root of this machine's architecture whose lua and python are the native ones")
    opt = p.parse_args()
    opt.rounds = opt.rounds or (5 if opt.full else 3)
    opt.size = "full" if opt.full else "quick"
    if opt.full and opt.rounds < 5:
        p.error("--full needs at least 5 rounds")
    for r in opt.runner:
        if not re.fullmatch(r"[^=:]+=.+", r):
            p.error(f"--runner {r}: NAME=COMMAND expected")
    return opt


def make_runners(opt):
    runners = [Runner("native", "native"), Runner("no-vec", "novec")]
    engines = [e for e in opt.engine or ENGINES if e != "none"]
    if engines and not os.access(opt.doppel, os.X_OK):
        die(f"{opt.doppel}: not there; build it, or --doppel PATH, or --engine none")
    kept = ["--cache", os.path.abspath(opt.cache)] if opt.cache else ["--no-cache"]
    for e in engines:
        runners.append(Runner(e, "guest", [opt.doppel, "run", f"--engine={e}", *kept], sysroot=True))
    if opt.qemu:
        if not shutil.which(opt.qemu):
            die(f"{opt.qemu}: not there")
        # The default CPU has vectors, which QEMU emulates slowly; rv64 has none.
        os.environ.pop("QEMU_CPU", None)
        runners.append(Runner("qemu:default", "guest", [opt.qemu], sysroot=True))
        runners.append(Runner("qemu:rv64", "guest", [opt.qemu], {"QEMU_CPU": "rv64"}, sysroot=True))
    for r in opt.runner:
        name, command = r.split("=", 1)
        runners.append(Runner(name, "guest", shlex.split(command)))
    return runners


def interrupt(*_):
    raise KeyboardInterrupt


def compilers():
    versions = {cc: gcc_version(cc) for cc in (CC_HOST, CC_GUEST)}
    if len({v.split(".")[0] for v in versions.values()}) != 1:
        die(f"compilers differ: {versions}; both sides must have the same major version")
    return versions


def measure_all(programs, opt, versions, build, tmp):
    """Runs them all, prints, and returns the exit status. build(program): {kind: executable}."""
    runners, progress, results, interrupted = make_runners(opt), Progress(), {}, False
    columns = [r.name for r in runners if not r.name.startswith("qemu:")]
    if opt.qemu:
        columns.insert(len(columns) - len(opt.runner), "qemu")
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        measure = compile_cached(CC_HOST, versions[CC_HOST], BENCH / "measure.c")
        for p in programs:
            progress.show(f"{p.group}/{p.name}: compiling")
            row = measure_program(p, runners, build(p), opt, measure, tmp, progress)
            merge_qemu(row)
            results[p.group, p.name] = row
    except KeyboardInterrupt:
        interrupted = True
    progress.clear()
    print(f"{started}, gcc {versions[CC_HOST]} / {versions[CC_GUEST]}, {os.cpu_count()} CPUs, "
          f"{opt.size}, {'least' if opt.least else 'median'} of {opt.rounds}")
    print_table(results, columns)
    if opt.json:
        rows = [{"group": g, "program": n, "runners": r} for (g, n), r in results.items()]
        Path(opt.json).write_text(json.dumps(
            {"date": started, "gcc": versions, "work": opt.size,
             "rounds": opt.rounds, "least": opt.least, "complete": not interrupted, "results": rows}, indent=1) + "\n")
    if interrupted:
        return 130
    bad = any("why" in row[c] and row[c]["why"] != "-" for row in results.values()
              for c in columns if c in ENGINES or c == "native")
    return 1 if bad else 0


def stop_on_signals():
    for s in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
        signal.signal(s, interrupt)


def main():
    opt = parse_arguments()
    stop_on_signals()
    versions = compilers()
    sources = [f for g in GROUPS for f in sorted((BENCH / "programs" / g).iterdir())
               if f.suffix == ".c" or f.suffix in SCRIPTS]
    programs = [Program(f, not opt.full) for f in sources]
    programs = [p for p in programs if (not opt.group or p.group in opt.group) and
                (not opt.only or p.name in opt.only)]
    if not programs:
        die("no such program")
    check_versions(programs, make_runners(opt), opt)

    def build(program):
        if program.script:
            return {}
        compiled = lambda cc, *extra: compile_cached(cc, versions[cc], program.source, extra)
        return {"native": compiled(CC_HOST), "novec": compiled(CC_HOST, "-fno-tree-vectorize"), "guest": compiled(CC_GUEST)}

    with tempfile.TemporaryDirectory(prefix="doppel-bench-") as tmp:
        sys.exit(measure_all(programs, opt, versions, build, tmp))


if __name__ == "__main__":
    main()
