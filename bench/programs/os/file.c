/*
 * file.c - small files written, read in pieces, renamed, listed and removed in a directory of their
 * own
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FULL  500
#define QUICK 40

enum { FILES = 40, SIZE = 10000, PIECE = 512 };

static void
die(const char *what)
{
    perror(what);
    exit(2);
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    const char *tmp = getenv("TMPDIR");
    char dir[200], name[16], buf[SIZE], piece[PIECE];
    uint64_t sum = 0;
    snprintf(dir, sizeof dir, "%s/bench-file-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir) || chdir(dir)) {
        die(dir);
    }
    for (int i = 0; i < SIZE; i++) {
        buf[i] = (char)(i * 7);
    }
    for (long r = 0; r < rounds; r++) {
        for (int f = 0; f < FILES; f++) {
            snprintf(name, sizeof name, "new%d", f);
            int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
            struct stat st;
            if (fd < 0 || write(fd, buf, SIZE) != SIZE || fstat(fd, &st) || st.st_size != SIZE) {
                die(name);
            }
            lseek(fd, f, SEEK_SET);
            for (ssize_t n; (n = read(fd, piece, PIECE)) > 0;) {
                sum = sum * 3 + (uint64_t)n + (uint8_t)piece[n - 1];
            }
            if (pread(fd, piece, 16, SIZE / 2) != 16) {
                die(name);
            }
            close(fd);
            char to[16];
            snprintf(to, sizeof to, "old%d", f);
            if (rename(name, to) || access(name, F_OK) == 0) {
                die(to);
            }
        }
        DIR *d = opendir(".");
        int listed = 0;
        for (struct dirent *e; (e = readdir(d));) {
            struct stat st;
            if (strncmp(e->d_name, "old", 3) == 0 && stat(e->d_name, &st) == 0 &&
                st.st_size == SIZE) {
                listed++;
                unlink(e->d_name);
            }
        }
        closedir(d);
        sum += (uint64_t)listed;
    }
    if (chdir("/") || rmdir(dir)) {
        die(dir);
    }
    printf("file %016llx\n", (unsigned long long)sum);
    return 0;
}
