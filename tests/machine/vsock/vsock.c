/*
 * vsock.c - for the guest: `vsock listen PORT` echoes what one connection says; `vsock connect PORT` talks to the host and expects an echo
 *
 * connect sends 300,000 bytes, reads them back, and prints "echoed"; and first sees that nobody listens at PORT + 1.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define BYTES 300000

static int
dial(unsigned port)
{
    const int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int
talk(unsigned port)
{
    static unsigned char out[BYTES], in[BYTES];
    const int nobody = dial(port + 1), fd = dial(port);
    if (nobody >= 0 || fd < 0) {
        perror("connect");
        return 1;
    }
    for (size_t i = 0; i < BYTES; i++) {
        out[i] = (unsigned char)(i * 7 + i / 256);
    }
    for (size_t sent = 0, got = 0; got < BYTES;) {
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sent < BYTES ? POLLOUT : 0))};
        poll(&p, 1, -1);
        ssize_t n = 0;
        if (p.revents & POLLIN) {
            n = recv(fd, in + got, BYTES - got, 0);
            got += n > 0 ? (size_t)n : 0;
        } else if (p.revents & POLLOUT) {
            n = send(fd, out + sent, BYTES - sent, MSG_DONTWAIT);
            sent += n > 0 ? (size_t)n : 0;
        }
        if (n <= 0 && errno != EAGAIN) {
            perror("talk");
            return 1;
        }
    }
    puts(memcmp(in, out, BYTES) == 0 ? "echoed" : "other bytes");
    return 0;
}

static int
echo(unsigned port)
{
    const int l = socket(AF_VSOCK, SOCK_STREAM, 0);
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    if (bind(l, (struct sockaddr *)&at, sizeof at) != 0 || listen(l, 1) != 0) {
        perror("listen");
        return 1;
    }
    const int fd = accept(l, NULL, NULL);
    char bytes[5000];
    for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, 0)) > 0;) {
        for (ssize_t done = 0; done < n;) {
            const ssize_t r = send(fd, bytes + done, (size_t)(n - done), 0);
            if (r < 0) {
                perror("send");
                return 1;
            }
            done += r;
        }
    }
    puts("ended");
    return 0;
}

int
main(int argc, char **argv)
{
    const unsigned port = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    return argc > 2 && strcmp(argv[1], "listen") == 0 ? echo(port) : talk(port);
}
