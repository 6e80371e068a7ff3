/*
 * boot_debian.c - doppel boot debian: a Debian of the user's own, made and booted
 *
 * Everything is in CACHE/doppel/debian-SUITE[-HASH], the hash being that of --packages:
 *
 *   lock            held (flock) while it is made, and while its machine runs: doppel-vm inherits it
 *   root/           made by `doppel root`, which goes on where it was; root.done when it is complete
 *   make.sh         what is done inside of it, by its own tools under `doppel run`: kernel, initrd, disk
 *   tools/          mke2fs alone, as a root in which root/ is only a folder: no /proc of ours is mounted over its
 *   boot/           Image, initrd, disk: each gets its name when it is complete, so an interrupted one goes on
 *   shared/         the folder that the guest has as /host, unless --share says otherwise
 *   keys            the user's public ssh keys
 *
 * No program of this machine is needed but those that `doppel root` names, and no user but the ordinary one: owners, modes and the
 * modules' index come from Debian's tools, which see what --fake-root shows.
 */
#include "cli/boot_debian.h"
#include "cli/cache_folder.h"
#include "cli/cli.h"
#include "cli/root_impl.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SSH_PORT 2222 /* here, or the next that is free */

/* What a Debian needs to boot, to be reached, and to be made here. */
static const char *const packages_[] = {
    "systemd-sysv", "udev",     "dbus",            "kmod", "iproute2", "iputils-ping",   "openssh-server",
    "procps",       "netbase",  "ca-certificates", "less", "nano",     "busybox-static", "e2fsprogs",
};

struct debian {
    const char *suite, *mirror, *size, *append;
    char packages[1024]; /* as given, by commas; "" none */
    bool fresh, net, host_share, help;
    char **vm;           /* own: arguments that are doppel-vm's */
    int n_vm;
    char dir[PATH_MAX - 64];
};

