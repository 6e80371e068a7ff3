/*
 * vfs_root.c - nothing leads out of the root; --fake-root remembers; the view survives a re-execution
 */
#include "process/vfs_impl.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "vfs_work.h"

static char root[96], secret[96];

static struct task *
user_view(bool fake)
{
    const struct vfs_config c = {.root = root, .cwd = "/", .backend = VFS_USER, .fake_root = fake, .uid = UINT32_MAX,
                                 .gid = UINT32_MAX};
    return new_task(&c);
}

static void
drop_task(struct task *t)
{
    vfs_free(t->proc->vfs);
    free(t->proc);
    free(t);
    assert_int_equal(chdir("/"), 0);
}

/* The path leads to no file, or to one that is not the secret. */
static void
must_not_reach(struct task *t, int dirfd, const char *path)
{
    struct stat st, there;
    assert_int_equal(stat(secret, &there), 0);
    int64_t fd = vfs_openat(t, dirfd, path, O_RDONLY, 0);
    if (fd >= 0) {
        assert_int_equal(fstat((int)fd, &st), 0);
        close((int)fd);
        assert_false(st.st_ino == there.st_ino && st.st_dev == there.st_dev);
    }
    if (vfs_fstatat(t, dirfd, path, &st, 0) == 0) {
        assert_false(st.st_ino == there.st_ino && st.st_dev == there.st_dev);
    }
}

static void
no_way_out(void **state)
{
    (void)state;
    struct task *t = user_view(false);
    char path[512];
    static const char *const paths[] = {"../secret", "/../secret", "a/../../secret", "a/b/../../../secret",
                                        "/./.././../secret", "/up", "/a/b/far", "/abs", "/proc/self/cwd/../secret",
                                        "/proc/self/root/../secret", "/proc/self/fd/../../../secret"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        must_not_reach(t, AT_FDCWD, paths[i]);
    }
    static const char *const hosts[] = {"", "/proc/self/root", "/proc/1/root", "/proc/thread-self/root", "/proc/self/cwd/../.."};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        snprintf(path, sizeof path, "%s%s", hosts[i], secret);
        must_not_reach(t, AT_FDCWD, path);
    }
    snprintf(path, sizeof path, "/proc/%d/cwd/secret", getppid());
    must_not_reach(t, AT_FDCWD, path);
    /* up from wherever one stands */
    assert_int_equal(vfs_chdir(t, "/a/b"), 0);
    for (int i = 0; i < 6; i++) {
        must_not_reach(t, AT_FDCWD, "../secret");
        must_not_reach(t, AT_FDCWD, "secret");
        assert_int_equal(vfs_chdir(t, ".."), 0);
    }
    char cwd[64];
    assert_true(vfs_getcwd(t, cwd, sizeof cwd) == 2 && strcmp(cwd, "/") == 0);
    /* a directory of the host's that was handed in can be used, but is no way to its parents */
    int outer = open(root, O_PATH | O_DIRECTORY);
    must_not_reach(t, outer, "..");
    must_not_reach(t, outer, "../secret");
    close(outer);
    /* a directory that was moved out while somebody stands in it */
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/moved", root);
    snprintf(to, sizeof to, "%s/moved", work);
    assert_int_equal(mkdir(from, 0755), 0);
    assert_int_equal(vfs_chdir(t, "/moved"), 0);
    assert_int_equal(rename(from, to), 0);
    must_not_reach(t, AT_FDCWD, "../secret");
    assert_int_equal(vfs_chdir(t, ".."), 0);
    must_not_reach(t, AT_FDCWD, "secret");
    drop_task(t);
}

static volatile bool stop;

/* Another process of the host puts links where directories were, and takes directories away. */
static void *
disturb(void *arg)
{
    (void)arg;
    char d[128], l[128], in[128], out[128];
    snprintf(d, sizeof d, "%s/race/d", root);
    snprintf(l, sizeof l, "%s/race/l", root);
    snprintf(in, sizeof in, "%s/race/m", root);
    snprintf(out, sizeof out, "%s/m", work);
    while (!stop) {
        renameat2(AT_FDCWD, d, AT_FDCWD, l, RENAME_EXCHANGE);
        rename(in, out);
        renameat2(AT_FDCWD, d, AT_FDCWD, l, RENAME_EXCHANGE);
        rename(out, in);
    }
    return NULL;
}

