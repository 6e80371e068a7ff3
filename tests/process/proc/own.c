/* own.c - /proc says of this process what its system calls say */
#include "../abi.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

/* The line of `file` that begins with `name`, without that. */
static const char *
line_of(const char *file, const char *name)
{
    static char line[1000];
    FILE *f = fopen(file, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            fclose(f);
            line[strcspn(line, "\n")] = '\0';
            return line + strlen(name);
        }
    }
    fclose(f);
    return "";
}

static void
ignore(int sig, siginfo_t *si, void *context)
{
    (void)sig, (void)si, (void)context;
}

/* /proc/self/fd/N is what N is open for, and nothing is there that this process does not have open. */
static void
descriptors(void)
{
    char name[32];
    struct stat st, same;
    FILE *f = tmpfile();
    CHECK(f != NULL);
    const int fd = fileno(f), path_only = open("/proc/self/fd", O_PATH);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CHECK(chmod(name, 0640) == 0 && fstat(fd, &st) == 0 && stat(name, &same) == 0);
    EQUAL(st.st_mode & 07777, 0640);
    CHECK(st.st_dev == same.st_dev && st.st_ino == same.st_ino);
    CHECK(lstat(name, &same) == 0 && S_ISLNK(same.st_mode));
    const int again = open(name, O_RDONLY);
    CHECK(again >= 0 && fstat(again, &same) == 0 && st.st_ino == same.st_ino);
    snprintf(name, sizeof name, "/proc/self/fd/%d", path_only);
    CHECK(stat(name, &same) == 0 && S_ISDIR(same.st_mode));
    snprintf(name, sizeof name, "/proc/self/fd/0%d", fd);
    CHECK(stat(name, &same) == -1 && errno == ENOENT);
    for (int n = 0; n < 2000; n++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", n);
        if (fcntl(n, F_GETFD) == -1) {
            CHECK(stat(name, &same) == -1 && errno == ENOENT);
            CHECK(chmod(name, 0600) == -1 && errno == ENOENT);
        }
    }
    close(again);
    close(path_only);
    fclose(f);
}

#define BIT(sig) (1ull << ((sig)-1))

int
main(void)
{
    unsigned long long before = strtoull(line_of("/proc/self/status", "SigIgn:"), NULL, 16);
    EQUAL(strtoull(line_of("/proc/self/status", "SigCgt:"), NULL, 16), 0);
    handle(SIGUSR1, ignore, 0);
    handle(SIGSEGV, ignore, 0);
    signal(SIGHUP, SIG_IGN);
    sigset_t s = set_of(SIGUSR2);
    sigaddset(&s, SIGSEGV);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    EQUAL(strtoull(line_of("/proc/self/status", "SigCgt:"), NULL, 16), BIT(SIGUSR1) | BIT(SIGSEGV));
    EQUAL(strtoull(line_of("/proc/self/status", "SigIgn:"), NULL, 16), before | BIT(SIGHUP));
    EQUAL(strtoull(line_of("/proc/self/status", "SigBlk:"), NULL, 16), BIT(SIGUSR2) | BIT(SIGSEGV));

    descriptors();
    const struct {
        const char *name;
        int res;
    } limits[] = {{"Max open files", RLIMIT_NOFILE},     {"Max address space", RLIMIT_AS}, {"Max data size", RLIMIT_DATA},
                  {"Max stack size", RLIMIT_STACK},      {"Max core file size", RLIMIT_CORE},
                  {"Max processes", RLIMIT_NPROC}};
    const struct rlimit low = {100, 200};
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int i = 0; i < 6; i++) {
        struct rlimit rl;
        char text[2][40] = {"", ""};
        CHECK(getrlimit(limits[i].res, &rl) == 0);
        EQUAL(sscanf(line_of("/proc/self/limits", limits[i].name), "%39s %39s", text[0], text[1]), 2);
        for (int hard = 0; hard < 2; hard++) {
            rlim_t is = hard ? rl.rlim_max : rl.rlim_cur;
            EQUAL(strcmp(text[hard], "unlimited") == 0 ? RLIM_INFINITY : strtoull(text[hard], NULL, 10), is);
        }
    }

    struct utsname u;
    CHECK(uname(&u) == 0);
    CHECK(strcmp(line_of("/proc/sys/kernel/osrelease", ""), u.release) == 0);
    CHECK(strcmp(line_of("/proc/sys/kernel/version", ""), u.version) == 0);
    const char *version = line_of("/proc/version", "Linux version ");
    CHECK(strncmp(version, u.release, strlen(u.release)) == 0);

    /* What lists an x86 process: mappings, system call numbers. Natively they are there. */
#ifdef __riscv
    DIR *d = opendir("/proc/self");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        CHECK(strcmp(e->d_name, "map_files") != 0 && strcmp(e->d_name, "numa_maps") != 0);
    }
    closedir(d);
    CHECK(access("/proc/self/map_files", F_OK) == -1 && errno == ENOENT);
    CHECK(access("/proc/self/numa_maps", F_OK) == -1 && errno == ENOENT);
    CHECK(strcmp(line_of("/proc/self/syscall", ""), "running") == 0);
#endif
    return 0;
}
