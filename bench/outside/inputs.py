"""inputs.py - what the programs of list.toml work on, the same on each machine: make(NAME, FOLDER)

Everything comes from random.Random(SEED), whose random() Python promises to keep; getrandbits() has never changed either.
"""
import array
import math
import os
import random
import wave

WORDS = ("the of and to in a is that it was for on are as with his they at be this from have or by one had not but what all were when we "
         "there can an your which their said if do will each about how up out them then she many some so these would other into has more "
         "her two like him see time could no make than first been its who now people my made over did down only way find use may water "
         "long little very after words called just where most know mountain river valley stone field village weather harvest winter "
         "morning evening window garden letter market bridge castle forest island harbour journey").split()


def pick(r, choices):
    return choices[int(r.random() * len(choices))]


def words(r, n):
    return " ".join(pick(r, WORDS) for _ in range(n))


def text(path, size, seed):
    r, done = random.Random(seed), 0
    with open(path, "w") as f:
        while done < size:
            line = words(r, 4 + int(r.random() * 12))
            done += f.write(line[:1].upper() + line[1:] + (".\n\n" if r.random() < 0.2 else ",\n"))


def text_txt(path):
    text(path, 8 << 20, 1)


def short_txt(path):
    text(path, 500000, 2)


def pages_md(path):
    r, done = random.Random(3), 0
    with open(path, "w") as f:
        while done < 8 << 20:
            kind, some = int(r.random() * 8), words(r, 8)
            done += f.write({
                0: "#" * (1 + int(r.random() * 4)) + " " + some + "\n\n",
                1: "".join("* %s\n" % words(r, 6) for _ in range(4)) + "\n",
                2: "".join("%d. *%s* %s\n" % (k, pick(r, WORDS), some) for k in range(1, 4)) + "\n",
                3: "> " + some + "\n> **" + some + "**\n\n",
                4: "    " + some + "\n    " + some + "\n\n",
            }.get(kind, "%s [%s](http://example.org/%s) `%s`, %s\n%s &amp; <em>%s</em>.\n\n" %
                            (words(r, 30), some, pick(r, WORDS), pick(r, WORDS), words(r, 20), some, pick(r, WORDS))))


def records_xml(path):
    r, done = random.Random(4), 0
    with open(path, "w") as f:
        f.write('<?xml version="1.0" encoding="UTF-8"?>\n<records>\n')
        while done < 12 << 20:
            done += f.write('<record id="n%d" kind="%s"><name>%s</name><text lang="en">%s &lt; %s</text><value>%.6f</value></record>\n' %
                            (r.random() * 1e6, pick(r, WORDS), words(r, 2), words(r, 12), words(r, 3), r.random() * 1000))
        f.write("</records>\n")


def records_json(path):
    r, done = random.Random(5), 0
    with open(path, "w") as f:
        f.write("[")
        while done < 36 << 20:
            done += f.write('{"id":%d,"name":"%s","tags":["%s","%s"],"text":"%s \\u00e9\\n","value":%.6f,"on":%s,"more":{"a":null,"b":[1,2,3]}},' %
                            (r.random() * 1e6, words(r, 2), pick(r, WORDS), pick(r, WORDS), words(r, 14), r.random() * 1000,
                             pick(r, ("true", "false"))))
        f.write("0]\n")


def sat_cnf(path):
    r, n, m = random.Random(6), 250, 1065
    with open(path, "w") as f:
        f.write("p cnf %d %d\n" % (n, m))
        for _ in range(m):
            three = []
            while len(three) < 3:
                v = 1 + int(r.random() * n)
                if v not in three:
                    three.append(v)
            f.write(" ".join(str(v if r.random() < 0.5 else -v) for v in three) + " 0\n")


