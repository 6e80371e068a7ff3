/*
 * p9.c - a shared folder, message by message: what Linux asks, and ways out of the folder
 */
#include "device/p9.h"

#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LERROR = 7, STATFS = 8, LOPEN = 12, LCREATE = 14, SYMLINK = 16, MKNOD = 18, RENAME = 20, READLINK = 22, GETATTR = 24, SETATTR = 26,
       XATTRWALK = 30, XATTRCREATE = 32, READDIR = 40, FSYNC = 50, LOCK = 52, LINK = 70, MKDIR = 72, RENAMEAT = 74, UNLINKAT = 76,
       VERSION = 100, ATTACH = 104, WALK = 110, READ = 116, WRITE = 118, CLUNK = 120, REMOVE = 122 };

struct fixture {
    struct p9 *p9;
    char dir[64];
    int fd; /* of the folder; its parent has "secret" */
    uint8_t out[70000], in[70000];
    uint32_t n_in;
};

/* What replies begin with. */
#define REPLY(x) ((x)->in + 7)

static struct p9 *
serve(struct fixture *x, bool read_only)
{
    struct err e;
    struct p9 *p9 = p9_new(openat(x->fd, ".", O_PATH | O_DIRECTORY), read_only, &e);
    assert_non_null(p9);
    return p9;
}

static uint32_t
send_bytes(struct fixture *x, size_t n, size_t room)
{
    struct vq_chain c = {.n_out = 2, .n_in = 2, .out_bytes = n, .in_bytes = room};
    const size_t cut = n / 3, in_cut = room / 2;
    c.iov[0] = (struct iovec){x->out, cut};
    c.iov[1] = (struct iovec){x->out + cut, n - cut};
    c.iov[2] = (struct iovec){x->in, in_cut};
    c.iov[3] = (struct iovec){x->in + in_cut, room - in_cut};
    memset(x->in, 0xee, sizeof x->in);
    return x->n_in = p9_serve(x->p9, &c);
}

/* By letters: b, h, w, d numbers of 1, 2, 4, 8 bytes; s a string; * length and bytes, without a length in front. The errno, or 0. */
static int
ask(struct fixture *x, unsigned type, const char *letters, ...)
{
    size_t n = 7;
    va_list args;
    va_start(args, letters);
    for (; *letters != 0; letters++) {
        if (*letters == 's') {
            const char *s = va_arg(args, const char *);
            const uint16_t len = (uint16_t)strlen(s);
            memcpy(x->out + n, &len, 2);
            memcpy(x->out + n + 2, s, len);
            n += 2 + len;
        } else if (*letters == '*') {
            const size_t len = va_arg(args, size_t);
            memcpy(x->out + n, va_arg(args, const void *), len);
            n += len;
        } else {
            const uint64_t v = va_arg(args, uint64_t);
            const size_t len = *letters == 'b' ? 1 : *letters == 'h' ? 2 : *letters == 'w' ? 4 : 8;
            memcpy(x->out + n, &v, len);
            n += len;
        }
    }
    va_end(args);
    const uint32_t size = (uint32_t)n;
    memcpy(x->out, &size, 4);
    x->out[4] = (uint8_t)type;
    x->out[5] = 0x34;
    x->out[6] = 0x12;
    uint32_t got, err;
    assert_true(send_bytes(x, n, sizeof x->in) >= 7);
    memcpy(&got, x->in, 4);
    assert_int_equal(got, x->n_in);
    assert_true(x->in[5] == 0x34 && x->in[6] == 0x12);
    if (x->in[4] == LERROR) {
        memcpy(&err, x->in + 7, 4);
        return (int)err;
    }
    assert_int_equal(x->in[4], type + 1);
    return 0;
}

#define U(v) ((uint64_t)(v))
#define NOW  U(0)

static int
walk1(struct fixture *x, unsigned from, unsigned to, const char *name)
{
    return ask(x, WALK, "wwhs", U(from), U(to), U(1), name);
}

static int
setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    snprintf(x->dir, sizeof x->dir, "/tmp/doppel-p9-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    const int outer = open(x->dir, O_PATH | O_DIRECTORY);
    assert_int_equal(mkdirat(outer, "folder", 0755), 0);
    x->fd = openat(outer, "folder", O_RDONLY | O_DIRECTORY);
    const int secret = openat(outer, "secret", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(secret, "secret", 6), 6);
    close(secret);
    close(outer);
    x->p9 = serve(x, false);
    assert_int_equal(ask(x, VERSION, "ws", U(65536), "9P2000.L"), 0);
    assert_int_equal(ask(x, ATTACH, "wwssw", U(1), U(UINT32_MAX), "root", "", U(UINT32_MAX)), 0);
    *state = x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;
    p9_free(x->p9);
    close(x->fd);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", x->dir);
    assert_int_equal(system(command), 0);
    free(x);
    return 0;
}

