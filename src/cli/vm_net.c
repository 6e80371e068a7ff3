/*
 * vm_net.c - --net: user, with forwards; a tap; a socket between machines; a VDE switch
 *
 * QEMU's names for options (-netdev stream, dgram, tap, vde) are understood beside shorter ones of ours.
 */
#include "cli/vm_net.h"
#include "cli/cli.h"

#include "base/check.h"
#include "base/local.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* "[ADDR]:PORT" */
static bool
parse_end(char *text, uint32_t *addr, uint16_t *port)
{
    char *colon = strchr(text, ':'), *end;
    if (colon == NULL) {
        return false;
    }
    *colon = 0;
    struct in_addr a = {0};
    const unsigned long n = strtoul(colon + 1, &end, 10);
    if ((*text != 0 && inet_pton(AF_INET, text, &a) != 1) || !isdigit((unsigned char)colon[1]) || *end != 0 || n == 0 || n > 65535) {
        return false;
    }
    *addr = a.s_addr;
    *port = (uint16_t)n;
    return true;
}

static int
parse_forward(struct net_config *net, const char *shown, const char *word)
{
    char text[128];
    struct net_forward f = {0};
    snprintf(text, sizeof text, "%s", word);
    char *minus = strchr(text, '-'), *host = text + strlen("hostfwd=tcp:");
    const bool tcp = strncmp(text, "hostfwd=tcp:", 12) == 0, udp = strncmp(text, "hostfwd=udp:", 12) == 0;
    if ((!tcp && !udp) || minus == NULL || minus < host || strlen(word) >= sizeof text) {
        return cli_error(CMD_boot, "%s: hostfwd=tcp:[ADDR]:PORT-[ADDR]:PORT: %s", shown, word);
    }
    *minus = 0;
    f.udp = udp;
    if (!parse_end(host, &f.host_addr, &f.host_port) || !parse_end(minus + 1, &f.guest_addr, &f.guest_port)) {
        return cli_error(CMD_boot, "%s: an IPv4 address or nothing, a colon, a port, on both sides of the dash: %s", shown, word);
    }
    if (net->n_forwards == NET_FORWARDS_MAX) {
        return cli_error(CMD_boot, "%s: at most %d forwards", shown, NET_FORWARDS_MAX);
    }
    net->forwards[net->n_forwards++] = f;
    return 0;
}

/* What follows the kind. */
struct words {
    const char *ifname, *fd, *path, *remote, *mac, *server;
};

/* False: it is none of `names`, or has no value. */
static bool
take(struct words *w, const char *const names[], char *word)
{
    char *value = strchr(word, '=');
    const struct {
        const char *name, **to;
    } all[] = {
        {"ifname", &w->ifname}, {"fd", &w->fd}, {"path", &w->path}, {"sock", &w->path}, {"addr.path", &w->path}, {"local", &w->path}, {"local.path", &w->path},
        {"remote", &w->remote}, {"remote.path", &w->remote}, {"server", &w->server}, {"mac", &w->mac},
    };
    if (value == NULL || value[1] == 0) {
        return false;
    }
    *value++ = 0;
    const size_t n = strlen(word);
    if (n > 5 && strcmp(word + n - 5, ".type") == 0) {
        return strcmp(value, "unix") == 0; /* of QEMU's addresses: the only kind */
    }
    for (unsigned k = 0; names[k] != NULL; k++) {
        for (unsigned i = 0; i < ARRAY_LEN(all) && strcmp(names[k], word) == 0; i++) {
            if (strcmp(all[i].name, word) == 0) {
                *all[i].to = value;
                return true;
            }
        }
    }
    return false;
}

static bool
parse_mac(const char *text, uint8_t mac[6])
{
    unsigned b[6];
    int end = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", b, b + 1, b + 2, b + 3, b + 4, b + 5, &end) != 6 || text[end] != 0 || (b[0] & 1)) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        mac[i] = (uint8_t)b[i];
    }
    return true;
}

/* A descriptor that this program was started with. */
static int
inherited(const char *text)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != 0 || n > 1 << 20 || fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0) {
        return -EBADF;
    }
    return (int)n;
}

/* Frames as they are on the wire; the device has been made for this user (ip tuntap add … user), or he may make one. */
static int
open_tap(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (strlen(name) >= sizeof r.ifr_name) {
        errno = ENAMETOOLONG;
    } else if (fd >= 0) {
        memcpy(r.ifr_name, name, strlen(name));
        if (ioctl(fd, TUNSETIFF, &r) == 0) {
            return fd;
        }
    }
    const int err = errno;
    if (fd >= 0) {
        close(fd);
    }
    return -err;
}

/*
 * A port of a VDE switch (vde_switch(1)): the folder `path` has a socket "ctl". There we say where our datagrams come from, and are told where
 * they go to; the connection stays open, and with it the port, until this program ends.
 */