/* Inside of the root, with its folder at /mnt. $1: what to make; $2: an argument. */
static const char script_[] =
    "set -eu\n"
    "export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive\n"
    "umask 022\n"
    "cd /mnt\n"
    "say() { echo \"doppel boot: $*\" >&2; }\n"
    "kernel() {\n"
    "\tv=$(apt-cache depends linux-image-riscv64 | sed -n 's/^ *Depends: \\(linux-image-[0-9].*\\)/\\1/p' | head -n 1)\n"
    "\t[ -n \"$v\" ] || { say \"no kernel: apt knows no linux-image-riscv64\"; exit 1; }\n"
    "\tparts=$(apt-cache depends \"$v\" | sed -n 's/^ *Depends: \\(linux-[bm][a-z]*-[0-9].*\\)/\\1/p')\n"
    "\tsay \"fetching $v\"\n"
    "\tmkdir -p debs; cd debs\n"
    "\tapt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 download $v $parts >&2\n"
    "\tcd ..\n"
    "\tsay \"unpacking $v\"\n"
    "\tfor deb in debs/*.deb; do dpkg-deb -x \"$deb\" /; done\n"
    "\tv=${v#linux-image-}\n"
    "\tdepmod \"$v\"\n"
    "\tif [ -e \"/boot/vmlinux-$v\" ]; then cp \"/boot/vmlinux-$v\" Image.part; else cp \"/usr/lib/modules/$v/vmlinuz\" Image.part; fi\n"
    "\techo \"$v\" >version\n"
    "\trm -rf debs\n"
    "\tmv Image.part boot/Image\n"
    "}\n"
    "initrd() {\n"
    "\tread -r v <version\n"
    "\tsay \"making the initrd\"\n"
    "\trm -rf initrd; mkdir -p initrd/bin initrd/lib initrd/dev initrd/proc initrd/sys initrd/root\n"
    "\tcp /usr/bin/busybox initrd/bin/\n"
    "\tln -s busybox initrd/bin/sh\n"
    "\tfor m in virtio_mmio virtio_blk ext4; do\n"
    "\t\tmodprobe -S \"$v\" --show-depends $m | sed -n 's/^insmod \\([^ ]*\\).*/\\1/p'\n"
    "\tdone | while read -r f; do\n"
    "\t\tn=${f##*/}; n=${n%.xz}\n"
    "\t\t[ ! -e \"initrd/lib/$n\" ] || continue\n"
    "\t\tcase $f in *.xz) busybox unxz -c \"$f\" ;; *) cat \"$f\" ;; esac >\"initrd/lib/$n\"\n"
    "\t\techo \"$n\" >>initrd/lib/order\n"
    "\tdone\n"
    "\tcat >initrd/init <<'END'\n"
    "#!/bin/busybox sh\n"
    "busybox mount -t devtmpfs dev /dev; busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys\n"
    "exec </dev/console >/dev/console 2>&1\n"
    "while read m; do busybox insmod /lib/$m; done </lib/order\n"
    "n=0; while [ ! -b /dev/vda ] && [ $n -lt 500 ]; do busybox usleep 20000; n=$((n+1)); done\n"
    "if busybox mount -t ext4 /dev/vda /root; then\n"
    "\tbusybox mount -o move /dev /root/dev; busybox mount -o move /proc /root/proc; busybox mount -o move /sys /root/sys\n"
    "\texec busybox switch_root /root /sbin/init\n"
    "fi\n"
    "echo 'initrd: no disk'; exec sh\n"
    "END\n"
    "\tchmod 755 initrd/init\n"
    "\t(cd initrd && find . | busybox cpio -o -H newc 2>/dev/null) >initrd.part\n"
    "\trm -rf initrd\n"
    "\tmv initrd.part boot/initrd\n"
    "}\n"
    "settings() {\n"
    "\tsay \"writing its settings\"\n"
    "\techo debian >/etc/hostname\n"
    "\t# not here, where they are this machine's\n"
    "\tmkdir -p /etc/tmpfiles.d\n"
    "\tcat >/etc/tmpfiles.d/doppel.conf <<'END'\n"
    "f /etc/hosts 0644 root root - 127.0.0.1 localhost debian\\n::1 localhost\\n\n"
    "f+ /etc/resolv.conf 0644 root root - nameserver 10.0.2.3\\n\n"
    "END\n"
    "\tprintf '/dev/vda / ext4 defaults 0 1\\nhost /host 9p trans=virtio,version=9p2000.L,msize=262144,cache=mmap,nofail 0 0\\n' >/etc/fstab\n"
    "\tmkdir -p /host\n"
    "\tsed -i 's/^root:[^:]*:/root::/' /etc/shadow\n"
    "\t[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id\n"
    "\tmkdir -p /etc/systemd/network /etc/systemd/system.conf.d /etc/systemd/system/multi-user.target.wants\n"
    "\tprintf '[Match]\\nType=ether\\n[Network]\\nDHCP=yes\\n' >/etc/systemd/network/doppel.network\n"
    "\tprintf '[Manager]\\nDefaultTimeoutStartSec=15min\\nDefaultDeviceTimeoutSec=15min\\n' >/etc/systemd/system.conf.d/doppel.conf\n"
    "\tln -sf /usr/lib/systemd/system/systemd-networkd.service /etc/systemd/system/multi-user.target.wants/\n"
    "\tfor u in systemd-firstboot.service systemd-networkd-wait-online.service; do ln -sfn /dev/null /etc/systemd/system/$u; done\n"
    "\tmkdir -p -m 700 /root/.ssh\n"
    "\tcat keys >/root/.ssh/authorized_keys\n"
    "\tchmod 600 /root/.ssh/authorized_keys\n"
    "\tapt-get clean\n"
    "\tt=tools; rm -rf $t; mkdir -p $t/usr/sbin $t/etc $t/lib $t/mnt $t/proc $t/dev $t/sys $t/tmp\n"
    "\tcp /usr/sbin/mke2fs $t/usr/sbin/; cp /etc/mke2fs.conf $t/etc\n"
    "\tldd /usr/sbin/mke2fs | sed -n 's/.*[[:space:]]\\(\\/[^ ]*\\) (.*/\\1/p' |\n"
    "\t\twhile read -r l; do mkdir -p \"$t${l%/*}\"; cp -L \"$l\" \"$t$l\"; done\n"
    "}\n"
    "[ -e boot/Image ] || kernel\n"
    "[ -e boot/initrd ] || initrd\n"
    "[ -e boot/disk ] || settings\n";

/* ---- options ---- */

static bool
is_own(int id)
{
    return id == OPT_boot_suite || id == OPT_boot_mirror || id == OPT_boot_size || id == OPT_boot_packages || id == OPT_boot_fresh;
}

