"""peer.py PATH - the host's side of vsock's test: an echo at PATH_1000, then a talk with the guest's echo at its port 2000."""
import os, socket, sys, threading, time

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path + "_1000")
listener.listen(1)


def echo():
    s, _ = listener.accept()
    total = 0
    while True:
        data = s.recv(3000)
        if not data:
            break
        total += len(data)
        if total < 200000:
            time.sleep(.001)  # slower than the guest: it has to wait for credit
        s.sendall(data)
    print("guest closed after", total, flush=True)


thread = threading.Thread(target=echo)
thread.start()
thread.join()
for i in range(600):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(b"CONNECT 2000\n")
    line = b""
    while not line.endswith(b"\n"):
        c = s.recv(1)
        if not c:
            break
        line += c
    if line.startswith(b"OK "):
        break
    s.close()
    time.sleep(.1)
data = os.urandom(500000)
threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
got = b""
while True:
    part = s.recv(65536)
    if not part:
        break
    got += part
print("the same" if got == data else "another, %d bytes" % len(got), flush=True)
