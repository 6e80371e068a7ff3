#!/usr/bin/env python3
"""hle-table.py DEB… > src/engine/hle.def - the libc routines that doppel knows by their code

DEB: riscv64 packages of libc: libc6 (libc.so.6), libc6-dev (libc.a), and the cross compiler's libc6-riscv64-cross and libc6-dev-riscv64-cross.
From libc.a a routine is taken as the linker makes it, at two places; from libc.so.6 by its dynamic symbol, or where it has the bytes that it has
in libc.a. What two places must have in common is the normal form (hle.c has the same): the code without the distances of auipc, of what is loaded
or added by it, and of jumps out of the routine; but with the words that are loaded so, if they are no addresses, and with the hash of the parts that
are called.

Taken is only what is complete in itself: its own parts, __stack_chk_fail, __stack_chk_guard and constants are all that it needs.

LD: the linker, if not riscv64-linux-gnu-ld; that of Debian 12 cannot link Debian 13's libc.a.
"""
import os
import struct
import subprocess
import sys
import tempfile

KINDS = {
    "memcpy": ["memcpy", "__memcpy_generic", "__memcpy_noalignment"],
    "memmove": ["memmove"],
    "memset": ["memset"],
    "memcmp": ["memcmp"],
    "memchr": ["memchr"],
    "memrchr": ["__memrchr"],
    "strlen": ["strlen"],
    "strnlen": ["__strnlen"],
    "strcmp": ["strcmp"],
    "strncmp": ["strncmp"],
    "strchr": ["strchr"],
    "strchrnul": ["__strchrnul"],
    "stpcpy": ["__stpcpy"],
}
AUIPC, JAL, LOAD, ADDI, JALR = 0x17, 0x6F, 0x03, 0x13, 0x67
PARTS = ["_wordcopy_fwd_aligned", "_wordcopy_fwd_dest_aligned", "_wordcopy_bwd_aligned", "_wordcopy_bwd_dest_aligned"]
LD = os.environ.get("LD", "riscv64-linux-gnu-ld")
GUEST_TOP = 1 << 38  # addresses are below


class Elf:
    def __init__(self, path):
        self.data = open(path, "rb").read()
        shoff, = struct.unpack_from("<Q", self.data, 40)
        shnum, self.shstr = struct.unpack_from("<HH", self.data, 60)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, shoff + 64 * n) for n in range(shnum)]
        self.symbols, self.slots = {}, {}
        for kind in (11, 2):
            for s in self.sections:
                if s[1] == kind:
                    self.read_symbols(s)
        for s in self.sections:
            if s[1] == 4:
                self.read_relocations(s)

    def string(self, table, at):
        start = self.sections[table][4] + at
        return self.data[start:self.data.index(b"\0", start)].decode()

    def read_symbols(self, s):
        for at in range(s[4], s[4] + s[5], 24):
            name, info, _, where, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            if where != 0 and info & 15 == 2 and size != 0:
                self.symbols[self.string(s[6], name)] = (value, size)
            elif where != 0 and info & 15 != 3:
                self.slots[value] = self.string(s[6], name)

    def read_relocations(self, s):
        for at in range(s[4], s[4] + s[5], 24):
            where, info, _ = struct.unpack_from("<QQq", self.data, at)
            table = self.sections[s[6]] if s[6] else None
            if table and info >> 32:
                name, = struct.unpack_from("<I", self.data, table[4] + 24 * (info >> 32))
                self.slots[where] = self.string(table[6], name)

    def offset(self, address):
        for s in self.sections:
            if s[1] == 1 and s[3] <= address < s[3] + s[5]:
                return address - s[3] + s[4]
        raise ValueError("no section at %x" % address)

    def code(self, address, size):
        at = self.offset(address)
        return self.data[at:at + size]

    def word(self, address):
        return struct.unpack("<Q", self.code(address, 8))[0]

    def named(self, address):
        return {name for name, (value, _) in self.symbols.items() if value == address}


def signed(v, bits):
    return v - (1 << bits) if v >> (bits - 1) & 1 else v


def jal_distance(w):
    return signed((w >> 31 << 20) | (w >> 12 & 0xFF) << 12 | (w >> 20 & 1) << 11 | (w >> 21 & 0x3FF) << 1, 21)


