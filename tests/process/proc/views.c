/* views.c - whatever way a file of /proc is reached, and wherever procfs is mounted, it shows the guest (see proc.test) */
#include "../abi.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *me; /* path of this program */
static const char *at = "/tmp";

/* Nothing above the guest's addresses, nothing of the monitor's. (The tree may be in a folder of its name.) */
static void
maps(const char *where, const char *path)
{
    char line[1000];
    int n = 0;
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        printf("not ok %s: %s: %s\n", where, path, strerror(errno));
        return;
    }
    bool good = true;
    while (fgets(line, sizeof line, f) != NULL) {
        n++;
        good &= strtoull(line, NULL, 16) < 1ull << 38 && strstr(line, "/doppel\n") == NULL;
    }
    fclose(f);
    printf("%s %s\n", good && n > 3 ? "ok" : "not ok", where);
}

static void
cpuinfo(const char *where, const char *path)
{
    char text[4096] = "";
    FILE *f = fopen(path, "r");
    bool good = f != NULL && fread(text, 1, sizeof text - 1, f) > 0 && strstr(text, "isa\t\t: rv64") != NULL;
    printf("%s %s\n", good ? "ok" : "not ok", where);
    if (f != NULL) {
        fclose(f);
    }
}

static void
exe(const char *where, const char *path)
{
    char text[4096] = "";
    struct stat a, b;
    bool good = readlink(path, text, sizeof text - 1) > 0 && strcmp(text, me) == 0;
    good = good && stat(path, &a) == 0 && (stat(me, &b) != 0 || (a.st_dev == b.st_dev && a.st_ino == b.st_ino));
    printf("%s %s %s\n", good ? "ok" : "not ok", where, good ? "" : text);
}

static const char *
format(const char *fmt, int n)
{
    static char path[100];
    snprintf(path, sizeof path, fmt, n);
    return path;
}

static const char *
below(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", at, name);
    return path;
}

static void
roundabout(void)
{
    int proc = open("/proc", O_PATH), file = open("/proc/self/maps", O_PATH), root = open("/", O_PATH);
    int self = openat(proc, "self", O_PATH | O_DIRECTORY), cpu = open("/proc/cpuinfo", O_PATH);
    CHECK(proc >= 0 && file >= 0 && root >= 0 && self >= 0 && cpu >= 0);
    CHECK(open("/dev/null", O_PATH | O_DIRECTORY) < 0 && errno == ENOTDIR);
    maps("by number", format("/proc/%d/maps", getpid()));
    maps("by its thread", format("/proc/self/task/%d/maps", getpid()));
    maps("up and down", "/proc/./self/task//../maps");
    maps("through a descriptor of /proc", format("/proc/self/fd/%d/self/maps", proc));
    maps("through a descriptor of the file", format("/proc/self/fd/%d", file));
    maps("through a descriptor of the root", format("/proc/self/fd/%d/proc/self/maps", root));
    maps("through its root", "/proc/self/root/proc/self/maps");
    cpuinfo("cpuinfo through its descriptor", format("/proc/self/fd/%d", cpu));
    unlink(below("link"));
    CHECK(symlink("/proc/self/maps", below("link")) == 0);
    maps("by a link from elsewhere", below("link"));
    CHECK(unlink(below("link")) == 0 && symlink("/proc/cpuinfo", below("link")) == 0);
    cpuinfo("cpuinfo by a link", below("link"));
    CHECK(unlink(below("link")) == 0);
    exe("exe", "/proc/self/exe");
    exe("exe through a descriptor", format("/proc/self/fd/%d/self/exe", proc));
    CHECK(fchdir(self) == 0);
    maps("in the current directory", "maps");
    exe("exe in the current directory", "exe");
    CHECK(chdir("/") == 0);
    CHECK(close(proc) == 0 && close(file) == 0 && close(root) == 0 && close(self) == 0 && close(cpu) == 0);
}

/* Another procfs at another place; `how` is told. */
static void
elsewhere(const char *how)
{
    char name[100], dir[4096], path[4200];
    snprintf(dir, sizeof dir, "%s", below("other"));
    const char *const files[] = {"self/maps", "cpuinfo", "self/exe"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        snprintf(name, sizeof name, "%s: %s", how, files[i]);
        (i == 0 ? maps : i == 1 ? cpuinfo : exe)(name, path);
    }
    char number[20] = ""; /* in the process name space of that procfs */
    snprintf(path, sizeof path, "%s/self", dir);
    CHECK(readlink(path, number, sizeof number - 1) > 0);
    snprintf(path, sizeof path, "%s/%s/maps", dir, number);
    snprintf(name, sizeof name, "%s: by number", how);
    maps(name, path);
}

static void
new_root(void)
{
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", below("other"));
    if (chroot(dir) != 0) {
        return;
    }
    CHECK(chdir("/") == 0);
    mkdir("/proc", 0755);
    if (mount("proc", "/proc", "proc", 0, NULL) == 0) {
        maps("in a new root", "/proc/self/maps");
        exe("exe in a new root", "/proc/self/exe");
        char *const again[] = {(char *)(uintptr_t)me, (char *)"again", NULL};
        execv("/proc/self/exe", again);
        printf("not ok exec in a new root: %s\n", strerror(errno));
    }
}

int
main(int argc, char **argv)
{
    me = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        puts("ok exec in a new root");
        return 0;
    }
    if (argc > 1) {
        at = argv[1];
    }
    maps("at the start", "/proc/self/maps");
    roundabout();
    mkdir(below("other"), 0755);
    const struct {
        const char *how;
        int apart; /* unshare(2) */
    } spaces[] = {
        {"in a user name space", CLONE_NEWUSER},
        {"in a mount name space", CLONE_NEWUSER | CLONE_NEWNS},
        {"in a process name space", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID},
    };
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            if (unshare(spaces[i].apart) != 0) {
                printf("ok %s # SKIP it may not\n", spaces[i].how);
                _exit(0);
            }
            if (spaces[i].apart & CLONE_NEWPID && (pid = fork()) != 0) {
                CHECK(waitpid(pid, &status, 0) == pid);
                _exit(WEXITSTATUS(status));
            }
            maps(spaces[i].how, "/proc/self/maps");
            exe(spaces[i].how, "/proc/self/exe");
            if (spaces[i].apart & CLONE_NEWNS) {
                if (mount("/proc", below("other"), NULL, MS_BIND | MS_REC, NULL) == 0) {
                    elsewhere("/proc bound elsewhere");
                    umount2(below("other"), MNT_DETACH);
                }
                if (mount("proc", below("other"), "proc", 0, NULL) == 0) {
                    elsewhere("another procfs");
                    umount2(below("other"), MNT_DETACH);
                }
                new_root();
            }
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    /* And in the process that the command line started. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
        maps("name spaces of the first process", "/proc/self/maps");
        roundabout();
    }
    return 0;
}