static void
no_way_out_by_racing(void **state)
{
    (void)state;
    struct task *t = user_view(false);
    pthread_t thread;
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/race", 0755), 0);
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/race/d", 0755), 0);
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/race/m", 0755), 0);
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/race/m/x", 0755), 0);
    assert_int_equal(vfs_symlinkat(t, work, AT_FDCWD, "/race/l"), 0);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, disturb, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        static const char *const tries[] = {"/race/d/secret", "/race/l/secret", "/race/d/../../secret",
                                            "/race/m/x/../../secret", "/race/m/../secret", "/race/m/x/../../../secret"};
        const char *p = tries[i % 6];
        int64_t fd = vfs_openat(t, AT_FDCWD, p, O_RDONLY, 0);
        assert_true(fd < 0);
        fd = vfs_openat(t, AT_FDCWD, i & 1 ? "/race/d/new" : "/race/m/x/../../../new", O_WRONLY | O_CREAT, 0600);
        if (fd >= 0) {
            close((int)fd);
        }
    }
    stop = true;
    pthread_join(thread, NULL);
    char outside[128];
    snprintf(outside, sizeof outside, "%s/new", work);
    assert_int_equal(access(outside, F_OK), -1);
    drop_task(t);
}

static struct stat
look(struct task *t, const char *path)
{
    struct stat st;
    assert_int_equal(vfs_fstatat(t, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static void
make_file(struct task *t, const char *path, mode_t mode)
{
    int64_t fd = vfs_openat(t, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0);
    close((int)fd);
}

static void
owners_are_remembered(void **state)
{
    (void)state;
    struct task *t = user_view(true);
    struct stat st, host;
    char path[128];
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/f", 0755), 0);
    assert_int_equal(vfs_chdir(t, "/f"), 0);

    make_file(t, "file", 0644);
    st = look(t, "file");
    assert_true(st.st_uid == 0 && st.st_gid == 0 && st.st_mode == (S_IFREG | 0644));
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "file", 12, 34, 0), 0);
    assert_int_equal(vfs_fchmodat(t, AT_FDCWD, "file", 06751, 0), 0);
    assert_int_equal(vfs_linkat(t, AT_FDCWD, "file", AT_FDCWD, "twin", 0), 0);
    assert_int_equal(vfs_renameat2(t, AT_FDCWD, "file", AT_FDCWD, "moved", 0), 0);
    st = look(t, "twin");
    assert_true(st.st_uid == 12 && st.st_gid == 34 && st.st_mode == (S_IFREG | 06751));
    snprintf(path, sizeof path, "%s/f/moved", root);
    assert_int_equal(stat(path, &host), 0);
    assert_true(host.st_uid == geteuid() && (host.st_mode & 07000) == 0);
    /* chown takes the set-user-ID bit away, as the kernel does */
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "moved", 1, UINT32_MAX, 0), 0);
    st = look(t, "moved");
    assert_true(st.st_uid == 1 && st.st_gid == 34 && (st.st_mode & 07777) == 0751);

    /* podman's format */
    char text[64];
    const struct vfs_xattr x = {.path = "moved", .follow = true};
    ssize_t n = getxattr(path, "user.containers.override_stat", text, sizeof text - 1);
    if (n > 0) { /* the file system takes such attributes */
        text[n] = '\0';
        assert_string_equal(text, "1:34:0751:file");
        assert_int_equal(vfs_getxattr(t, &x, "user.containers.override_stat", text, sizeof text), -ENODATA);
        assert_int_equal(vfs_listxattr(t, &x, text, sizeof text), 0);
    }

    /* root reads what nobody may */
    assert_int_equal(vfs_fchmodat(t, AT_FDCWD, "moved", 0, 0), 0);
    int64_t fd = vfs_openat(t, AT_FDCWD, "moved", O_RDWR, 0);
    assert_true(fd >= 0);
    close((int)fd);
    assert_int_equal(look(t, "moved").st_mode & 07777, 0);

    assert_int_equal(vfs_symlinkat(t, "nowhere", AT_FDCWD, "link"), 0);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "link", 5, 6, AT_SYMLINK_NOFOLLOW), 0);
    st = look(t, "link");
    assert_true(st.st_uid == 5 && st.st_gid == 6 && S_ISLNK(st.st_mode));
    assert_int_equal(vfs_mknodat(t, AT_FDCWD, "pipe", S_IFIFO | 0600, 0), 0);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "pipe", 7, 8, 0), 0);
    st = look(t, "pipe");
    assert_true(st.st_uid == 7 && st.st_gid == 8 && S_ISFIFO(st.st_mode));

    assert_int_equal(vfs_mknodat(t, AT_FDCWD, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
    st = look(t, "null");
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    fd = vfs_openat(t, AT_FDCWD, "null", O_RDWR, 0);
    assert_true(fd >= 0 && write((int)fd, "x", 1) == 1 && read((int)fd, text, 1) == 0);
    close((int)fd);
    assert_int_equal(vfs_mknodat(t, AT_FDCWD, "disk", S_IFBLK | 0660, makedev(8, 1)), 0);
    assert_int_equal(vfs_openat(t, AT_FDCWD, "disk", O_RDONLY, 0), -ENXIO);

    /* an inode that is used again has nothing of its old owner */
    for (int i = 0; i < 50; i++) {
        assert_int_equal(vfs_symlinkat(t, "x", AT_FDCWD, "again"), 0);
        assert_int_equal(look(t, "again").st_uid, 0);
        assert_int_equal(vfs_fchownat(t, AT_FDCWD, "again", 99, 99, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(look(t, "again").st_uid, 99);
        assert_int_equal(vfs_unlinkat(t, AT_FDCWD, "again", 0), 0);
    }
    drop_task(t);
}

static void
identity_obeys_the_rules(void **state)
{
    (void)state;
    struct task *t = user_view(true);
    const struct fake_ids *ids = fakeroot_ids(t);
    assert_int_equal(vfs_chdir(t, "/f"), 0);
    const uint32_t groups[] = {34, 40};
    assert_int_equal(fakeroot_setgroups(t, 2, groups), 0);
    assert_int_equal(fakeroot_setresid(t, true, 34, 34, 34), 0);
    assert_int_equal(fakeroot_setreid(t, false, UINT32_MAX, 12), 0); /* the real one stays 0 */
    assert_true(ids->uid[FAKE_REAL] == 0 && ids->uid[FAKE_EFFECTIVE] == 12 && ids->uid[FAKE_SAVED] == 12);
    assert_true(ids->cap_effective == 0 && ids->cap_permitted != 0);
    make_file(t, "his", 0644);
    struct stat st = look(t, "his");
    assert_true(st.st_uid == 12 && st.st_gid == 34);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "his", 0, UINT32_MAX, 0), -EPERM);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "his", UINT32_MAX, 40, 0), 0);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "his", UINT32_MAX, 41, 0), -EPERM);
    assert_int_equal(vfs_fchmodat(t, AT_FDCWD, "null", 0600, 0), -EPERM);
    assert_int_equal(vfs_mknodat(t, AT_FDCWD, "dev", S_IFCHR, makedev(1, 3)), -EPERM);
    assert_int_equal(vfs_chroot(t, "/f"), -EPERM);
    assert_int_equal(fakeroot_setresid(t, false, UINT32_MAX, 0, UINT32_MAX), 0); /* back, by the real one */
    assert_true(ids->cap_effective != 0);
    assert_int_equal(fakeroot_setid(t, false, 12), 0);
    assert_int_equal(fakeroot_setid(t, false, 0), -EPERM);
    assert_int_equal(fakeroot_setgroups(t, 0, NULL), -EPERM);
    drop_task(t);
}