def digest(form):
    h = 0xCBF29CE484222325
    for half in form:
        h = (h ^ half) * 0x100000001B3 % (1 << 64)
    return h


def halves(v):
    return [v >> s & 0xFFFF for s in (0, 16, 32, 48)]


class NotComplete(Exception):
    pass


def normal(elf, address, size, parts, part=False):
    """The normal form; parts: what a call may lead to; part: is this one? It may have a table to jump by."""
    code, out = elf.code(address, size), []
    at, base, page = 0, None, 0

    def inside(d):
        if not 0 <= at + d < size:
            raise NotComplete("leaves by a branch")

    while at < size:
        half, = struct.unpack_from("<H", code, at)
        if half & 3 != 3:
            op, funct = half & 3, half >> 13
            if op == 1 and funct == 5:  # c.j
                inside(signed((half >> 12 & 1) << 11 | (half >> 11 & 1) << 4 | (half >> 9 & 3) << 8 | (half >> 8 & 1) << 10 |
                              (half >> 7 & 1) << 6 | (half >> 6 & 1) << 7 | (half >> 3 & 7) << 1 | (half >> 2 & 1) << 5, 12))
            elif op == 1 and funct >= 6:  # c.beqz, c.bnez
                inside(signed((half >> 12 & 1) << 8 | (half >> 10 & 3) << 3 | (half >> 5 & 3) << 6 | (half >> 3 & 3) << 1 |
                              (half >> 2 & 1) << 5, 9))
            elif op == 2 and funct == 4 and half >> 2 & 31 == 0 and half >> 7 & 31 > 1 and not part:  # c.jr, c.jalr but ret
                raise NotComplete("jumps by a register")
            out.append(half)
            at += 2
            continue
        if at + 4 > size:
            raise NotComplete("ends within an instruction")
        w, = struct.unpack_from("<I", code, at)
        op, rd, rs1, f3, more = w & 0x7F, w >> 7 & 31, w >> 15 & 31, w >> 12 & 7, []
        if op == AUIPC:
            base, page = rd, address + at + signed(w & 0xFFFFF000, 32)
            w &= 0xFFF
        elif rs1 == base and op == LOAD and f3 == 3:
            where = page + signed(w >> 20, 12)
            value = elf.word(where)
            if value < GUEST_TOP:
                if elf.slots.get(where) != "__stack_chk_guard" and elf.slots.get(value) != "__stack_chk_guard":
                    raise NotComplete("loads another's address")
                value = 0
            more = halves(value)
            w &= 0xFFFFF
        elif rs1 == base and op == ADDI and f3 == 0 and part:
            w &= 0xFFFFF
        elif rs1 == base and op in (LOAD, ADDI):
            raise NotComplete("uses an address")
        elif op == JALR:
            raise NotComplete("calls by a register")
        elif op == JAL and not 0 <= at + jal_distance(w) < size:
            where = address + at + jal_distance(w)
            found = [part for part in parts if part_at(elf, where, *part)]
            if rd != 1 or (not found and "__stack_chk_fail" not in elf.named(where)):
                raise NotComplete("calls another")
            more = halves(found[0][2] if found else 0)
            w &= 0xFFF
        elif op == 0x63:
            inside(signed((w >> 31) << 12 | (w >> 7 & 1) << 11 | (w >> 25 & 0x3F) << 5 | (w >> 8 & 0xF) << 1, 13))
        if rd == base and op not in (AUIPC, 0x63, 0x23):
            base = None
        out += [w & 0xFFFF, w >> 16] + more
        at += 4
    return out


def part_at(elf, address, size, first, h):
    try:
        return elf.code(address, 2) == struct.pack("<H", first) and digest(normal(elf, address, size, {}, True)) == h
    except NotComplete:
        return False


