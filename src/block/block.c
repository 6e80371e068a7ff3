/*
 * block.c - opening what is behind a disk
 *
 * Formats are not guessed from content, which the guest of a raw disk may have written: a raw disk whose guest puts a qcow2 header onto
 * it would then be opened as one, with a backing file of the guest's choice.
 *
 * Locks are those of QEMU (block/file-posix: an open file description's read locks; byte 100 + n: permission n is in use, 200 + n: it
 * is not shared), so that neither it nor another doppel writes an image that is in use.
 */
#include "block/block.h"

#include "base/check.h"
#include "block/block_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERM_READ, PERM_WRITE, PERM_IN_USE = 100, PERM_NOT_SHARED = 200 };

static bool
ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static int
lock_byte(int fd, int op, short type, off_t at)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    const int r = fcntl(fd, op, &l);
    return r == 0 && op == F_OFD_GETLK && l.l_type != F_UNLCK ? -1 : r;
}

/* False: somebody else uses the file in a way that this excludes. File systems without locks have no say. */
static bool
lock(int fd, bool write)
{
    lock_byte(fd, F_OFD_SETLK, F_RDLCK, PERM_IN_USE + PERM_READ);
    lock_byte(fd, F_OFD_SETLK, F_RDLCK, PERM_NOT_SHARED + PERM_WRITE);
    if (write) {
        lock_byte(fd, F_OFD_SETLK, F_RDLCK, PERM_IN_USE + PERM_WRITE);
    }
    const bool written = lock_byte(fd, F_OFD_GETLK, F_WRLCK, PERM_IN_USE + PERM_WRITE) != 0;
    const bool refused = write && lock_byte(fd, F_OFD_GETLK, F_WRLCK, PERM_NOT_SHARED + PERM_WRITE) != 0;
    return !written && !refused;
}

/* "raw" or "qcow2"; NULL with *e: the content is another thing than the name says. */
static const char *
format_of(int fd, const struct block_spec *spec, struct err *e)
{
    if (spec->format != NULL) {
        return spec->format;
    }
    char magic[4] = "";
    const bool named = ends_with(spec->file, ".qcow2"), is = pread(fd, magic, 4, 0) == 4 && memcmp(magic, "QFI\xfb", 4) == 0;
    if (is && !named) {
        err_set(e, 0, "it looks like qcow2, and its name does not end so: say format=qcow2 or format=raw");
        return NULL;
    }
    return named ? "qcow2" : "raw";
}

int
block_open_image(const struct block_spec *spec, struct block_chain *chain, struct block **b, struct err *e)
{
    if (nbd_is_name(spec->file)) {
        return nbd_open(spec, b, e);
    }
    const int fd = open(spec->file, (spec->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        const int r = err_set(e, -errno, "open");
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    int r = 0;
    const char *format = NULL;
    for (unsigned i = 0; i < chain->n; i++) {
        if (chain->seen[i].dev == st.st_dev && chain->seen[i].ino == st.st_ino) {
            r = err_set(e, 0, "backing files lead in a circle");
        }
    }
    if (r == 0 && chain->n == BLOCK_BACKING_MAX) {
        r = err_set(e, 0, "more than %d images, each backed by the next", BLOCK_BACKING_MAX);
    }
    if (r == 0 && !lock(fd, !spec->read_only)) {
        r = err_set(e, -EBUSY, "another process uses it");
    }
    if (r == 0) {
        chain->seen[chain->n].dev = st.st_dev;
        chain->seen[chain->n++].ino = st.st_ino;
        format = format_of(fd, spec, e);
        r = format == NULL ? -EINVAL : 0;
    }
    if (r != 0) {
        close(fd);
        return r;
    }
    return strcmp(format, "qcow2") == 0 ? qcow2_open(fd, spec, chain, b, e) : raw_open(fd, spec, b, e);
}

int
block_open(const struct block_spec *spec, struct block **b, struct err *e)
{
    struct block_chain chain = {0};
    struct block_spec image = *spec;
    image.read_only |= spec->snapshot;
    int r = block_open_image(&image, &chain, b, e);
    if (r == 0 && spec->snapshot && !spec->read_only) {
        r = qcow2_over(*b, b, e);
    }
    if (r == 0 && spec->log != NULL) {
        r = log_open(*b, spec->log, b, e);
    }
    if (r != 0) {
        err_add(e, "%s", spec->file);
    }
    return r;
}
