#!/usr/bin/env python3
"""outside.py - how much slower than native: programs that doppel was not written for

bench/outside/list.toml names them, five a group, each in a source package of Debian 12. They are fetched by apt-get source (which
checks signatures; nothing is installed, root is not needed), built statically with gcc -O3 for this machine, once more without
vectorized loops, and for riscv64, and measured as run.py does it: CPU seconds, rounds that alternate the runners, medians, and no
time for a program whose output is not native's. doppel's cache of translations is empty before each run.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent / "outside"
sys.path[:0] = [str(HERE.parent), str(HERE)]
import inputs  # noqa: E402
import run  # noqa: E402

OUT = run.TOP / "build" / "out" / "outside"
DATA = OUT / "data"
BUILD = "x86_64-pc-linux-gnu"  # not spelled as the native host is: so configure takes both for a cross build and both get the same program
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def tree_of(folder, what):
    """One line a file: name, size or hash."""
    lines = []
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(path) / name
            about = file.stat().st_size if what == "size" else hashlib.sha256(file.read_bytes()).hexdigest()
            lines.append(f"{file.relative_to(folder)} {about}\n")
    return "".join(lines).encode()


class Program:
    """A row of the list, as run.measure_program() wants it."""

    def __init__(self, row):
        self.row, self.name, self.group = row, row["name"], row["group"]
        self.src = self.fresh = None

    def fill(self, text):
        for name in re.findall(r"{data}/([\w.]+)", text):
            inputs.make(name, str(DATA))
        return text.format(data=DATA, here=HERE, src=self.src, fresh=self.fresh)

    def command(self, runner, exes, opt):
        self.fresh = Path(opt.tmp) / "fresh"
        self.cache = opt.cache
        return [*runner.prefix, str(run.exe_for(runner, exes)), *map(self.fill, self.row["run"])]

    def run(self, measure, command, env, limit, tmp):
        for folder in (self.cache, self.fresh):
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder, 0o700)
        env = dict(env, **{k: self.fill(v) for k, v in self.row.get("env", {}).items()})
        with open(self.fill(self.row.get("stdin", "/dev/null")), "rb") as stdin:
            out, figures = run.run_once(measure, command, env, limit, tmp, stdin, self.row.get("ok", [0]), self.fresh)
        if figures and "ignore" in self.row:
            ignore = re.compile(self.row["ignore"].encode())
            out = b"\n".join(line for line in out.split(b"\n") if not ignore.search(line))
        if figures and "tree" in self.row:
            out += tree_of(self.fresh, self.row["tree"])
        return out, figures


def apt():
    """The environment of an apt that has the sources of Debian 12 and nothing else, whatever this machine's own has."""
    home = OUT / "apt"
    env = dict(os.environ, APT_CONFIG=str(home / "apt.conf"))
    if not (home / "ready").exists():
        for folder in ("state/lists/partial", "cache/archives/partial", "src"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        mirror = os.environ.get("DOPPEL_MIRROR") or subprocess.run(
            ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian"],
            capture_output=True, text=True).stdout.split("\n")[0]
        if not mirror:
            run.die("no Debian mirror known: set DOPPEL_MIRROR (the URL that has dists/ under it)")
        (home / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] {mirror} bookworm main\n")
        (home / "apt.conf").write_text(
            f'Dir::State "{home}/state";\nDir::Cache "{home}/cache";\nDir::Etc::sourcelist "{home}/sources.list";\n'
            'Dir::Etc::sourceparts "-";\nDir::State::status "/dev/null";\nAPT::Sandbox::User "";\n')
        subprocess.run(["apt-get", "-qq", "update"], env=env, check=True)
        (home / "ready").touch()
    return home, env


def fetch(row):
    """The folder of the package's source, with Debian's patches."""
    home, env = apt()
    target = home / "src" / f"{row['package']}-{row['version']}".replace(":", "-")
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=home) as tmp:
            wanted = f"{row['package']}={row['version']}"
            got = subprocess.run(["apt-get", "-qq", "source", "--only-source", wanted], cwd=tmp, env=env, capture_output=True, text=True)
            made = [f for f in Path(tmp).iterdir() if f.is_dir()]
            if got.returncode or not made:
                run.die(f"apt-get source {wanted}: " + " ".join(got.stderr.strip().splitlines()[-1:]))
            made[0].rename(target)
    return target