/* Create a file as fid 2, put something into it, and give the fid up. */
static void
create(struct fixture *x, const char *name, const char *text)
{
    assert_int_equal(ask(x, WALK, "wwh", U(1), U(2), U(0)), 0);
    assert_int_equal(ask(x, LCREATE, "wswww", U(2), name, U(O_RDWR | O_CREAT | O_EXCL), U(04640), U(getgid())), 0);
    assert_int_equal(ask(x, WRITE, "wdw*", U(2), U(0), U(strlen(text)), strlen(text), text), 0);
    assert_int_equal(ask(x, CLUNK, "w", U(2)), 0);
}

static void
files(void **state)
{
    struct fixture *x = *state;
    struct stat st;
    create(x, "file", "some text");
    assert_int_equal(fstatat(x->fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640); /* whatever our umask is; not set-user-ID */
    assert_int_equal(walk1(x, 1, 3, "file"), 0);
    assert_int_equal(ask(x, READ, "wdw", U(3), U(0), U(100)), EBADF);
    assert_int_equal(ask(x, LOPEN, "ww", U(3), U(O_RDONLY)), 0);
    assert_int_equal(ask(x, READ, "wdw", U(3), U(5), U(100)), 0);
    assert_memory_equal(REPLY(x), "\4\0\0\0text", 8);
    assert_int_equal(ask(x, READ, "wdw", U(3), U(9), U(100)), 0);
    assert_int_equal(x->n_in, 11);
    assert_int_equal(ask(x, WRITE, "wdw*", U(3), U(0), U(1), (size_t)1, "x"), EBADF);
    assert_int_equal(ask(x, LOPEN, "ww", U(3), U(O_RDONLY)), EINVAL);
    assert_int_equal(ask(x, WALK, "wwh", U(3), U(4), U(0)), EINVAL);
    assert_int_equal(ask(x, SETATTR, "wwwwwddddd", U(3), U(8), NOW, NOW, NOW, U(4), NOW, NOW, NOW, NOW), 0);
    assert_int_equal(ask(x, GETATTR, "wd", U(3), U(0x7ff)), 0);
    assert_int_equal(REPLY(x)[8 + 13 + 4 + 4 + 4 + 8 + 8], 4); /* size */
    assert_int_equal(ask(x, FSYNC, "ww", U(3), U(0)), 0);
    assert_int_equal(ask(x, LOCK, "wbwddws", U(3), U(1), U(0), U(0), U(0), U(1), "me"), 0);
    assert_int_equal(ask(x, STATFS, "w", U(3)), 0);
    assert_int_equal(ask(x, REMOVE, "w", U(3)), 0);
    assert_int_equal(fstatat(x->fd, "file", &st, 0), -1);
    assert_int_equal(ask(x, CLUNK, "w", U(3)), EBADF);
}

static void
names(void **state)
{
    struct fixture *x = *state;
    struct stat st;
    create(x, "a", "A");
    assert_int_equal(ask(x, MKDIR, "wsww", U(1), "d", U(0755), U(getgid())), 0);
    assert_int_equal(ask(x, MKDIR, "wsww", U(1), "d", U(0755), U(getgid())), EEXIST);
    assert_int_equal(walk1(x, 1, 4, "d"), 0);
    assert_int_equal(walk1(x, 1, 5, "a"), 0);
    assert_int_equal(ask(x, LINK, "wws", U(4), U(5), "second"), 0);
    assert_int_equal(ask(x, RENAMEAT, "wsws", U(1), "a", U(4), "b"), 0);
    assert_int_equal(ask(x, REMOVE, "w", U(5)), ENOENT); /* it is elsewhere now; the fid has gone all the same */
    assert_int_equal(ask(x, WALK, "wwhss", U(1), U(5), U(2), "d", "b"), 0);
    assert_int_equal(ask(x, RENAME, "wws", U(5), U(1), "c"), 0);
    assert_int_equal(fstatat(x->fd, "c", &st, 0) == 0 ? (int)st.st_nlink : -1, 2);
    assert_int_equal(ask(x, UNLINKAT, "wsw", U(4), "second", U(0)), 0);
    assert_int_equal(ask(x, UNLINKAT, "wsw", U(1), "d", U(0)), EISDIR);
    assert_int_equal(ask(x, UNLINKAT, "wsw", U(1), "d", U(AT_REMOVEDIR)), 0);
    assert_int_equal(ask(x, SYMLINK, "wssw", U(1), "link", "../secret", U(getgid())), 0);
    assert_int_equal(walk1(x, 1, 6, "link"), 0);
    assert_int_equal(ask(x, READLINK, "w", U(6)), 0);
    assert_memory_equal(REPLY(x), "\11\0../secret", 11);
    assert_int_equal(ask(x, READLINK, "w", U(1)), EINVAL);
    assert_int_equal(ask(x, MKNOD, "wswwww", U(1), "fifo", U(S_IFIFO | 0600), U(0), U(0), U(getgid())), 0);
    assert_int_equal(ask(x, MKNOD, "wswwww", U(1), "null", U(S_IFCHR | 0600), U(1), U(3), U(getgid())), EPERM);
    /* half of the way: how far, and no fid */
    assert_int_equal(ask(x, WALK, "wwhss", U(1), U(7), U(2), "link", "nothing"), 0);
    assert_int_equal(REPLY(x)[0], 1);
    assert_int_equal(ask(x, CLUNK, "w", U(7)), EBADF);
    assert_int_equal(walk1(x, 1, 7, "nothing"), ENOENT);
}

static void
folders(void **state)
{
    struct fixture *x = *state;
    char name[64];
    unsigned seen = 0;
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "a-name-of-some-length-%u", i);
        close(openat(x->fd, name, O_CREAT | O_WRONLY, 0600));
    }
    assert_int_equal(ask(x, WALK, "wwh", U(1), U(2), U(0)), 0);
    assert_int_equal(ask(x, LOPEN, "ww", U(2), U(O_RDONLY | O_DIRECTORY)), 0);
    for (uint64_t offset = 0;;) {
        uint32_t n;
        assert_int_equal(ask(x, READDIR, "wdw", U(2), offset, U(1000)), 0);
        memcpy(&n, REPLY(x), 4);
        assert_true(n <= 1000 && x->n_in == 11 + n);
        if (n == 0) {
            break;
        }
        for (uint32_t at = 0; at < n; seen++) {
            const uint8_t *e = REPLY(x) + 4 + at;
            memcpy(&offset, e + 13, 8);
            at += 24 + e[22];
        }
    }
    assert_int_equal(seen, 302);
    assert_int_equal(ask(x, READDIR, "wdw", U(2), U(0), U(10)), EINVAL);
    assert_int_equal(ask(x, READ, "wdw", U(2), U(0), U(10)), EISDIR);
}

