/*
 * sandbox.c - see sandbox.h
 *
 * Linux: landlock(7), seccomp(2), user_namespaces(7). Landlock's constants are here because headers may be older than the kernel.
 *
 * seccomp says EPERM to what a library may try in good faith and do without, and ends the process at what only an attacker wants. clone3 is
 * ENOSYS, for its flags lie in memory, where no filter sees them: libc then takes clone. The filter does not ask for the mitigations of
 * speculation that old kernels add by default (SPEC_ALLOW): they would cost every hart a tenth, and the guest has no secrets of ours.
 */
#include "machine/sandbox.h"

#include "base/check.h"
#include "machine/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- name spaces ---- */

/* An empty root, which cannot be left: the old one is gone with its mounts. */
static bool
lose_files(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0") == 0 && chdir("/proc") == 0 &&
           syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0;
}

/* No rights over anything: in a user name space of one's own one begins with all. */
static void
lose_capabilities(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    syscall(SYS_capset, &h, none);
}

/* libslirp's: it opens sockets while the guest runs. The other kinds have been opened, and know no address but one. */
static bool
is_user_net(const struct machine_config *cfg)
{
    return cfg->net.kind == NET_USER;
}

static void
enter_namespaces(struct sandbox *s, const struct machine_config *cfg, bool files_too)
{
    if (cfg->n_shares > 0) {
        return;
    }
    s->names = unshare(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS) == 0;
    if (s->names) {
        s->no_net = !is_user_net(cfg) && unshare(CLONE_NEWNET) == 0;
        s->no_files = files_too && cfg->net.kind == NET_NONE && cfg->vsock_path == NULL && lose_files();
        lose_capabilities();
    }
}

/* ---- Landlock ---- */

enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD, LANDLOCK_RESTRICT, LANDLOCK_VERSION = 1, RULE_PATH = 1, RULE_PORT = 2 };

#define FS_READ_FILE UINT64_C(0x4)
#define FS_READ_DIR  UINT64_C(0x8)
#define FS_VERSION_1 UINT64_C(0x1fff)
#define FS_REFER     UINT64_C(0x2000)
#define FS_TRUNCATE  UINT64_C(0x4000)
#define FS_IOCTL_DEV UINT64_C(0x8000)
#define NET_BIND     UINT64_C(1)
#define NET_CONNECT  UINT64_C(2)
#define SCOPE_ALL    UINT64_C(3) /* abstract sockets, signals */

struct ruleset {
    uint64_t fs, net, scoped;
};

struct __attribute__((packed)) rule_path {
    uint64_t allowed;
    int32_t fd;
};

struct rule_port {
    uint64_t allowed, port;
};

/* What the kernel can forbid at all. */
static struct ruleset
ruleset_of(int version, const struct machine_config *cfg, size_t *size)
{
    struct ruleset r = {.fs = FS_VERSION_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0)};
    r.net = version >= 4 ? NET_BIND | (is_user_net(cfg) ? 0 : NET_CONNECT) : 0;
    r.scoped = version >= 6 ? SCOPE_ALL : 0;
    *size = version >= 6 ? sizeof r : version >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, net);
    return r;
}

static void
allow_path(int rules, int fd, uint64_t access)
{
    const struct rule_path rule = {access, fd};
    syscall(LANDLOCK_ADD, rules, RULE_PATH, &rule, 0);
}

static void
enter_landlock(struct sandbox *s, const struct machine_config *cfg, int version)
{
    if (version < 1 || (version < 2 && cfg->n_shares > 0)) {
        return; /* the first version lets nobody move a file to another folder */
    }
    size_t size;
    const struct ruleset all = ruleset_of(version, cfg, &size);
    const int rules = (int)syscall(LANDLOCK_CREATE, &all, size, 0);
    if (rules < 0) {
        return;
    }
    for (unsigned i = 0; i < cfg->n_shares; i++) {
        allow_path(rules, cfg->shares[i].fd, cfg->shares[i].read_only ? FS_READ_FILE | FS_READ_DIR : all.fs);
    }
    const int resolv = is_user_net(cfg) ? open("/etc/resolv.conf", O_PATH | O_CLOEXEC) : -1;
    if (resolv >= 0) {
        allow_path(rules, resolv, FS_READ_FILE);
        close(resolv);
    }
    for (unsigned i = 0; i < cfg->net.n_forwards && all.net != 0; i++) {
        const struct rule_port rule = {NET_BIND, cfg->net.forwards[i].host_port};
        syscall(LANDLOCK_ADD, rules, RULE_PORT, &rule, 0);
    }
    if (syscall(LANDLOCK_RESTRICT, rules, 0) == 0) {
        s->landlock = version;
    }
    close(rules);
}

void
sandbox_enter(struct sandbox *s, const struct machine_config *cfg)
{
    const int version = (int)syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
    *s = (struct sandbox){.entered = true};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    enter_namespaces(s, cfg, version < 1);
    enter_landlock(s, cfg, version);
}

/* ---- seccomp ---- */

static const int always_[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv),
    SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl), SCMP_SYS(eventfd2), SCMP_SYS(fcntl), SCMP_SYS(futex), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(brk), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(getpgrp), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(timerfd_settime), SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(io_uring_enter),
    SCMP_SYS(fallocate), SCMP_SYS(fdatasync), SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(sync_file_range), SCMP_SYS(signalfd4),
    SCMP_SYS(wait4), SCMP_SYS(restart_syscall), SCMP_SYS(getrusage), SCMP_SYS(membarrier), SCMP_SYS(sysinfo), SCMP_SYS(uname),
};