def cells_pbm(path):
    """Generations of a cellular automaton (rule 110), one point in 16 turned over."""
    r, size = random.Random(7), 6000
    mask, row = (1 << size) - 1, 0
    for k in range(size):
        row |= int(r.random() < 0.5) << k
    with open(path, "wb") as f:
        f.write(b"P4\n%d %d\n" % (size, size))
        for _ in range(size):
            f.write(row.to_bytes(size // 8, "big"))
            right = (row << 1) & mask
            noise = r.getrandbits(size) & r.getrandbits(size) & r.getrandbits(size) & r.getrandbits(size)
            row = ((row | right) & ~(row & right & (row >> 1)) ^ noise) & mask


def blobs_pbm(path):
    size, waves = 2000, [(0.031, 0.017), (0.043, -0.026), (0.011, 0.052), (0.071, 0.067)]
    r = random.Random(8)
    phases = [r.random() * 6 for _ in waves]
    with open(path, "wb") as f:
        f.write(b"P4\n%d %d\n" % (size, size))
        for y in range(size):
            row = 0
            for x in range(size):
                row = row << 1 | (sum(math.sin(a * x + b * y + p) for (a, b), p in zip(waves, phases)) > 0)
            f.write(row.to_bytes(size // 8, "big"))


def points_txt(path):
    """On a sphere in four dimensions."""
    r, n = random.Random(9), 16000
    with open(path, "w") as f:
        f.write("4\n%d\n" % n)
        for _ in range(n):
            v = [math.sqrt(-2 * math.log(1 - r.random())) * math.cos(2 * math.pi * r.random()) for _ in range(4)]
            norm = math.sqrt(sum(x * x for x in v))
            f.write(" ".join("%.15g" % (x / norm) for x in v) + "\n")


def model_lp(path):
    r, rows, columns = random.Random(10), 700, 1000
    term = lambda low, high, j: "+ %d x%d" % (low + r.random() * (high - low), j)
    with open(path, "w") as f:
        f.write("Maximize\n obj: " + "\n ".join(term(5, 50, j) for j in range(columns)) + "\nSubject To\n")
        for i in range(rows):
            some = [j for j in range(columns) if r.random() < 0.15] or [i]
            f.write(" c%d: " % i + "\n ".join(term(1, 20, j) for j in some) + "\n <= %d\n" % (1000 + r.random() * 5000))
        f.write("End\n")


def tones_wav(path):
    r, rate, seconds = random.Random(11), 44100, 60
    samples = array.array("h")
    for k in range(rate * seconds):
        t = k / rate
        a = 9000 * math.sin(2 * math.pi * (220 + 110 * int(t * 4 % 7)) * t) + 4000 * math.sin(2 * math.pi * 1318.5 * t) + 1500 * (r.random() - 0.5)
        samples.append(int(a))
        samples.append(int(a * 0.7 + 3000 * math.sin(2 * math.pi * 660 * t)))
    with wave.open(path, "wb") as f:
        f.setnchannels(2)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(samples.tobytes())


def taxa_phy(path):
    r, n, sites = random.Random(12), 16, 800
    all_of = ["".join(pick(r, "ACGT") for _ in range(sites))]
    while len(all_of) < n:
        all_of.append("".join(pick(r, "ACGT") if r.random() < 0.12 else c for c in pick(r, all_of)))
    with open(path, "w") as f:
        f.write(" %d %d\n" % (n, sites))
        for k, s in enumerate(all_of):
            f.write(("taxon%d" % k).ljust(10) + " " + s + "\n")


def files():
    """(path, contents) of a tree of 3,000 files."""
    r = random.Random(13)
    for k in range(3000):
        size = int(200 * 100 ** r.random())
        line = words(r, 12).encode() + b"\n"
        yield "d%02d/s%d/f%d" % (k % 40, k % 7, k), (line * (size // len(line) + 1))[:size]


def tree(path):
    for name, contents in files():
        file = os.path.join(path, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as f:
            f.write(contents)
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            os.utime(os.path.join(folder, name), (1e9, 1e9))
        os.utime(folder, (1e9, 1e9))


def tree_cpio(path):
    seen, number = set(), 0
    with open(path, "wb") as f:
        def entry(name, mode, contents):
            nonlocal number
            number += 1
            head = "070701" + "".join("%08X" % v for v in (number, mode, 0, 0, 1, 1000000000, len(contents), 0, 0, 0, 0, len(name) + 1, 0))
            head = head.encode() + name.encode() + b"\0"
            f.write(head + b"\0" * (-len(head) % 4) + contents + b"\0" * (-len(contents) % 4))
        for name, contents in files():
            folder = ""
            for part in name.split("/")[:-1]:
                folder += part
                if folder not in seen:
                    seen.add(folder)
                    entry(folder, 0o40755, b"")
                folder += "/"
            entry(name, 0o100644, contents)
        entry("TRAILER!!!", 0, b"")


def db_dump(path):
    r = random.Random(14)
    with open(path, "w") as f:
        f.write("VERSION=3\nformat=print\ntype=btree\nmapsize=268435456\nHEADER=END\n")
        for _ in range(150000):
            f.write(" key%012d\n %s\n" % (r.random() * 1e12, words(r, 8)))
        f.write("DATA=END\n")


def make(name, folder):
    """The file (or folder) of that name, made once."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        part = path + ".part"
        globals()[name.replace(".", "_")](part)
        os.rename(part, path)
    return path