static void
attributes(void **state)
{
    struct fixture *x = *state;
    create(x, "file", "");
    assert_int_equal(walk1(x, 1, 2, "file"), 0);
    assert_int_equal(ask(x, WALK, "wwh", U(2), U(3), U(0)), 0);
    assert_int_equal(ask(x, XATTRCREATE, "wsdw", U(3), "security.capability", U(4), U(0)), EOPNOTSUPP);
    assert_int_equal(ask(x, XATTRCREATE, "wsdw", U(3), "user.color", U(4), U(0)), 0);
    assert_int_equal(ask(x, WRITE, "wdw*", U(3), U(0), U(5), (size_t)5, "green"), EINVAL);
    assert_int_equal(ask(x, WRITE, "wdw*", U(3), U(0), U(4), (size_t)4, "blue"), 0);
    if (ask(x, CLUNK, "w", U(3)) == EOPNOTSUPP) {
        return; /* a file system without */
    }
    assert_int_equal(ask(x, XATTRWALK, "wws", U(2), U(3), "user.color"), 0);
    assert_int_equal(ask(x, READ, "wdw", U(3), U(1), U(100)), 0);
    assert_memory_equal(REPLY(x), "\3\0\0\0lue", 7);
    assert_int_equal(ask(x, READ, "wdw", U(3), U(5), U(100)), EINVAL);
    assert_int_equal(ask(x, CLUNK, "w", U(3)), 0);
    assert_int_equal(ask(x, XATTRWALK, "wws", U(2), U(3), ""), 0);
    assert_int_equal(REPLY(x)[0], 11);
    assert_int_equal(ask(x, XATTRWALK, "wws", U(2), U(4), "user.none"), ENODATA);
    assert_int_equal(ask(x, WALK, "wwh", U(2), U(4), U(0)), 0);
    assert_int_equal(ask(x, XATTRCREATE, "wsdw", U(4), "user.color", U(0), U(2)), 0);
    assert_int_equal(ask(x, CLUNK, "w", U(4)), 0);
    assert_int_equal(ask(x, XATTRWALK, "wws", U(2), U(4), "user.color"), ENODATA);
}

