"""gdb_client.py - what tests of the debugger's stub share: a client of their own for what gdb does not send, and gdb in batch mode

The protocol is in "Debugging with GDB", appendix "GDB Remote Serial Protocol".
"""
import os
import shutil
import socket
import struct
import subprocess
import time


def connect(path, process, seconds=20):
    """A connection to the stub that `process` opens at this socket."""
    for _ in range(seconds * 20):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise AssertionError("nobody listens at " + path)


class Client:
    def __init__(self, path, process, features="multiprocess+"):
        self.sock = connect(path, process)
        self.sock.settimeout(30)
        self.buf = b""
        self.ask("qSupported:" + features)
        assert self.ask("QStartNoAckMode") == "OK"

    def close(self):
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def send(self, packet):
        data = packet.encode("latin-1") if isinstance(packet, str) else packet
        out = b""
        for c in data:
            out += b"}" + bytes([c ^ 0x20]) if c in b"#$}*" else bytes([c])
        self.raw(b"$" + out + b"#%02x" % (sum(out) & 255))

    def receive(self):
        while True:
            start = self.buf.find(b"$")
            end = self.buf.find(b"#", start + 1)
            if start >= 0 and end >= 0 and len(self.buf) >= end + 3:
                body, said = self.buf[start + 1:end], self.buf[end + 1:end + 3]
                self.buf = self.buf[end + 3:]
                assert int(said, 16) == sum(body) & 255, "checksum"
                out, i = bytearray(), 0
                while i < len(body):
                    if body[i] == 0x7d:
                        i += 1
                        out.append(body[i] ^ 0x20)
                    else:
                        out.append(body[i])
                    i += 1
                return out.decode("latin-1")
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.buf += more

    def ask(self, packet):
        self.send(packet)
        return self.receive()

    def reg(self, n):
        r = self.ask("p%x" % n)
        return int.from_bytes(bytes.fromhex(r), "little")

    def set_reg(self, n, v, size=8):
        return self.ask("P%x=%s" % (n, v.to_bytes(size, "little").hex()))

    def mem(self, addr, n):
        return bytes.fromhex(self.ask("m%x,%x" % (addr, n)))

    def u64(self, addr):
        return struct.unpack("<Q", self.mem(addr, 8))[0]

    def threads(self):
        out, r = [], self.ask("qfThreadInfo")
        while r.startswith("m"):
            out += r[1:].split(",")
            r = self.ask("qsThreadInfo")
        return out

    def xfer(self, name, annex=""):
        data, off = "", 0
        while True:
            r = self.ask("qXfer:%s:read:%s:%x,400" % (name, annex, off))
            assert r[:1] in "ml", r
            data += r[1:]
            off += len(r) - 1
            if r[0] == "l":
                return data


def have_gdb():
    return shutil.which("gdb-multiarch") is not None


def gdb(path, program, commands, seconds=120):
    """What gdb prints when it is told these things."""
    args = ["gdb-multiarch", "-nx", "-batch", "-ex", "set sysroot /usr/riscv64-linux-gnu", "-ex", "set confirm off",
            "-ex", "set architecture riscv:rv64", "-ex", "target remote " + path]
    for c in commands:
        args += ["-ex", c]
    p = subprocess.run(args + ([program] if program else []), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=seconds, env=dict(os.environ, LC_ALL="C", DEBUGINFOD_URLS=""))
    return p.stdout.decode(errors="replace")


def symbols(program):
    """Addresses by name."""
    text = subprocess.run(["riscv64-linux-gnu-nm", program], stdout=subprocess.PIPE, check=True).stdout.decode()
    return {f[2]: int(f[0], 16) for f in (line.split() for line in text.splitlines()) if len(f) == 3}
