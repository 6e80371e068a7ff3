/*
 * p9.c - any messages to a shared folder, in any order
 *
 * covers: src/device/p9.c src/device/p9_files.c src/device/p9_names.c
 *
 * The input is a row of messages: one byte of length, then type and arguments; fids are small numbers, so that they meet. The folder has
 * links that lead out of it, to a file that must stay as it is. What is made in the folder goes after some thousand inputs.
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
    snprintf(outer_, sizeof outer_, "/tmp/doppel-fuzz-p9-XXXXXX");
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned runs;
    static int folder = -1;
    static uint8_t out[4096], in[8192];
    if (runs++ % 4096 == 0) {
        close(folder);
        folder = make_folder();
    }
    struct err e;
    struct p9 *p9 = p9_new(dup(folder), size > 0 && (data[0] & 0x80) != 0, &e);
    CHECK(p9 != NULL);
    static const uint8_t version[] = {21, 0, 0, 0, 100, 0, 0, 0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};
    static const uint8_t attach[] = {23, 0, 0, 0, 104, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255};
    const struct {
        const uint8_t *bytes;
        size_t n;
    } first[] = {{version, sizeof version}, {attach, sizeof attach}};
    for (unsigned i = 0; size > 0; i++) {
        size_t n;
        if (i < ARRAY_LEN(first)) {
            n = first[i].n;
            memcpy(out, first[i].bytes, n);
        } else {
            const size_t body = data[0] % 64 < size - 1 ? data[0] % 64 : size - 1;
            const uint32_t length = (uint32_t)(body + 6);
            n = body > 0 ? length : 3;
            memcpy(out, &length, 4);
            out[4] = body > 0 ? data[1] : 0;
            out[5] = out[6] = 1;
            memcpy(out + 7, data + 2, body > 0 ? body - 1 : 0);
            data += body + 1;
            size -= body + 1;
        }
        const size_t room = i % 5 == 4 ? i * 7 % sizeof in : sizeof in;
        struct vq_chain c = {.n_out = 1, .n_in = 1, .out_bytes = n, .in_bytes = room, .iov = {{out, n}, {in, room}}};
        c.n_in = room > 0;
        CHECK(p9_serve(p9, &c) <= room);
    }
    p9_free(p9);
    struct stat st;
    char path[80];
    snprintf(path, sizeof path, "%s/s", outer_);
    CHECK(stat(path, &st) == 0 && st.st_size == 6 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
    return 0;
}
