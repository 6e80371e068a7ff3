/* paths.c - making, examining, renaming and removing files */
#include "../abi.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

int
main(void)
{
    char dir[] = "/tmp/abi-paths-XXXXXX", buf[256], cwd[PATH_MAX];
    struct stat st, st2;
    struct statx stx;
    struct statfs sf;
    CHECK(mkdtemp(dir) != NULL && chdir(dir) == 0);
    CHECK(getcwd(cwd, sizeof cwd) != NULL && strcmp(cwd, dir) == 0);
    EQUAL(syscall(SYS_getcwd, cwd, sizeof cwd), strlen(dir) + 1);
    EQUAL(syscall(SYS_getcwd, cwd, 3), -1);
    EQUAL(errno, ERANGE);
    umask(022);
    int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0666);
    CHECK(fd >= 0);
    EQUAL(open("f", O_CREAT | O_EXCL | O_RDWR, 0666), -1);
    EQUAL(errno, EEXIST);
    CHECK(write(fd, "0123456789", 10) == 10);
    CHECK(fstat(fd, &st) == 0 && stat("f", &st2) == 0 && memcmp(&st, &st2, sizeof st) == 0);
    CHECK(S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0644 && st.st_size == 10 && st.st_nlink == 1 && st.st_uid == getuid());
    CHECK(st.st_blksize > 0 && st.st_mtim.tv_sec > 1600000000);
    CHECK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &stx) == 0 && stx.stx_size == 10 && stx.stx_ino == st.st_ino);
    CHECK(statfs(".", &sf) == 0 && sf.f_bsize > 0);
    CHECK(truncate("f", 5) == 0 && fstat(fd, &st) == 0 && st.st_size == 5);
    CHECK(ftruncate(fd, 7) == 0 && lseek(fd, 0, SEEK_END) == 7);
    CHECK(chmod("f", 0600) == 0 && fchmod(fd, 0640) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0640);
    struct timespec ts[2] = {{1000000000, 5}, {1000000001, 6}};
    CHECK(utimensat(AT_FDCWD, "f", ts, 0) == 0 && stat("f", &st) == 0 && st.st_mtim.tv_sec == 1000000001);
    CHECK(futimens(fd, NULL) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1600000000);
    CHECK(symlink("f", "s") == 0 && readlink("s", buf, sizeof buf) == 1 && buf[0] == 'f');
    EQUAL(readlink("f", buf, sizeof buf), -1);
    EQUAL(errno, EINVAL);
    CHECK(lstat("s", &st) == 0 && S_ISLNK(st.st_mode) && stat("s", &st) == 0 && S_ISREG(st.st_mode));
    EQUAL(open("s", O_RDONLY | O_NOFOLLOW), -1);
    EQUAL(errno, ELOOP);
    CHECK(link("f", "l") == 0 && stat("l", &st) == 0 && st.st_nlink == 2);
    CHECK(mkdir("d", 0777) == 0 && rename("l", "d/l") == 0 && access("d/l", R_OK) == 0);
    EQUAL(rmdir("d"), -1);
    EQUAL(errno, ENOTEMPTY);
    EQUAL(unlink("d"), -1);
    EQUAL(errno, EISDIR);
    EQUAL(open("f/x", O_RDONLY), -1);
    EQUAL(errno, ENOTDIR);
    EQUAL(open("", O_RDONLY), -1);
    EQUAL(errno, ENOENT);
    EQUAL(openat(99, "f", O_RDONLY), -1);
    EQUAL(errno, EBADF);
    CHECK(mkfifo("p", 0600) == 0 && stat("p", &st) == 0 && S_ISFIFO(st.st_mode));
    CHECK(setxattr("f", "user.a", "value", 5, 0) == 0 || errno == EOPNOTSUPP);
    ssize_t n = getxattr("f", "user.a", buf, sizeof buf);
    CHECK(n == 5 || errno == ENODATA || errno == EOPNOTSUPP);
    int names = 0;
    DIR *d = opendir(".");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        names++;
    }
    closedir(d);
    EQUAL(names, 6);
    CHECK(unlink("f") == 0 && unlink("s") == 0 && unlink("p") == 0 && unlink("d/l") == 0 && rmdir("d") == 0);
    CHECK(chdir("/") == 0 && rmdir(dir) == 0);
    return 0;
}
