/* script.c - #! lines: how they are taken apart, how deep they go, what their interpreter gets */
#include "../abi.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static char dir[64], self[PATH_MAX];

static char *
file(const char *name, const char *text, int mode)
{
    static char paths[16][128];
    static int n;
    char *path = paths[n++ % 16];
    snprintf(path, 128, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0700);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0 && close(fd) == 0);
    return path;
}

/* What a script's interpreter sees as its arguments, one to a line; "errno N" if execve fails. */
static char *
run(const char *path)
{
    static char out[4096];
    int fds[2];
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execl(path, "zero", "one", "two", NULL);
        printf("errno %d\n", errno);
        fflush(stdout);
        _exit(1);
    }
    close(fds[1]);
    size_t n = 0;
    ssize_t r;
    while ((r = read(fds[0], out + n, sizeof out - 1 - n)) > 0) {
        n += (size_t)r;
    }
    out[n] = 0;
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return out;
}

#define SAYS(path, ...)                                                  \
    do {                                                                 \
        char want_[4096];                                                \
        snprintf(want_, sizeof want_, __VA_ARGS__);                      \
        const char *got_ = run(path);                                    \
        if (strcmp(got_, want_) != 0) {                                  \
            dprintf(1, "%d: got\n%swanted\n%s", __LINE__, got_, want_);  \
            exit(1);                                                     \
        }                                                                \
    } while (0)

int
main(int argc, char **argv)
{
    if (argc > 2) { /* as an interpreter */
        for (int i = 1; i < argc; i++) {
            puts(argv[i]);
        }
        return 0;
    }
    char text[PATH_MAX + 300];
    const char *p;
    snprintf(dir, sizeof dir, "/tmp/abi-script-%d", getpid());
    CHECK(mkdir(dir, 0700) == 0 && realpath(argv[0], self) != NULL);

    snprintf(text, sizeof text, "#!%s\n", self);
    p = file("plain", text, 0700);
    SAYS(p, "%s\none\ntwo\n", p);
    snprintf(text, sizeof text, "#! \t %s   an arg  \t\nmore\n", self);
    p = file("arg", text, 0700);
    SAYS(p, "an arg\n%s\none\ntwo\n", p);
    snprintf(text, sizeof text, "#!%s x", self);
    p = file("noline", text, 0700);
    SAYS(p, "x\n%s\none\ntwo\n", p);
    SAYS(file("empty", "#!  \n", 0700), "errno %d\n", ENOEXEC);
    SAYS(file("text", "hello\n", 0700), "errno %d\n", ENOEXEC);
    SAYS(file("none", "", 0700), "errno %d\n", ENOEXEC);
    SAYS(file("gone", "#!/no/such/thing\n", 0700), "errno %d\n", ENOENT);
    SAYS(file("dir", "#!/tmp\n", 0700), "errno %d\n", EACCES);
    snprintf(text, sizeof text, "#!%s\n", self);
    SAYS(file("mode", text, 0600), "errno %d\n", EACCES);
    memset(text, 'a', 400);
    memcpy(text, "#!/", 3);
    text[400] = 0;
    SAYS(file("long", text, 0700), "errno %d\n", ENOEXEC);

    /* Five levels of scripts, not six. */
    char level[PATH_MAX], want[2048] = "";
    strcpy(level, self);
    for (int i = 1; i <= 6; i++) {
        char name[16], line[300];
        snprintf(name, sizeof name, "level%d", i);
        snprintf(text, sizeof text, "#!%s %d\n", level, i);
        p = file(name, text, 0700);
        if (i <= 5) {
            snprintf(line, sizeof line, "%d\n%s\n", i, p);
            strcat(want, line);
            SAYS(p, "%sone\ntwo\n", want);
        } else {
            SAYS(p, "errno %d\n", ELOOP);
        }
        strcpy(level, p);
    }
    snprintf(text, sizeof text, "rm -r %s", dir);
    return system(text);
}