class Table:
    def __init__(self):
        self.rows, self.parts, self.left = {}, {}, []

    def add(self, label, kind, name, elf, other=None):
        """other: the same routine at another place."""
        try:
            forms = [normal(e, *e.symbols[name], self.parts) for e in (elf, other or elf)]
        except NotComplete as why:
            self.left.append("%s %s: %s" % (label, name, why))
            return
        if forms[0] != forms[1]:
            self.left.append("%s %s: depends on its place" % (label, name))
            return
        key = (kind, elf.symbols[name][1], forms[0][0], digest(forms[0]))
        self.rows.setdefault(key, []).append("%s %s" % (label, name))

    def add_part(self, label, name, elf):
        at, size = elf.symbols[name]
        form = normal(elf, at, size, {}, True)
        self.parts.setdefault((size, form[0], digest(form)), []).append("%s %s" % (label, name))

    def find(self, label, elf):
        """Routines that have no dynamic symbol, by their first bytes: (kind, key) of those that are there."""
        for key in list(self.rows):
            name = self.rows[key][0].split()[-1]
            text = next(s for s in elf.sections if elf.string(elf.shstr, s[0]) == ".text")
            at = text[4] - 2
            while (at := elf.data.find(struct.pack("<H", key[2]), at + 2, text[4] + text[5])) >= 0:
                try:
                    if at % 2 == 0 and digest(normal(elf, at - text[4] + text[3], key[1], self.parts)) == key[3]:
                        self.rows[key].append("%s %s" % (label, name))
                except (NotComplete, ValueError, struct.error):
                    pass

    def write(self):
        order = list(KINDS)
        for (size, first, h), who in sorted(self.parts.items()):
            print("/* %s */" % "; ".join(dict.fromkeys(who)))
            print("HLE_PART(%d, 0x%04x, 0x%016x)" % (size, first, h))
        for (kind, size, first, h), who in sorted(self.rows.items(), key=lambda r: (order.index(r[0][0]), r[0][1:])):
            assert not [k for k in self.rows if k[1:] == (size, first, h) and k[0] != kind], "one code, two meanings"
            print("/* %s */" % "; ".join(dict.fromkeys(who)))
            print("HLE(%s, %d, 0x%04x, 0x%016x)" % (kind, size, first, h))


def link(archive, out, base, names):
    """A program of these alone, which could not run."""
    subprocess.run([LD, "-static", "-e", "0", "-Ttext-segment=%s" % base, "--defsym=main=0", "--defsym=_start=0", "--defsym=_DYNAMIC=0",
                    "--unresolved-symbols=ignore-all", "-o", out, *("--undefined=" + n for n in names), archive], check=True)
    return Elf(out)


def main(debs):
    table = Table()
    every = [n for names in KINDS.values() for n in names] + PARTS
    with tempfile.TemporaryDirectory() as tmp:
        for n, deb in enumerate(sorted(debs, key=lambda d: "-dev" not in os.path.basename(d))):
            label = subprocess.run(["dpkg-deb", "-f", deb, "Package", "Version"], check=True, capture_output=True, text=True).stdout
            label = " ".join(line.split(": ")[1] for line in label.split("\n") if line)
            root = os.path.join(tmp, str(n))
            subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
            for folder, _, files in os.walk(root):
                if "libc.a" in files:
                    archive = os.path.join(folder, "libc.a")
                    one = link(archive, os.path.join(tmp, "out"), "0x10000", every)
                    two = link(archive, os.path.join(tmp, "out"), "0x7654000", every[::-1])
                    for name in PARTS:
                        table.add_part(label, name, one)
                    for kind, names in KINDS.items():
                        for name in names:
                            if name in one.symbols:
                                table.add(label, kind, name, one, two)
                for name in files:
                    if name.startswith("ld-linux-riscv64"):  # with routines of its own, and no symbols
                        table.find(label + " ld.so", Elf(os.path.join(folder, name)))
                if "libc.so.6" in files:
                    elf = Elf(os.path.join(folder, "libc.so.6"))
                    table.find(label, elf)
                    for kind, names in KINDS.items():
                        for name in names + [names[0].lstrip("_")]:
                            if name in elf.symbols:
                                table.add(label, kind, name, elf)
    print("/*\n * hle.def - routines known by their code: bytes, first halfword, hash of the normal form; see hle.c\n *\n"
          " * Made by scripts/hle-table.py from the packages that are named in front of each row.\n */\n"
          "#ifndef HLE_PART\n#define HLE_PART(bytes, first, hash)\n#endif\n#ifndef HLE\n#define HLE(kind, bytes, first, hash)\n#endif")
    table.write()
    print("#undef HLE_PART\n#undef HLE")
    for line in dict.fromkeys(table.left):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(sys.argv[1:])
