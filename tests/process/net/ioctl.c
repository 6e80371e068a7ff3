/* ioctl.c - terminals, descriptors, files, interfaces; and requests that nobody knows */
#include "../abi.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

static void
terminal(void)
{
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), n = -1, zero = 0, pending = 0;
    if (m < 0) {
        return; /* none here */
    }
    CHECK(ioctl(m, TIOCSPTLCK, &zero) == 0 && ioctl(m, TIOCGPTN, &n) == 0 && n >= 0);
    int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    CHECK(s >= 0 && isatty(s) && isatty(m));
    struct winsize w = {.ws_row = 25, .ws_col = 80}, w2 = {0};
    struct termios locked = {.c_iflag = ~0u};
    CHECK(ioctl(s, TIOCGLCKTRMIOS, &locked) == 0 && locked.c_iflag == 0);
    CHECK(ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(s, TIOCGWINSZ, &w2) == 0 && w2.ws_row == 25 && w2.ws_col == 80);
    struct termios t, t2;
    CHECK(tcgetattr(s, &t) == 0 && (t.c_lflag & ICANON) && (t.c_cflag & CSIZE) == CS8 && t.c_cc[VINTR] == 3);
    cfmakeraw(&t);
    CHECK(cfsetspeed(&t, B9600) == 0 && tcsetattr(s, TCSANOW, &t) == 0 && tcgetattr(s, &t2) == 0);
    CHECK(!(t2.c_lflag & ICANON) && cfgetospeed(&t2) == B9600);
    CHECK(write(m, "abc", 3) == 3);
    struct pollfd p = {s, POLLIN, 0};
    CHECK(poll(&p, 1, 1000) == 1 && ioctl(s, FIONREAD, &pending) == 0 && pending == 3);
    CHECK(tcflush(s, TCIFLUSH) == 0 && ioctl(s, FIONREAD, &pending) == 0 && pending == 0);
    CHECK(ioctl(s, TCGETS, (void *)8) == -1 && errno == EFAULT);
    pid_t pgrp;
    CHECK(ioctl(s, TIOCGPGRP, &pgrp) == -1 && errno == ENOTTY);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setsid() == getpid() && ioctl(s, TIOCSCTTY, 0) == 0);
        CHECK(tcgetpgrp(s) == getpid() && tcgetsid(s) == getpid() && tcsetpgrp(s, getpid()) == 0);
        _exit(0);
    }
    int st;
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
    close(s);
    close(m);
}

static void
descriptors(void)
{
    int p[2], on = 1, n = 0, f = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    CHECK(pipe(p) == 0 && ioctl(p[0], FIONBIO, &on) == 0 && fcntl(p[0], F_GETFL) & O_NONBLOCK);
    CHECK(ioctl(p[0], FIOCLEX) == 0 && fcntl(p[0], F_GETFD) == FD_CLOEXEC);
    CHECK(ioctl(p[0], FIONCLEX) == 0 && fcntl(p[0], F_GETFD) == 0);
    CHECK(write(p[1], "12345", 5) == 5 && ioctl(p[0], FIONREAD, &n) == 0 && n == 5);
    struct termios t;
    CHECK(ioctl(p[0], TCGETS, &t) == -1 && errno == ENOTTY);
    CHECK(ioctl(p[0], FIONREAD, (void *)8) == -1 && errno == EFAULT);
    CHECK(ioctl(12345, FIONREAD, &n) == -1 && errno == EBADF);
    CHECK(ioctl(12345, 0x5fff, &n) == -1 && errno == EBADF);
    CHECK(ioctl(p[0], 0x5fff, &n) == -1 && errno == ENOTTY);
    CHECK(ioctl(p[0], _IOR('?', 1, int), &n) == -1 && errno == ENOTTY);
    if (f >= 0) {
        long flags = 0;
        CHECK(ioctl(f, FS_IOC_GETFLAGS, &flags) == 0 || errno == ENOTTY || errno == EOPNOTSUPP);
        CHECK(ioctl(f, FICLONE, 12345) == -1 && errno == EBADF);
        uint64_t size;
        CHECK(ioctl(f, BLKGETSIZE64, &size) == -1 && errno == ENOTTY);
        CHECK(ftruncate(f, 10) == 0 && ioctl(f, FIONREAD, &n) == 0 && n == 10);
        close(f);
    }
    close(p[0]);
    close(p[1]);
}

static void
interfaces(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r[8], one = {0};
    struct ifconf c = {.ifc_len = sizeof r, .ifc_req = r};
    bool lo = false;
    CHECK(ioctl(s, SIOCGIFCONF, &c) == 0 && c.ifc_len >= (int)sizeof *r);
    for (int i = 0; i < c.ifc_len / (int)sizeof *r; i++) {
        lo |= strcmp(r[i].ifr_name, "lo") == 0;
    }
    CHECK(lo);
    struct ifconf ask = {0}; /* how much is there? */
    CHECK(ioctl(s, SIOCGIFCONF, &ask) == 0 && ask.ifc_len >= c.ifc_len);
    c = (struct ifconf){.ifc_len = sizeof r, .ifc_buf = (void *)8};
    CHECK(ioctl(s, SIOCGIFCONF, &c) == -1 && errno == EFAULT);
    strcpy(one.ifr_name, "lo");
    CHECK(ioctl(s, SIOCGIFINDEX, &one) == 0 && one.ifr_ifindex == (int)if_nametoindex("lo"));
    CHECK(ioctl(s, SIOCGIFFLAGS, &one) == 0 && one.ifr_flags & IFF_LOOPBACK);
    strcpy(one.ifr_name, "nosuch0");
    CHECK(ioctl(s, SIOCGIFINDEX, &one) == -1 && errno == ENODEV);
    CHECK(ioctl(s, SIOCGIFINDEX, (void *)8) == -1 && errno == EFAULT);
    close(s);
}

int
main(void)
{
    terminal();
    descriptors();
    interfaces();
    return 0;
}