/* libslirp's sockets, and those of this machine's that guests call by vsock: of their families alone, see add_some(). */
static const int for_net_[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen)};
static const int for_vsock_[] = {SCMP_SYS(connect)};

/* What serves shared folders. Which files these can be is Landlock's, and RESOLVE_BENEATH's. */
static const int for_shares_[] = {
    SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(statx), SCMP_SYS(mkdirat), SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(linkat), SCMP_SYS(symlinkat), SCMP_SYS(mknodat), SCMP_SYS(readlinkat), SCMP_SYS(fchmodat), SCMP_SYS(fchmod),
    SCMP_SYS(fchownat), SCMP_SYS(fchown), SCMP_SYS(utimensat), SCMP_SYS(truncate), SCMP_SYS(getdents64), SCMP_SYS(getxattr),
    SCMP_SYS(setxattr), SCMP_SYS(listxattr), SCMP_SYS(removexattr), SCMP_SYS(lgetxattr), SCMP_SYS(lsetxattr), SCMP_SYS(llistxattr),
    SCMP_SYS(lremovexattr), SCMP_SYS(fgetxattr), SCMP_SYS(fsetxattr), SCMP_SYS(flistxattr), SCMP_SYS(fremovexattr), SCMP_SYS(statfs),
    SCMP_SYS(fstatfs), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(flock), SCMP_SYS(copy_file_range), SCMP_SYS(umask),
    SCMP_SYS(dup), SCMP_SYS(syncfs), SCMP_SYS(readlink), SCMP_SYS(chmod),
};

/* Nothing of ours, nor of any library's, ever does this. */
static const int never_[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns),
    SCMP_SYS(unshare), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load),
    SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(userfaultfd), SCMP_SYS(open_by_handle_at), SCMP_SYS(pidfd_getfd),
};

/* Of a terminal and of sockets; of a terminal not what puts words into the shell's mouth (TIOCSTI). */
static const unsigned long ioctls_[] = {TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO};

static int
add_all(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = seccomp_rule_add(f, action, calls[i], 0);
    }
    return r;
}

/* Calls whose arguments matter. */
static int
add_some(scmp_filter_ctx f, const struct machine_config *cfg)
{
    const uint32_t yes = SCMP_ACT_ALLOW;
    const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
    const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    const struct scmp_arg_cmp name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);
    const struct scmp_arg_cmp reads = SCMP_A2(SCMP_CMP_EQ, 0), only_read = SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, 0);
    int r = seccomp_rule_add(f, yes, SCMP_SYS(clone), 1, thread);
    r = r != 0 ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (cfg->engine == ENGINE_ADAPTIVE) {
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(mmap), 0);
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(mprotect), 0);
    } else {
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(mmap), 1, no_exec);
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(mprotect), 1, no_exec);
    }
    r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(tgkill), 1, self);
    r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(prctl), 1, name);
    r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(prlimit64), 1, reads);
    for (unsigned i = 0; i < ARRAY_LEN(ioctls_) && r == 0; i++) {
        r = seccomp_rule_add(f, yes, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, ioctls_[i]));
    }
    if (is_user_net(cfg)) {
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_INET));
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_INET6));
    }
    if (cfg->vsock_path != NULL) {
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    }
    if (is_user_net(cfg) && cfg->n_shares == 0) {
        r = r != 0 ? r : seccomp_rule_add(f, yes, SCMP_SYS(openat), 1, only_read);
    }
    return r;
}

int
sandbox_lock(struct sandbox *s, const struct machine_config *cfg, struct err *e)
{
    if (!s->entered || s->seccomp) {
        return 0;
    }
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (f == NULL) {
        return err_set(e, -ENOMEM, "seccomp");
    }
    int r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a search, not a list: what is rare costs no more than what is frequent */
    r = r != 0 ? r : add_all(f, SCMP_ACT_KILL_PROCESS, never_, ARRAY_LEN(never_));
    r = r != 0 ? r : add_all(f, SCMP_ACT_ALLOW, always_, ARRAY_LEN(always_));
    r = r != 0 || !is_user_net(cfg) ? r : add_all(f, SCMP_ACT_ALLOW, for_net_, ARRAY_LEN(for_net_));
    r = r != 0 || cfg->vsock_path == NULL ? r : add_all(f, SCMP_ACT_ALLOW, for_vsock_, ARRAY_LEN(for_vsock_));
    r = r != 0 || cfg->n_shares == 0 ? r : add_all(f, SCMP_ACT_ALLOW, for_shares_, ARRAY_LEN(for_shares_));
    r = r != 0 ? r : add_some(f, cfg);
    r = r != 0 ? r : seccomp_load(f);
    seccomp_release(f);
    s->seccomp = r == 0;
    return r == 0 ? 0 : err_set(e, r, "seccomp (--no-sandbox goes without)");
}

void
sandbox_text(const struct sandbox *s, char *text, size_t size)
{
    char landlock[24] = "";
    if (s->landlock > 0) {
        snprintf(landlock, sizeof landlock, " landlock-%d", s->landlock);
    }
    snprintf(text, size, "%s%s%s%s%s", s->names ? "user ipc uts" : "", s->no_net ? " net" : "", s->no_files ? " mount" : "", landlock,
             s->seccomp ? " seccomp" : "");
    const size_t skip = text[0] == ' ';
    memmove(text, text + skip, strlen(text + skip) + 1);
    if (text[0] == 0) {
        snprintf(text, size, "none");
    }
}