/* Ours are taken, the rest is doppel-vm's. 0 or an exit status. */
static int
parse(struct debian *d, int argc, char **argv)
{
    struct opts o = {.cmd = CMD_boot, .argc = argc, .argv = argv, .next = 1};
    d->net = d->host_share = true;
    for (int from = 1, id; (id = opts_next(&o)) != OPTS_END; from = o.next) {
        if (id == OPTS_ERROR) {
            return EXIT_DOPPEL;
        }
        const size_t len = o.value != NULL ? strlen(o.value) : 0;
        if (id == OPT_boot_suite) {
            d->suite = o.value;
        } else if (id == OPT_boot_mirror) {
            d->mirror = o.value;
        } else if (id == OPT_boot_size) {
            d->size = o.value;
        } else if (id == OPT_boot_packages) {
            if (len + 2 > sizeof d->packages - strlen(d->packages)) {
                return cli_error(CMD_boot, "%s: too long", o.shown);
            }
            strcat(strcat(d->packages, d->packages[0] != 0 ? "," : ""), o.value);
        } else if (id == OPT_boot_append) {
            d->append = o.value;
        }
        d->fresh |= id == OPT_boot_fresh;
        d->help |= id == OPT_boot_help;
        d->net &= id != OPT_boot_net;
        d->host_share &= !(id == OPT_boot_share && strstr(o.value, ":host") != NULL);
        for (int i = from; i < o.next && !is_own(id) && id != OPT_boot_append; i++) {
            d->vm[d->n_vm++] = argv[i];
        }
    }
    if (o.next < argc) {
        return cli_error(CMD_boot, "unexpected argument %s", argv[o.next]);
    }
    if (d->suite[strspn(d->suite, "abcdefghijklmnopqrstuvwxyz0123456789-")] != 0) {
        return cli_error(CMD_boot, "no name of a suite: %s", d->suite);
    }
    return 0;
}

/* ---- files ---- */

static int
path_in(const struct debian *d, char *to, size_t size, const char *name, struct err *e)
{
    const int n = snprintf(to, size, "%s/%s", d->dir, name);
    return n > 0 && (size_t)n < size ? 0 : err_set(e, -ENAMETOOLONG, "%s", d->dir);
}

static bool
has(const struct debian *d, const char *name)
{
    char path[PATH_MAX];
    return path_in(d, path, sizeof path, name, NULL) == 0 && access(path, F_OK) == 0;
}

static int
make_folders(char *path, struct err *e)
{
    for (char *at = path + 1;; at++) {
        const char c = *at;
        if (c == '/' || c == 0) {
            *at = 0;
            if (mkdir(path, 0755) != 0 && errno != EEXIST) {
                return err_set(e, -errno, "create %s", path);
            }
            *at = c;
        }
        if (c == 0) {
            return 0;
        }
    }
}

/* Where it all is; and the lock, which stays open for whoever we become. */
static int
open_folder(struct debian *d, struct err *e)
{
    char cache[PATH_MAX - 200], path[PATH_MAX], hash[16] = "";
    if (!cache_folder(NULL, cache, sizeof cache)) {
        return err_set(e, 0, "neither XDG_CACHE_HOME nor HOME says where to keep it");
    }
    if (d->packages[0] != 0) {
        uint32_t h = 2166136261u; /* FNV-1a */
        for (const char *p = d->packages; *p != 0; p++) {
            h = (h ^ (uint8_t)*p) * 16777619u;
        }
        snprintf(hash, sizeof hash, "-%08x", h);
    }
    const int n = snprintf(d->dir, sizeof d->dir, "%s/debian-%s%s", cache, d->suite, hash);
    if (n < 0 || (size_t)n >= sizeof d->dir) {
        return err_set(e, -ENAMETOOLONG, "%s", cache);
    }
    static const char *const folders[] = {"boot", "shared"};
    int r = make_folders(d->dir, e);
    for (unsigned i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
        r = path_in(d, path, sizeof path, folders[i], e);
        r = r == 0 && mkdir(path, 0755) != 0 && errno != EEXIST ? err_set(e, -errno, "create %s", path) : r;
    }
    r = r == 0 ? path_in(d, path, sizeof path, "lock", e) : r;
    if (r < 0) {
        return r;
    }
    const int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock < 0) {
        return err_set(e, -errno, "open %s", path);
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        return err_set(e, 0, "%s is in use: by its machine, or by who makes it", d->dir);
    }
    return lock;
}

