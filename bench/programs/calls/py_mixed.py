"""py_mixed.py: classes, dictionaries, strings, generators, big integers; checks itself"""
import sys

# FULL 2600
# QUICK 200


class Vec:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vec(self.x + other.x, self.y + other.y)


def collatz(n):
    while n != 1:
        yield n
        n = 3 * n + 1 if n & 1 else n // 2


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


total = 0
for turn in range(int(sys.argv[1])):
    total += fib(13)
    words = ["w%x" % (i * 7919 % 997) for i in range(300)]
    count = {}
    for w in words:
        count[w] = count.get(w, 0) + 1
    assert sum(count.values()) == 300
    total += len(" ".join(sorted(words)).replace("w", "-w"))
    total += sum(1 for _ in collatz(27))
    v = Vec(0, 0)
    for i in range(200):
        v = v + Vec(i, -i)
    assert v.x == 19900 and v.y == -19900
    total += pow(3, 500 + turn % 7, 2**521 - 1) % 1000003
print("py_mixed", total)