/* No name and no link leads out, and nothing is opened that is no file or folder. */
static void
ways_out(void **state)
{
    struct fixture *x = *state;
    static const char *const bad[] = {"..", ".", "", "a/b", "/", "../secret"};
    assert_int_equal(symlinkat("../secret", x->fd, "link"), 0);
    assert_int_equal(symlinkat("..", x->fd, "up"), 0);
    assert_int_equal(mkfifoat(x->fd, "fifo", 0600), 0);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_not_equal(walk1(x, 1, 9, bad[i]), 0);
        assert_int_equal(ask(x, MKDIR, "wsww", U(1), bad[i], U(0755), U(0)), EINVAL);
        assert_int_equal(ask(x, UNLINKAT, "wsw", U(1), bad[i], U(0)), EINVAL);
        assert_int_equal(ask(x, RENAMEAT, "wsws", U(1), "link", U(1), bad[i]), EINVAL);
        assert_int_equal(ask(x, RENAMEAT, "wsws", U(1), bad[i], U(1), "link"), EINVAL);
        assert_int_equal(ask(x, LINK, "wws", U(1), U(1), bad[i]), EINVAL);
        assert_int_equal(ask(x, SYMLINK, "wssw", U(1), bad[i], "x", U(0)), EINVAL);
        assert_int_equal(ask(x, LCREATE, "wswww", U(1), bad[i], U(O_RDWR | O_CREAT), U(0644), U(0)), EINVAL);
    }
    assert_int_equal(walk1(x, 1, 2, "link"), 0);
    assert_int_not_equal(ask(x, LOPEN, "ww", U(2), U(O_RDONLY)), 0);
    assert_int_not_equal(ask(x, SETATTR, "wwwwwddddd", U(2), U(8), NOW, NOW, NOW, U(0), NOW, NOW, NOW, NOW), 0);
    assert_int_not_equal(ask(x, SETATTR, "wwwwwddddd", U(2), U(1), U(0777), NOW, NOW, U(0), NOW, NOW, NOW, NOW), 0);
    assert_int_equal(walk1(x, 1, 3, "up"), 0);
    assert_int_equal(walk1(x, 3, 4, "secret"), ENOTDIR);
    assert_int_equal(ask(x, WALK, "wwhss", U(1), U(4), U(2), "up", "secret"), 0); /* one of two */
    assert_int_equal(ask(x, CLUNK, "w", U(4)), EBADF);
    assert_int_equal(ask(x, WALK, "wwh", U(1), U(5), U(0)), 0);
    assert_int_not_equal(ask(x, LCREATE, "wswww", U(5), "link", U(O_RDWR | O_CREAT), U(0644), U(0)), 0);
    assert_int_equal(walk1(x, 1, 6, "fifo"), 0);
    assert_int_equal(ask(x, LOPEN, "ww", U(6), U(O_RDWR)), EPERM);
    assert_int_not_equal(ask(x, REMOVE, "w", U(1)), 0); /* the root itself */
    struct stat st;
    assert_int_equal(fstatat(x->fd, "../secret", &st, 0), 0);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* What a fid stands for stays that, whatever takes its name meanwhile. */