static void
state_survives(void **state)
{
    (void)state;
    static char text[65536];
    struct task *t = user_view(true);
    struct err e;
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/jail", 0755), 0);
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/jail/m nt%", 0755), 0);
    assert_int_equal(vfs_mount(t, "none", "/jail/m nt%", "tmpfs", 0, NULL), 0);
    make_file(t, "/jail/m nt%/x", 0600);
    assert_int_equal(vfs_fchownat(t, AT_FDCWD, "/jail/m nt%/x", 77, 78, 0), 0);
    assert_int_equal(vfs_chroot(t, "/jail"), 0);
    assert_int_equal(fakeroot_setresid(t, true, 1, 2, 3), 0);
    int64_t n = vfs_save(t->proc->vfs, text, sizeof text);
    assert_true(n > 0 && strlen(text) == (size_t)n);
    assert_int_equal(strcspn(text, "\n "), (size_t)n);
    struct vfs *old = t->proc->vfs;
    assert_int_equal(vfs_load(&t->proc->vfs, text, &e), 0);
    struct stat st = look(t, "/m nt%/x");
    assert_true(st.st_uid == 77 && st.st_gid == 78);
    st = look(t, "/m nt%/../../m nt%/x");
    assert_int_equal(st.st_uid, 77);
    assert_true(fakeroot_ids(t)->gid[FAKE_EFFECTIVE] == 2 && fakeroot_ids(t)->gid[FAKE_SAVED] == 3);
    char cwd[64];
    assert_int_equal(vfs_chdir(t, "/m nt%"), 0);
    assert_true(vfs_getcwd(t, cwd, sizeof cwd) > 0);
    assert_string_equal(cwd, "/m nt%");
    assert_int_equal(vfs_umount2(t, "/m nt%", 0), 0);
    assert_int_equal(vfs_fstatat(t, AT_FDCWD, "/m nt%/x", &st, 0), -ENOENT);
    for (size_t i = 0; i < 20; i++) { /* no prefix of the text is taken for the whole */
        text[(size_t)n * i / 20] = '\0';
        struct vfs *v;
        assert_int_equal(vfs_load(&v, text, &e), -EINVAL);
        n = vfs_save(old, text, sizeof text);
    }
    drop_task(t);
}