/* The user's public keys, one after another, as text: own. */
static char *
public_keys(void)
{
    char *text = NULL, path[PATH_MAX];
    size_t size;
    const char *home = getenv("HOME");
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        return NULL;
    }
    snprintf(path, sizeof path, "%s/.ssh", home != NULL ? home : "");
    DIR *dir = opendir(path);
    for (struct dirent *de; dir != NULL && (de = readdir(dir)) != NULL;) {
        const size_t len = strlen(de->d_name);
        char *key = len > 4 && strcmp(de->d_name + len - 4, ".pub") == 0 ? file_read(dirfd(dir), de->d_name, NULL, NULL) : NULL;
        if (key != NULL) {
            fprintf(f, "%s%s", key, *key != 0 && key[strlen(key) - 1] != '\n' ? "\n" : "");
        }
        free(key);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return fclose(f) == 0 ? text : NULL;
}

/* ---- steps ---- */

static int
make_root(const struct debian *d, struct err *e)
{
    const char *argv[ARRAY_LEN(packages_) + 128] = {tool_self, "root", "--suite", d->suite};
    char root[PATH_MAX], more[sizeof d->packages];
    int n = 4, r = path_in(d, root, sizeof root, "root", e);
    if (r < 0) {
        return r;
    }
    if (d->mirror != NULL) {
        argv[n++] = "--mirror";
        argv[n++] = d->mirror;
    }
    argv[n++] = root;
    for (unsigned i = 0; i < ARRAY_LEN(packages_); i++) {
        argv[n++] = packages_[i];
    }
    memcpy(more, d->packages, sizeof more);
    for (char *word, *rest = more; (word = strsep(&rest, ", ")) != NULL;) {
        if (n == ARRAY_LEN(argv) - 1) {
            return err_set(e, 0, "--packages: too many");
        }
        if (*word != 0) {
            argv[n++] = word;
        }
    }
    /* complete, but for the mark */
    char status[PATH_MAX];
    const bool complete = has(d, "root/var/lib/dpkg/status") && !has(d, "root/.doppel-root");
    r = complete ? 0 : tool_run(argv, -1, -1, e);
    r = r == 0 ? path_in(d, status, sizeof status, "root.done", e) : r;
    return r == 0 ? file_write(AT_FDCWD, status, 0644, "", 0, e) : r;
}

/* A program in one of the roots, with our folder at /mnt. */
static int
run_inside(const struct debian *d, const char *root, const char *const command[], struct err *e)
{
    char path[PATH_MAX], bind[PATH_MAX];
    const int r = path_in(d, path, sizeof path, root, e), n = snprintf(bind, sizeof bind, "%s:/mnt", d->dir);
    if (r < 0 || n < 0 || (size_t)n >= sizeof bind) {
        return -ENAMETOOLONG;
    }
    const char *argv[32] = {tool_self, "run", "--root", path, "--fake-root", "--bind", bind};
    int at = 7;
    while (*command != NULL) {
        argv[at++] = *command++;
    }
    return tool_run(argv, -1, 2, e);
}

static int
make_disk(const struct debian *d, struct err *e)
{
    char part[PATH_MAX], disk[PATH_MAX];
    int r = path_in(d, part, sizeof part, "boot/disk.part", e);
    r = r == 0 ? path_in(d, disk, sizeof disk, "boot/disk", e) : r;
    if (r < 0) {
        return r;
    }
    unlink(part);
    fprintf(stderr, "doppel boot: making the disk, %s\n", d->size);
    r = run_inside(d, "tools",
                   (const char *const[]){"/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "root", "-m", "0", "-E",
                                         "root_owner=0:0,lazy_itable_init=1", "-d", "/mnt/root", "/mnt/boot/disk.part", d->size, NULL},
                   e);
    return r == 0 && rename(part, disk) != 0 ? err_set(e, -errno, "rename %s", part) : r;
}

