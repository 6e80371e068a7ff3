/*
 * p9.c - any messages to a shared folder, in any order
 *
 * covers: src/device/p9.c src/device/p9_files.c src/device/p9_names.c
 *
 * The input is a row of messages: a byte that names the type, then a byte or so for each argument: fids are small numbers, so that they
 * meet, and names are a few, or bytes as they come. Some messages are only bytes. The folder has links that lead out of it, to a file
 * that must stay as it is. What is made in the folder goes after some thousand inputs.
 */
#include "base/check.h"
#include "device/p9.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outer_[64];

static void
clear(void)
{
    char command[160];
    if (outer_[0] != 0) {
        snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", outer_, outer_);
        CHECK(system(command) == 0);
    }
}

/* The folder of this process, anew. */
static int
make_folder(void)
{
    if (outer_[0] == 0) {
        atexit(clear);
    }
    clear();
    snprintf(outer_, sizeof outer_, "%s/doppel-fuzz-p9-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(outer_) != NULL);
    const int out = open(outer_, O_PATH | O_DIRECTORY);
    CHECK(mkdirat(out, "f", 0755) == 0);
    const int f = openat(out, "f", O_PATH | O_DIRECTORY), s = openat(out, "s", O_WRONLY | O_CREAT, 0600);
    CHECK(write(s, "secret", 6) == 6 && symlinkat("../s", f, "l") == 0 && symlinkat("..", f, "u") == 0 && mkdirat(f, "d", 0755) == 0);
    close(openat(f, "a", O_WRONLY | O_CREAT, 0644));
    close(s);
    close(out);
    return f;
}

/* Arguments: f a fid, b h w d numbers of 1, 2, 4, 8 bytes, s a name, * bytes that are as many as the number before says. */
static const struct {
    uint8_t type;
    const char *args;
} kinds_[] = {
    {8, "f"},      {12, "fw"},      {14, "fswww"}, {16, "fssw"}, {18, "fswwww"}, {20, "ffs"},    {22, "f"},       {24, "fd"},
    {26, "fwwwwddddd"}, {30, "ffs"}, {32, "fsdw"}, {40, "fdw"},  {50, "fw"},     {52, "fbwddws"}, {54, "fbddws"}, {70, "ffs"},
    {72, "fsww"},  {74, "fsfs"},    {76, "fsw"},   {104, "ffssw"}, {108, "h"},   {110, "ffhss"}, {116, "fdw"},    {118, "fdw*"},
    {120, "f"},    {122, "f"},      {100, "ws"},   {102, "fssw"},
};

static const char *const names_[] = {"a", "b", "d", "l", "u", "..", "../s", "user.x", "", "n", ".", "9P2000.L"};
static const uint64_t numbers_[] = {0, 1, 2, 3, 0100, 0102, 0302, 01002, 04755, 0600, 0x200, 0x1ff, 0x11c0, 0x21b6, 0x81a4, 0x7fffffff,
                                    UINT64_MAX, UINT64_C(1) << 63, 4096, 0200000};

struct input {
    const uint8_t *at;
    size_t n;
};

static uint8_t
next(struct input *in)
{
    return in->n > 0 ? in->n--, *in->at++ : 0;
}

static size_t
number(struct input *in, uint8_t *to, size_t bytes)
{
    const uint8_t how = next(in);
    uint64_t v = how < 0x80 ? numbers_[how % ARRAY_LEN(numbers_)] : how & 0x7f;
    for (unsigned i = 0; how >= 0xf0 && i < 8; i++) {
        v = v << 8 | next(in);
    }
    memcpy(to, &v, bytes);
    return bytes;
}

static size_t
text(struct input *in, uint8_t *to)
{
    const uint8_t how = next(in);
    const char *name = names_[how % ARRAY_LEN(names_)];
    const uint16_t n = how < 0x80 ? (uint16_t)strlen(name) : how & 15;
    memcpy(to + 2, name, how < 0x80 ? n : 0);
    for (unsigned i = 0; i < n && how >= 0x80; i++) {
        to[2 + i] = next(in);
    }
    memcpy(to, &n, 2);
    return 2u + n;
}

/* A message: how many bytes. */
static size_t
message(struct input *in, uint8_t *out)
{
    const uint8_t kind = next(in);
    size_t n = 7;
    uint32_t last = 0;
    out[4] = kinds_[kind % ARRAY_LEN(kinds_)].type;
    out[5] = out[6] = 1;
    if (kind >= 0xf0) { /* bytes */
        out[4] = next(in);
        for (unsigned left = next(in) % 64; left > 0; left--) {
            out[n++] = next(in);
        }
    } else {
        for (const char *a = kinds_[kind % ARRAY_LEN(kinds_)].args; *a != 0; a++) {
            switch (*a) {
            case 'f':
                last = next(in) & 7;
                memcpy(out + n, &last, 4);
                n += 4;
                break;
            case 's':
                n += text(in, out + n);
                break;
            case '*':
                memset(out + n, 'x', last % 256);
                n += last % 256;
                break;
            default:
                n += number(in, out + n, *a == 'b' ? 1 : *a == 'h' ? 2 : *a == 'w' ? 4 : 8);
                memcpy(&last, out + n - 4, 4);
            }
        }
    }
    const uint32_t length = (uint32_t)n + (kind == 0xef ? next(in) : 0);
    memcpy(out, &length, 4);
    return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;
    static int folder = -1;
    static uint8_t out[4096], reply[8192];
    static const uint8_t first[][2][24] = {
        {{21, [4] = 100, 0, 0, 0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'}, {21}},
        {{23, [4] = 104, [7] = 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255}, {23}},
    };
    if (runs++ % 4096 == 0) {
        close(folder);
        folder = make_folder();
    }
    struct err e;
    struct input in = {data, size};
    const uint8_t how = next(&in);
    struct p9 *p9 = p9_new(dup(folder), (how & 0x80) != 0, &e);
    CHECK(p9 != NULL);
    for (unsigned i = 0; i < 2 || in.n > 0; i++) {
        size_t n = i < 2 ? first[i][1][0] : 0;
        if (i < 2) {
            memcpy(out, first[i][0], n);
        } else {
            n = message(&in, out);
        }
        const size_t room = (how & 0x40) && i % 5 == 4 ? i * 7 % sizeof reply : sizeof reply;
        struct vq_chain c = {.n_out = 1, .n_in = room > 0, .out_bytes = n, .in_bytes = room, .iov = {{out, n}, {reply, room}}};
        CHECK(p9_serve(p9, &c) <= room);
    }
    p9_free(p9);
    struct stat st;
    char path[80];
    snprintf(path, sizeof path, "%s/s", outer_);
    CHECK(stat(path, &st) == 0 && st.st_size == 6 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
    return 0;
}