static void
races(void **state)
{
    struct fixture *x = *state;
    char text[4] = "";
    assert_int_equal(mkdirat(x->fd, "d", 0755), 0);
    assert_int_equal(walk1(x, 1, 2, "d"), 0);
    assert_int_equal(renameat(x->fd, "d", x->fd, "moved"), 0);
    assert_int_equal(symlinkat("..", x->fd, "d"), 0);
    assert_int_equal(walk1(x, 2, 3, "secret"), ENOENT);
    assert_int_equal(ask(x, WALK, "wwh", U(2), U(3), U(0)), 0);
    assert_int_equal(ask(x, LCREATE, "wswww", U(3), "new", U(O_RDWR | O_CREAT), U(0644), U(0)), 0);
    assert_int_equal(ask(x, WRITE, "wdw*", U(3), U(0), U(3), (size_t)3, "new"), 0);
    const int fd = openat(x->fd, "moved/new", O_RDONLY);
    assert_int_equal(read(fd, text, 3), 3);
    close(fd);
    assert_int_equal(ask(x, REMOVE, "w", U(2)), ESTALE);
    assert_int_equal(faccessat(x->fd, "d", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void
read_only(void **state)
{
    struct fixture *x = *state;
    create(x, "file", "text");
    p9_free(x->p9);
    x->p9 = serve(x, true);
    assert_int_equal(ask(x, VERSION, "ws", U(65536), "9P2000.L"), 0);
    assert_int_equal(ask(x, ATTACH, "wwssw", U(1), U(UINT32_MAX), "root", "", U(0)), 0);
    assert_int_equal(walk1(x, 1, 2, "file"), 0);
    assert_int_equal(ask(x, SETATTR, "wwwwwddddd", U(2), U(1), U(0777), NOW, NOW, U(0), NOW, NOW, NOW, NOW), EROFS);
    assert_int_equal(ask(x, XATTRCREATE, "wsdw", U(2), "user.a", U(1), U(0)), EROFS);
    assert_int_equal(ask(x, LOPEN, "ww", U(2), U(O_WRONLY)), EROFS);
    assert_int_equal(ask(x, LOPEN, "ww", U(2), U(O_RDONLY | O_TRUNC)), EROFS);
    assert_int_equal(ask(x, LINK, "wws", U(1), U(2), "l"), EROFS);
    assert_int_equal(ask(x, RENAME, "wws", U(2), U(1), "l"), EROFS);
    assert_int_equal(ask(x, LOPEN, "ww", U(2), U(O_RDONLY)), 0);
    assert_int_equal(ask(x, MKDIR, "wsww", U(1), "d", U(0755), U(0)), EROFS);
    assert_int_equal(ask(x, MKNOD, "wswwww", U(1), "f", U(S_IFREG | 0600), U(0), U(0), U(0)), EROFS);
    assert_int_equal(ask(x, SYMLINK, "wssw", U(1), "s", "t", U(0)), EROFS);
    assert_int_equal(ask(x, UNLINKAT, "wsw", U(1), "file", U(0)), EROFS);
    assert_int_equal(ask(x, RENAMEAT, "wsws", U(1), "file", U(1), "f"), EROFS);
    assert_int_equal(ask(x, REMOVE, "w", U(2)), EROFS);
    assert_int_equal(ask(x, LCREATE, "wswww", U(1), "new", U(O_RDONLY), U(0644), U(0)), EROFS);
}

/* Each message cut anywhere, with sizes that lie, and replies without room. */
static void
malformed(void **state)
{
    struct fixture *x = *state;
    create(x, "file", "text");
    assert_int_equal(ask(x, WALK, "wwhs", U(1), U(2), U(1), "file"), 0);
    for (uint32_t size = 0; size < 40; size++) {
        for (uint32_t n = 1; n < 40; n++) {
            memcpy(x->out, &size, 4);
            for (unsigned type = 0; type < 256; type += size < 20 ? 1 : 7) {
                x->out[4] = (uint8_t)type;
                send_bytes(x, n, 11);
                assert_true(x->n_in == 0 || (x->n_in >= 7 && x->n_in <= 11));
            }
        }
    }
    assert_int_equal(ask(x, VERSION, "ws", U(65536), "9P2000.L"), 0);
    assert_int_equal(ask(x, VERSION, "ws", U(65536), "9P2000.u"), 0);
    assert_memory_equal(REPLY(x) + 4, "\7\0unknown", 9);
    assert_int_equal(ask(x, VERSION, "ws", U(100), "9P2000.L"), EINVAL);
    assert_int_equal(ask(x, ATTACH, "wwssw", U(1), U(UINT32_MAX), "root", "", U(0)), 0);
    assert_int_equal(ask(x, ATTACH, "wwssw", U(1), U(UINT32_MAX), "root", "", U(0)), EBUSY);
    assert_int_equal(ask(x, WALK, "wwhs", U(1), U(2), U(17), "file"), EINVAL);
    assert_int_equal(ask(x, WALK, "wwhss", U(1), U(2), U(1), "fi\0le", "x"), ENOENT);
    assert_int_equal(send_bytes(x, 7, 6), 0);
}

/* As many as there may be, then no more, and all come back. */
static void
limits(void **state)
{
    struct fixture *x = *state;
    unsigned n = 0;
    create(x, "file", "text");
    while (n < 70000 && walk1(x, 1, 100 + n, "file") == 0) {
        n++;
    }
    assert_true(n >= 32 && n < 70000);
    assert_int_equal(walk1(x, 1, 99, "file"), EMFILE);
    assert_int_equal(ask(x, CLUNK, "w", U(100)), 0);
    assert_int_equal(walk1(x, 1, 100, "file"), 0);
    assert_int_equal(ask(x, VERSION, "ws", U(65536), "9P2000.L"), 0);
    assert_int_equal(ask(x, ATTACH, "wwssw", U(1), U(UINT32_MAX), "root", "", U(0)), 0);
    assert_int_equal(walk1(x, 1, 100, "file"), 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(files),    CASE(names),     CASE(folders), CASE(attributes), CASE(ways_out),
        CASE(races),    CASE(read_only), CASE(malformed), CASE(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