static int
make(const struct debian *d, struct err *e)
{
    char path[PATH_MAX];
    int r = path_in(d, path, sizeof path, "boot/disk", e);
    if (r == 0 && d->fresh) {
        unlink(path);
    }
    if (r < 0 || (has(d, "boot/disk") && has(d, "boot/Image") && has(d, "boot/initrd"))) {
        return r;
    }
    fprintf(stderr, "doppel boot: a Debian %s is made in %s: some minutes, once\n", d->suite, d->dir);
    r = has(d, "root.done") ? 0 : make_root(d, e);
    r = r == 0 ? path_in(d, path, sizeof path, "make.sh", e) : r;
    r = r == 0 ? file_write(AT_FDCWD, path, 0644, script_, sizeof script_ - 1, e) : r;
    r = r == 0 ? path_in(d, path, sizeof path, "keys", e) : r;
    char *keys = public_keys();
    r = r == 0 ? file_write(AT_FDCWD, path, 0600, keys != NULL ? keys : "", keys != NULL ? strlen(keys) : 0, e) : r;
    free(keys);
    r = r == 0 ? run_inside(d, "root", (const char *const[]){"/bin/sh", "/mnt/make.sh", NULL}, e) : r;
    return r == 0 && !has(d, "boot/disk") ? make_disk(d, e) : r;
}

/* A port of this machine that nobody has, for ssh; 0: none of ten. */
static unsigned
free_port(void)
{
    for (unsigned port = SSH_PORT; port < SSH_PORT + 10; port++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        const bool is_free = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
        if (fd >= 0) {
            close(fd);
        }
        if (is_free) {
            return port;
        }
    }
    return 0;
}

static int
boot(struct debian *d, int lock, int (*exec_vm)(char **argv))
{
    static char kernel[PATH_MAX + 16], initrd[PATH_MAX + 16], disk[PATH_MAX + 16], share[PATH_MAX + 16], append[4096], net[64];
    const unsigned port = d->net ? free_port() : 0;
    snprintf(kernel, sizeof kernel, "--kernel=%s/boot/Image", d->dir);
    snprintf(initrd, sizeof initrd, "--initrd=%s/boot/initrd", d->dir);
    snprintf(disk, sizeof disk, "--disk=%s/boot/disk", d->dir);
    snprintf(share, sizeof share, "--share=%s/shared:host", d->dir);
    snprintf(append, sizeof append, "--append=console=ttyS0 root=/dev/vda rw %s", d->append != NULL ? d->append : "");
    snprintf(net, sizeof net, "--net=user,hostfwd=tcp:127.0.0.1:%u-:22", port);
    char **argv = calloc((size_t)d->n_vm + 8, sizeof *argv);
    CHECK(argv != NULL);
    int n = 0;
    argv[n++] = (char[]){"boot"};
    argv[n++] = kernel;
    argv[n++] = initrd;
    argv[n++] = disk;
    argv[n++] = append;
    if (d->host_share) {
        argv[n++] = share;
    }
    if (port != 0) {
        argv[n++] = net;
    }
    memcpy(argv + n, d->vm, (size_t)d->n_vm * sizeof *argv);
    fprintf(stderr, "doppel boot: Debian %s; log in as root, without a password; Ctrl-A x switches it off\n", d->suite);
    if (port != 0) {
        fprintf(stderr, "doppel boot: ssh -p %u root@127.0.0.1 (with a key of ~/.ssh)\n", port);
    }
    if (d->host_share) {
        fprintf(stderr, "doppel boot: its /host is %s/shared\n", d->dir);
    }
    fcntl(lock, F_SETFD, 0);
    return exec_vm(argv);
}

static void
on_stop(int sig)
{
    (void)sig;
    root_stop = true;
}

int
boot_debian(int argc, char **argv, int (*exec_vm)(char **argv))
{
    struct debian d = {.suite = "trixie", .size = "4G", .vm = calloc((size_t)argc + 1, sizeof *d.vm)};
    struct err e = {""};
    CHECK(d.vm != NULL);
    int r = parse(&d, argc, argv);
    if (r != 0 || d.help) { /* before anything is made */
        return r != 0 ? r : exec_vm((char *[]){(char[]){"boot"}, (char[]){"--help"}, NULL});
    }
    const int lock = open_folder(&d, &e);
    if (lock < 0) {
        return cli_error(CMD_boot, "%s", e.text);
    }
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < ARRAY_LEN(stops); i++) {
        sigaction(stops[i], &(struct sigaction){.sa_handler = on_stop}, NULL); /* without SA_RESTART: waiting ends */
    }
    r = make(&d, &e);
    if (root_stop) {
        fprintf(stderr, "doppel boot: interrupted; the same command goes on from here\n");
        return 130;
    }
    if (r < 0) {
        return cli_error(CMD_boot, "%s", e.text);
    }
    for (unsigned i = 0; i < ARRAY_LEN(stops); i++) {
        signal(stops[i], SIG_DFL);
    }
    return boot(&d, lock, exec_vm);
}