static void
binds_and_sockets(void **state)
{
    (void)state;
    char rw[128], ro[128], file[160];
    snprintf(rw, sizeof rw, "%s/rw", work);
    snprintf(ro, sizeof ro, "%s/ro", work);
    snprintf(file, sizeof file, "%s/x", ro);
    assert_int_equal(mkdir(rw, 0755), 0);
    assert_int_equal(mkdir(ro, 0755), 0);
    close(open(file, O_WRONLY | O_CREAT, 0644));
    const struct vfs_bind binds[] = {{rw, "/a/rw", false}, {ro, "/a/ro", true}};
    const struct vfs_config c = {.root = root, .cwd = "/", .backend = VFS_USER, .binds = binds, .nbinds = 2};
    struct task *t = new_task(&c);
    struct stat st;
    make_file(t, "/a/rw/x", 0644);
    assert_int_equal(vfs_fstatat(t, AT_FDCWD, "/a/ro/../ro/x", &st, 0), 0);
    assert_int_equal(vfs_openat(t, AT_FDCWD, "/a/rw/../../secret", O_RDONLY, 0), -ENOENT);
    assert_int_equal(vfs_unlinkat(t, AT_FDCWD, "/a/rw", AT_REMOVEDIR), -EBUSY);
    assert_int_equal(vfs_mkdirat(t, AT_FDCWD, "/a/rw", 0755), -EEXIST);
    assert_int_equal(vfs_openat(t, AT_FDCWD, "/a/ro/y", O_WRONLY | O_CREAT, 0644), -EROFS);
    assert_int_equal(vfs_unlinkat(t, AT_FDCWD, "/a/ro/x", 0), -EROFS);

    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/a/b/sock"}, back = {0};
    struct vfs_addr a;
    int s = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(vfs_addr_in(t, &un, sizeof un, true, &a), 0);
    int r = bind(s, (struct sockaddr *)a.bytes, a.len);
    vfs_addr_done(t, &a, r);
    assert_int_equal(r, 0);
    assert_int_equal(listen(s, 1), 0);
    assert_int_equal(vfs_chdir(t, "/a"), 0);
    strcpy(un.sun_path, "b/../b/sock");
    assert_int_equal(vfs_addr_in(t, &un, sizeof un, false, &a), 0);
    r = connect(d, (struct sockaddr *)a.bytes, a.len);
    vfs_addr_done(t, &a, r);
    assert_int_equal(r, 0);
    uint32_t len = sizeof back;
    assert_int_equal(getpeername(d, (struct sockaddr *)&back, &len), 0);
    vfs_addr_out(t, &back, sizeof back, &len);
    assert_string_equal(back.sun_path, "/a/b/sock");
    close(s);
    close(d);
    drop_task(t);
}

