/*
 * strace_net.c - addresses and messages of sockets, in strace(1)'s words
 */
#include "process/net_impl.h"

#include "process/syscall.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* A path may hold anything; what a terminal could take for a command becomes '?'. */
static void
printable(char *out, size_t cap, const char *s, size_t n)
{
    size_t i = 0;
    for (; i < n && i + 1 < cap && s[i] != '\0'; i++) {
        out[i] = s[i] >= ' ' && s[i] < 127 && s[i] != '"' ? s[i] : '?';
    }
    out[i] = '\0';
}

bool
strace_sockaddr(char *out, size_t cap, gva_t a, uint64_t len)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_nl nl;
    } u;
    char text[128];
    memset(&u, 0, sizeof u);
    if (len < sizeof(sa_family_t) || guest_read(&u, a, len < sizeof u ? len : sizeof u) != 0) {
        return false;
    }
    switch (u.any.ss_family) {
    case AF_UNIX: {
        size_t head = offsetof(struct sockaddr_un, sun_path);
        size_t n = len < sizeof u.un ? (len > head ? len - head : 0) : sizeof u.un.sun_path;
        bool abstract = n > 0 && u.un.sun_path[0] == '\0';
        printable(text, sizeof text, u.un.sun_path + abstract, n - abstract);
        if (n == 0) {
            snprintf(out, cap, "{sa_family=AF_UNIX}");
        } else {
            snprintf(out, cap, "{sa_family=AF_UNIX, sun_path=%s\"%s\"}", abstract ? "@" : "", text);
        }
        return true;
    }
    case AF_INET:
        inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof text);
        snprintf(out, cap, "{sa_family=AF_INET, sin_port=htons(%u), sin_addr=\"%s\"}", ntohs(u.in.sin_port), text);
        return true;
    case AF_INET6:
        inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof text);
        snprintf(out, cap, "{sa_family=AF_INET6, sin6_port=htons(%u), sin6_addr=\"%s\"}", ntohs(u.in6.sin6_port), text);
        return true;
    case AF_NETLINK:
        snprintf(out, cap, "{sa_family=AF_NETLINK, nl_pid=%u, nl_groups=%08x}", u.nl.nl_pid, u.nl.nl_groups);
        return true;
    case AF_UNSPEC:
        snprintf(out, cap, "{sa_family=AF_UNSPEC}");
        return true;
    default:
        snprintf(out, cap, "{sa_family=%u, ...}", u.any.ss_family);
        return true;
    }
}

bool
strace_msghdr(char *out, size_t cap, gva_t a)
{
    struct guest_msghdr m;
    char name[256] = "NULL";
    if (guest_read(&m, a, sizeof m) != 0) {
        return false;
    }
    if (m.name != 0 && !strace_sockaddr(name, sizeof name, m.name, (uint32_t)m.namelen)) {
        snprintf(name, sizeof name, "%#llx", (unsigned long long)m.name);
    }
    snprintf(out, cap, "{msg_name=%s, msg_namelen=%d, msg_iovlen=%llu, msg_controllen=%llu, msg_flags=%#x}", name,
             m.namelen, (unsigned long long)m.iovlen, (unsigned long long)m.controllen, m.flags);
    return true;
}