static int
open_vde(struct net_wire_config *wire, const char *path, const char **own)
{
    struct __attribute__((packed)) {
        uint32_t magic, version, type; /* type: a port of the switch's choice */
        struct sockaddr_un data;
        char description[16];
    } request = {0xfeedface, 3, 0, {.sun_family = AF_UNIX}, "doppel"};
    static struct sockaddr_un to; /* what wire->to refers to */
    char ctl[LOCAL_PATH_MAX + 1], at[LOCAL_PATH_MAX + 1];
    const int n = snprintf(ctl, sizeof ctl, "%s/ctl", path);
    snprintf(at, sizeof at, "%s/.doppel-%d", path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof ctl || strlen(at) == sizeof at - 1) {
        return -ENAMETOOLONG;
    }
    const int control = local_connect(ctl, 0);
    if (control < 0) {
        return control;
    }
    wire->fd = local_bind(at);
    if (wire->fd < 0) {
        close(control);
        return wire->fd;
    }
    *own = strdup(at);
    memcpy(request.data.sun_path, at, sizeof at);
    const size_t bytes = sizeof request - sizeof request.description + strlen(request.description);
    if (send(control, &request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes || recv(control, &to, sizeof to, 0) <= (ssize_t)sizeof to.sun_family || to.sun_family != AF_UNIX ||
        memchr(to.sun_path, 0, sizeof to.sun_path) == NULL) {
        close(control);
        return -EPROTO;
    }
    wire->to = to.sun_path;
    return 0;
}

/* 0, or -errno: then *path is what it is about. */
static int
open_wire(struct net_wire_config *wire, const char *kind, const struct words *w, const char **path, const char **own)
{
    const bool tap = strcmp(kind, "tap") == 0, server = w->server != NULL && strcmp(w->server, "on") == 0;
    wire->stream = strcmp(kind, "stream") == 0;
    *path = w->fd != NULL ? w->fd : tap ? w->ifname : w->path;
    if (w->fd != NULL) {
        wire->fd = inherited(w->fd);
    } else if (tap) {
        wire->fd = open_tap(w->ifname);
    } else if (strcmp(kind, "vde") == 0) {
        return open_vde(wire, w->path, own);
    } else if (wire->stream && server) {
        wire->listener = local_listen(w->path, SOCK_NONBLOCK);
        *own = w->path;
        return wire->listener < 0 ? wire->listener : 0;
    } else if (wire->stream) {
        wire->fd = local_connect(w->path, 0);
    } else {
        wire->to = w->remote;
        wire->fd = local_bind(w->path);
        *own = w->path;
    }
    return wire->fd < 0 ? wire->fd : 0;
}

int
vm_net_parse(struct net_config *net, const char *shown, char *text, const char **own)
{
    static const char *const user[] = {"mac", NULL}, *const tap[] = {"ifname", "fd", "mac", NULL};
    static const char *const stream[] = {"path", "addr.path", "fd", "server", "mac", NULL};
    static const char *const vde[] = {"path", "sock", "mac", NULL};
    static const char *const dgram[] = {"local", "local.path", "remote", "remote.path", "fd", "mac", NULL};
    static const struct {
        const char *kind, *wants;
        const char *const *words;
    } kinds[] = {
        {"none", "", NULL}, {"user", "hostfwd=…, mac=…", user}, {"tap", "ifname=NAME or fd=N", tap}, {"stream", "path=PATH[,server=on] or fd=N", stream},
        {"dgram", "local=PATH,remote=PATH or fd=N", dgram}, {"vde", "path=FOLDER", vde},
    };
    struct words w = {NULL};
    const char *kind = strsep(&text, ","), *path = NULL;
    unsigned k = 0;
    while (k < ARRAY_LEN(kinds) && strcmp(kind, kinds[k].kind) != 0) {
        k++;
    }
    if (k == ARRAY_LEN(kinds)) {
        return cli_error(CMD_boot, "%s: none, user, tap, stream, dgram or vde: %s", shown, kind);
    }
    net->kind = k == 0 ? NET_NONE : k == 1 ? NET_USER : NET_WIRE;
    net->wire = (struct net_wire_config){.fd = -1, .listener = -1};
    for (char *word; (word = strsep(&text, ",")) != NULL;) {
        if (k == 1 && strncmp(word, "hostfwd=", 8) == 0) {
            if (parse_forward(net, shown, word) != 0) {
                return EXIT_DOPPEL;
            }
        } else if (k == 0 || !take(&w, kinds[k].words, word)) {
            return cli_error(CMD_boot, "%s: %s: %s: not %s", shown, kind, kinds[k].wants, word);
        }
    }
    if (w.mac != NULL && !parse_mac(w.mac, net->mac)) {
        return cli_error(CMD_boot, "%s: mac=52:54:00:12:34:56, or another of one card: %s", shown, w.mac);
    }
    if (net->kind != NET_WIRE) {
        return 0;
    }
    if (w.server != NULL && strcmp(w.server, "on") != 0 && strcmp(w.server, "off") != 0) {
        return cli_error(CMD_boot, "%s: server=on or off: %s", shown, w.server);
    }
    if (w.fd == NULL && (k == 2 ? w.ifname == NULL : w.path == NULL || (k == 4 && (w.remote == NULL || strlen(w.remote) > LOCAL_PATH_MAX)))) {
        return cli_error(CMD_boot, "%s: %s: %s", shown, kind, kinds[k].wants);
    }
    const int r = open_wire(&net->wire, kind, &w, &path, own);
    return r < 0 ? cli_error(CMD_boot, "%s: %s: %s", shown, path, strerror(-r)) : 0;
}