static void
proc_shows_the_guest(void **state)
{
    (void)state;
    struct task *t = user_view(false);
    char text[256];
    struct stat st;
    strcpy(t->proc->exe_path, "/usr/bin/guest");
    int64_t n = vfs_readlinkat(t, AT_FDCWD, "/proc/self/exe", text, sizeof text);
    assert_true(n == 14 && memcmp(text, "/usr/bin/guest", 14) == 0);
    int64_t dir = vfs_openat(t, AT_FDCWD, "/proc/self", O_RDONLY | O_DIRECTORY, 0);
    n = vfs_readlinkat(t, (int)dir, "exe", text, sizeof text);
    assert_true(n == 14 && memcmp(text, "/usr/bin/guest", 14) == 0);
    n = vfs_readlinkat(t, (int)dir, "root", text, sizeof text);
    assert_true(n == 1 && text[0] == '/');
    assert_int_equal(vfs_chdir(t, "/a/b"), 0);
    n = vfs_readlinkat(t, (int)dir, "cwd", text, sizeof text);
    assert_true(n == 4 && memcmp(text, "/a/b", 4) == 0);
    close((int)dir);
    /* descriptors of ours are not there, by name or in a list */
    snprintf(text, sizeof text, "/proc/self/fd/%d", t->proc->vfs->root);
    assert_int_equal(vfs_fstatat(t, AT_FDCWD, text, &st, 0), -ENOENT);
    dir = vfs_openat(t, AT_FDCWD, "/proc/thread-self/fd", O_RDONLY | O_DIRECTORY, 0);
    static char list[65536];
    n = vfs_getdents64(t, (int)dir, list, sizeof list);
    assert_true(n > 0);
    for (int64_t at = 0; at < n;) {
        uint16_t len;
        memcpy(&len, list + at + 16, 2);
        assert_true(atoi(list + at + 19) < vfs_fd_top(t->proc->vfs));
        at += len;
    }
    close((int)dir);
    assert_int_equal(vfs_openat(t, vfs_fd_top(t->proc->vfs), ".", O_RDONLY, 0), -EBADF);
    drop_task(t);
}

/* As a container's: no device is a mount of its own, which df(1) would show as a file system. */
static void
mounts_are_a_containers(void **state)
{
    (void)state;
    struct task *t = user_view(true);
    static const char *const files[] = {"/proc/self/mounts", "/proc/self/mountinfo"};
    for (size_t i = 0; i < 2; i++) {
        char text[8192] = "";
        int64_t fd = vfs_openat(t, AT_FDCWD, files[i], O_RDONLY, 0);
        assert_true(fd >= 0 && read((int)fd, text, sizeof text - 1) > 0);
        close((int)fd);
        assert_non_null(strstr(text, i == 0 ? "tmpfs /dev tmpfs " : " - tmpfs tmpfs "));
        assert_non_null(strstr(text, " /proc "));
        assert_null(strstr(text, "/dev/tty"));
        assert_null(strstr(text, "/dev/null"));
    }
    drop_task(t);
}