def build(program, versions):
    """{kind: executable}, each built once for a recipe and a compiler."""
    row, exes = program.row, {}
    for kind, cc, host, extra in (("native", run.CC_HOST, "x86_64-linux-gnu", ""), ("novec", run.CC_HOST, "x86_64-linux-gnu", "-fno-tree-vectorize"),
                                  ("guest", run.CC_GUEST, "riscv64-linux-gnu", "")):
        flags = " ".join(["-O3 -static -pthread -w", extra, row.get("cflags", "")]).strip()
        key = hashlib.sha256("\0".join([row["version"], row["build"], flags, cc, versions[cc]]).encode()).hexdigest()[:16]
        exe = OUT / "bin" / f"{row['name']}-{kind}-{key}"
        program.src = fetch(row)
        if not exe.exists():
            exe.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=OUT) as tmp:
                copy, log = Path(tmp) / "src", exe.with_suffix(".log")
                shutil.copytree(program.src, copy, symlinks=True)
                for old in copy.rglob("config.sub"):  # some know no riscv64; Debian's own builds do the same
                    for name in ("config.sub", "config.guess"):
                        (old.parent / name).unlink(missing_ok=True)
                        shutil.copy(f"/usr/share/misc/{name}", old.parent)
                env = dict(os.environ, CC=cc, CFLAGS=flags, CROSS=f"--build={BUILD} --host={host}", EXE=str(Path(tmp) / "exe"), MAKEFLAGS="-j%d" % os.cpu_count())
                with open(log, "w") as f:
                    status = subprocess.run(["sh", "-ec", row["build"]], cwd=copy, env=env, stdin=subprocess.DEVNULL, stdout=f,
                                            stderr=subprocess.STDOUT).returncode
                if status or not (Path(tmp) / "exe").exists():
                    run.die(f"{row['name']} does not build with {cc}: {log}")
                (Path(tmp) / "exe").rename(exe)
                log.unlink()
        exes[kind] = exe
    return exes


def prepare(program, versions):
    try:
        build(program, versions)
        for text in [*program.row["run"], program.row.get("stdin", "")]:
            program.fill(text)
        print(program.name, flush=True)
        return True
    except SystemExit:  # the reason has been said
        return False


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    run.common_arguments(p)
    p.add_argument("--build", action="store_true", help="fetch, build and make the inputs, run nothing")
    opt = p.parse_args()
    opt.rounds, opt.size = opt.rounds or 5, "outside"
    opt.engine = opt.engine or ["adaptive"]
    opt.doppel = os.path.abspath(opt.doppel)  # each run has a folder of its own
    run.stop_on_signals()
    versions = run.compilers()
    if not Path("/usr/share/misc/config.sub").exists():
        run.die("autotools-dev and dpkg-dev are needed")
    rows = tomllib.loads((HERE / "list.toml").read_text())["program"]
    programs = [Program(r) for r in rows if (not opt.group or r["group"] in opt.group) and (not opt.only or r["name"] in opt.only)]
    if not programs:
        run.die("no such program")
    DATA.mkdir(parents=True, exist_ok=True)
    if opt.build:
        sys.exit(1 if [x for x in programs if not prepare(x, versions)] else 0)
    with tempfile.TemporaryDirectory(prefix="doppel-outside-") as tmp:
        opt.tmp, opt.cache = tmp, opt.cache or os.path.join(tmp, "cache")
        sys.exit(run.measure_all(programs, opt, versions, lambda x: build(x, versions), tmp))


if __name__ == "__main__":
    main()