/* What a file begins with; t NULL: the host's. "" if there is none. */
static char *
read_text(struct task *t, const char *path)
{
    static char text[4096];
    int fd = t != NULL ? (int)vfs_openat(t, AT_FDCWD, path, O_RDONLY, 0) : open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[n > 0 ? n : 0] = '\0';
    close(fd);
    return text;
}

/* The kernel view, in a process of its own; 77 where there are no name spaces to be had. */
static int
in_kernel_view(void)
{
    char rw[128], text[256];
    struct stat st;
    struct err e;
    snprintf(rw, sizeof rw, "%s/rw2", work);
    mkdir(rw, 0755);
    const struct vfs_bind binds[] = {{rw, "/a/rw", false}, {rw, "/a/ro", true}};
    const struct vfs_config c = {.root = root, .cwd = "/a/b", .backend = VFS_KERNEL, .binds = binds, .nbinds = 2};
    char *resolv = strdup(read_text(NULL, "/etc/resolv.conf"));
    struct task *t = calloc(1, sizeof *t);
    t->proc = calloc(1, sizeof *t->proc);
    int r = vfs_new(&t->proc->vfs, &c, &e);
    if (r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EINVAL) { /* EINVAL: pivot_root(2) in a chroot */
        return 77;
    }
    strcpy(t->proc->exe_path, "/bin/guest");
    int64_t n = vfs_getcwd(t, text, sizeof text);
    if (r != 0 || n != 5 || strcmp(text, "/a/b") != 0) {
        fprintf(stderr, "%s\n", r != 0 ? e.text : text);
        return 1;
    }
    if (vfs_fstatat(t, AT_FDCWD, "../../../../secret", &st, 0) != -ENOENT ||
        vfs_fstatat(t, AT_FDCWD, secret, &st, 0) != -ENOENT || vfs_fstatat(t, AT_FDCWD, "/abs", &st, 0) != -ENOENT) {
        return 2;
    }
    if (vfs_fstatat(t, AT_FDCWD, "/dev/null", &st, 0) != 0 || !S_ISCHR(st.st_mode)) {
        return 3;
    }
    if (vfs_openat(t, AT_FDCWD, "/a/rw/x", O_CREAT | O_WRONLY, 0644) < 0 ||
        vfs_openat(t, AT_FDCWD, "/a/ro/y", O_CREAT | O_WRONLY, 0644) != -EROFS) {
        return 4;
    }
    n = vfs_readlinkat(t, AT_FDCWD, "/proc/self/exe", text, sizeof text);
    if (n != 10 || memcmp(text, "/bin/guest", 10) != 0) {
        return 5;
    }
    /* Lent where the root has none, at the end of its link; one of its own stays. */
    return strcmp(read_text(t, "/etc/resolv.conf"), resolv) == 0 && strcmp(read_text(t, "/etc/hosts"), "own\n") == 0 ? 0 : 6;
}

static void
kernel_view(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(in_kernel_view());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int
make_work(void **state)
{
    (void)state;
    char cmd[1024];
    if (!work_make()) {
        return -1;
    }
    snprintf(root, sizeof root, "%s/root", work);
    snprintf(secret, sizeof secret, "%s/secret", work);
    snprintf(cmd, sizeof cmd, "umask 022; cd %s && echo secret > secret && mkdir -p root/a/b root/a/rw root/a/ro root/proc root/dev root/sys "
             "root/etc/resolve && ln -s resolve/conf root/etc/resolv.conf && echo own > root/etc/hosts && ln -s ../secret root/up && ln -s ../../../secret root/a/b/far && ln -s %s root/abs", work, secret);
    return system(cmd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_way_out),
        cmocka_unit_test(no_way_out_by_racing),
        cmocka_unit_test(owners_are_remembered),
        cmocka_unit_test(identity_obeys_the_rules),
        cmocka_unit_test(state_survives),
        cmocka_unit_test(binds_and_sockets),
        cmocka_unit_test(proc_shows_the_guest),
        cmocka_unit_test(mounts_are_a_containers),
        cmocka_unit_test(kernel_view),
    };
    return cmocka_run_group_tests(tests, make_work, work_remove);
}
