/*
 * virtio.c - virtio queues, split and packed
 *
 * Virtual I/O Device (VIRTIO) Version 1.3, §2.7 and §2.8.
 *
 *   split    desc    16 bytes each: addr 8 | len 4 | flags 2 | next 2
 *            driver  flags 2 | idx 2 | ring 2 × num | used_event 2       what is available
 *            device  flags 2 | idx 2 | (id 4 | len 4) × num | avail_event 2   what has been used
 *   packed   desc    16 bytes each: addr 8 | len 4 | id 2 | flags 2; written back as used
 *            driver  off_wrap 2 | flags 2    when the driver wants to be interrupted
 *            device  off_wrap 2 | flags 2    when we want to be notified
 *
 * Threads, trust: see virtio.h.
 */
#include "device/virtio.h"

#include "base/check.h"

#include <string.h>

enum { DESC_BYTES = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15 };
enum { EVENTS_ON = 0, EVENTS_OFF = 1, EVENTS_DESC = 2 };

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, other; /* other: next, or id */
};

/* Guest memory: each word is read, and written, once. x86 keeps the order of loads, and that of stores. */
static uint16_t
load16(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
}

static void
store16(uint8_t *p, uint16_t v)
{
    __atomic_store_n((uint16_t *)p, v, __ATOMIC_RELEASE);
}

/* Indirect tables may stand anywhere: what is read in the middle of a change is checked like the rest. */
typedef uint64_t __attribute__((aligned(1))) any64;

static struct desc
load_desc(const uint8_t *p, bool packed)
{
    const uint64_t addr = *(const volatile any64 *)p, rest = *(const volatile any64 *)(p + 8);
    const uint16_t a = (uint16_t)(rest >> 32), b = (uint16_t)(rest >> 48);
    return (struct desc){addr, (uint32_t)rest, packed ? b : a, packed ? a : b};
}

static bool
is_packed(const struct virtio *v)
{
    return virtio_has(v, VIRTIO_F_RING_PACKED);
}

bool
vq_start(struct virtio *v, unsigned q)
{
    const struct virtio_state *s = &v->s;
    const uint64_t num = s->num[q];
    const bool packed = is_packed(v);
    if (num == 0 || num > VQ_SIZE_MAX || (!packed && (num & (num - 1)) != 0)) {
        return false;
    }
    if (s->desc[q] % 16 != 0 || s->driver[q] % (packed ? 4 : 2) != 0 || s->device[q] % 4 != 0) {
        return false;
    }
    struct vq vq = {
        .desc = physmap_ram(v->pm, s->desc[q], num * DESC_BYTES),
        .driver = physmap_ram(v->pm, s->driver[q], packed ? 4 : 6 + 2 * num),
        .device = physmap_ram(v->pm, s->device[q], packed ? 4 : 6 + 8 * num),
        .made = v->vq[q].made,
    };
    if (vq.desc == NULL || vq.driver == NULL || vq.device == NULL) {
        return false;
    }
    v->vq[q] = vq;
    return true;
}

void
vq_clear(struct virtio *v, unsigned q)
{
    struct virtio_state *s = &v->s;
    v->vq[q] = (struct vq){.made = v->vq[q].made + 1};
    s->ready[q] = 0;
    s->next_avail[q] = s->next_used[q] = s->signalled[q] = 0;
    s->told[q] = 0;
    s->avail_wrap[q] = s->used_wrap[q] = s->signalled_wrap[q] = 1;
}

/* ---- out of the ring ---- */

/* One descriptor's memory becomes a segment. False: no RAM, too many, or readable after writable. */
static bool
add_segment(const struct virtio *v, struct vq_chain *c, const struct desc *d)
{
    const bool in = d->flags & DESC_WRITE;
    if (d->len == 0) {
        return in || c->n_in == 0;
    }
    void *p = physmap_ram(v->pm, d->addr, d->len);
    if (p == NULL || c->n_out + c->n_in == VQ_SEGMENTS_MAX || (!in && c->n_in > 0)) {
        return false;
    }
    c->iov[c->n_out + c->n_in] = (struct iovec){p, d->len};
    if (in) {
        c->n_in++;
        c->in_bytes += d->len;
    } else {
        c->n_out++;
        c->out_bytes += d->len;
    }
    return true;
}

/* A table elsewhere (§2.7.5.3, §2.8.7): split ones are linked, packed ones are in order. */
static bool
add_indirect(const struct virtio *v, struct vq_chain *c, const struct desc *table)
{
    const bool packed = is_packed(v);
    const uint32_t n = table->len / DESC_BYTES;
    const uint8_t *p = physmap_ram(v->pm, table->addr, table->len);
    if (!virtio_has(v, VIRTIO_F_INDIRECT_DESC) || (table->flags & DESC_NEXT) || table->len % DESC_BYTES != 0 || n == 0 || p == NULL) {
        return false;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < n && i < VQ_SEGMENTS_MAX; i++) {
        const struct desc d = load_desc(p + (size_t)at * DESC_BYTES, packed);
        if ((!packed && (d.flags & DESC_INDIRECT)) || !add_segment(v, c, &d)) {
            return false;
        }
        if (packed) {
            at = i + 1;
            if (at == n) {
                return true;
            }
        } else if (!(d.flags & DESC_NEXT)) {
            return true;
        } else if ((at = d.other) >= n) {
            return false;
        }
    }
    return false;
}

/* 1: c is a chain; 0: there is none; -1: broken. */
static int
pop_split(struct virtio *v, unsigned q, struct vq_chain *c)
{
    struct virtio_state *s = &v->s;
    const struct vq *vq = &v->vq[q];
    const uint32_t num = s->num[q];
    const uint16_t there = (uint16_t)(load16(vq->driver + 2) - s->next_avail[q]);
    if (there == 0) {
        return 0;
    }
    uint32_t at = load16(vq->driver + 4 + 2 * (s->next_avail[q] % num));
    c->id = (uint16_t)at;
    if (there > num) {
        return -1;
    }
    for (uint32_t i = 0; i < num; i++) {
        if (at >= num) {
            return -1;
        }
        const struct desc d = load_desc(vq->desc + (size_t)at * DESC_BYTES, false);
        if (!(d.flags & DESC_INDIRECT ? add_indirect(v, c, &d) : add_segment(v, c, &d))) {
            return -1;
        }
        if (!(d.flags & DESC_NEXT)) {
            c->n_desc = 1;
            s->next_avail[q]++;
            return 1;
        }
        at = d.other;
    }
    return -1; /* a loop */
}

/* Is the packed ring's next descriptor the driver's to give? (§2.8.1) */
static bool
is_available(uint16_t flags, bool wrap)
{
    return !(flags & DESC_AVAIL) != wrap && !(flags & DESC_USED) == wrap;
}

static void
advance(uint16_t *at, uint8_t *wrap, unsigned n, uint32_t num)
{
    const unsigned to = *at + n;
    *wrap ^= to >= num;
    *at = (uint16_t)(to >= num ? to - num : to);
}

static int
pop_packed(struct virtio *v, unsigned q, struct vq_chain *c)
{
    struct virtio_state *s = &v->s;
    const struct vq *vq = &v->vq[q];
    const uint32_t num = s->num[q];
    uint16_t at = s->next_avail[q];
    uint8_t wrap = s->avail_wrap[q];
    for (uint32_t i = 0; i < num; i++) {
        const uint8_t *p = vq->desc + (size_t)at * DESC_BYTES;
        /* only the first one's flags tell; the others were written before them */
        if (i == 0 && !is_available(load16(p + 14), wrap)) {
            return 0;
        }
        const struct desc d = load_desc(p, true);
        if (!(d.flags & DESC_INDIRECT ? add_indirect(v, c, &d) : add_segment(v, c, &d))) {
            return -1;
        }
        advance(&at, &wrap, 1, num);
        if (!(d.flags & DESC_NEXT)) {
            c->id = d.other;
            c->n_desc = (uint16_t)(i + 1);
            s->next_avail[q] = at;
            s->avail_wrap[q] = wrap;
            return 1;
        }
    }
    return -1;
}

bool
vq_pop(struct virtio *v, unsigned q, struct vq_chain *c)
{
    if (!virtio_is_running(v) || !v->s.ready[q]) {
        return false;
    }
    c->n_out = c->n_in = 0;
    c->out_bytes = c->in_bytes = 0;
    c->made = v->vq[q].made;
    const int r = is_packed(v) ? pop_packed(v, q, c) : pop_split(v, q, c);
    if (r < 0) {
        virtio_broken(v);
    }
    v->inflight += r > 0;
    return r > 0;
}

/* ---- into the ring ---- */

void
vq_forget(struct virtio *v)
{
    CHECK(v->inflight > 0);
    if (--v->inflight == 0) {
        pthread_cond_broadcast(&v->idle);
    }
}

void
vq_push(struct virtio *v, unsigned q, const struct vq_chain *c, uint32_t written)
{
    struct virtio_state *s = &v->s;
    const uint32_t num = s->num[q];
    vq_forget(v);
    if (!s->ready[q] || c->made != v->vq[q].made || !virtio_is_running(v)) {
        return; /* another ring may have fewer entries than the chain takes */
    }
    if (is_packed(v)) {
        uint8_t *p = v->vq[q].desc + (size_t)s->next_used[q] * DESC_BYTES;
        const uint16_t wrap = s->used_wrap[q] ? DESC_AVAIL | DESC_USED : 0;
        __atomic_store_n((uint32_t *)(p + 8), written, __ATOMIC_RELAXED);
        store16(p + 12, c->id);
        store16(p + 14, (uint16_t)(wrap | (written > 0 ? DESC_WRITE : 0)));
        advance(&s->next_used[q], &s->used_wrap[q], c->n_desc, num);
    } else {
        uint8_t *p = v->vq[q].device + 4 + 8 * (size_t)(s->next_used[q] % num);
        __atomic_store_n((uint32_t *)p, c->id, __ATOMIC_RELAXED);
        __atomic_store_n((uint32_t *)(p + 4), written, __ATOMIC_RELAXED);
        store16(v->vq[q].device + 2, ++s->next_used[q]);
    }
}

/* Did an index pass `event` on its way from `old` to `now`? (§2.7.10) */
static bool
passes(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool
wants_interrupt(struct virtio *v, unsigned q)
{
    struct virtio_state *s = &v->s;
    const uint8_t *driver = v->vq[q].driver;
    const uint32_t num = s->num[q];
    const uint16_t now = s->next_used[q], old = s->signalled[q];
    const uint8_t wrap = s->used_wrap[q], old_wrap = s->signalled_wrap[q];
    const bool told = s->told[q];
    s->signalled[q] = now;
    s->signalled_wrap[q] = wrap;
    s->told[q] = 1;
    if (told && now == old && wrap == old_wrap) {
        return false;
    }
    if (!is_packed(v)) {
        if (!virtio_has(v, VIRTIO_F_EVENT_IDX)) {
            return !(load16(driver) & 1);
        }
        return !told || passes(load16(driver + 4 + 2 * (size_t)num), now, old);
    }
    const uint16_t flags = load16(driver + 2) & 3, off_wrap = load16(driver);
    if (flags != EVENTS_DESC || !virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        return flags != EVENTS_OFF;
    }
    /* on a line that goes on where the ring wraps */
    const uint16_t event = off_wrap & 0x7fff, here = (uint16_t)(event - ((off_wrap >> 15) == wrap ? 0 : num));
    const uint16_t from = (uint16_t)(old - (old_wrap == wrap ? 0 : num));
    return !told || passes(here, now, from);
}

void
vq_signal(struct virtio *v, unsigned q)
{
    if (!v->s.ready[q] || !virtio_is_running(v)) {
        return;
    }
    /* what was pushed is to be seen by a driver that has just said that it wants to know */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (wants_interrupt(v, q)) {
        virtio_interrupt(v, VIRTIO_INT_USED);
    }
}

void
vq_hush(struct virtio *v, unsigned q)
{
    if (!v->s.ready[q]) {
        return;
    }
    if (is_packed(v)) {
        store16(v->vq[q].device + 2, EVENTS_OFF);
    } else if (!virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        store16(v->vq[q].device, 1);
    }
}

bool
vq_ask(struct virtio *v, unsigned q)
{
    struct virtio_state *s = &v->s;
    const struct vq *vq = &v->vq[q];
    const uint16_t at = s->next_avail[q];
    if (!s->ready[q] || !virtio_is_running(v)) {
        return false;
    }
    if (is_packed(v)) {
        if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
            store16(vq->device, (uint16_t)(at | s->avail_wrap[q] << 15));
            store16(vq->device + 2, EVENTS_DESC);
        } else {
            store16(vq->device + 2, EVENTS_ON);
        }
    } else if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
        store16(vq->device + 4 + 8 * (size_t)s->num[q], at);
    } else {
        store16(vq->device, 0);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return is_packed(v) ? is_available(load16(vq->desc + (size_t)at * DESC_BYTES + 14), s->avail_wrap[q])
                        : load16(vq->driver + 2) != at;
}

/* ---- a chain's bytes ---- */

static size_t
copy(const struct iovec *iov, unsigned n_iov, uint64_t off, void *mine, size_t n, bool to_guest)
{
    size_t done = 0;
    for (unsigned i = 0; i < n_iov && done < n; i++) {
        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        uint8_t *p = (uint8_t *)iov[i].iov_base + off;
        const size_t room = iov[i].iov_len - off, part = n - done < room ? n - done : room;
        if (to_guest) {
            memcpy(p, (const uint8_t *)mine + done, part);
        } else {
            memcpy((uint8_t *)mine + done, p, part);
        }
        done += part;
        off = 0;
    }
    return done;
}

size_t
vq_get(const struct vq_chain *c, uint64_t off, void *to, size_t n)
{
    return copy(c->iov, c->n_out, off, to, n, false);
}

size_t
vq_put(const struct vq_chain *c, uint64_t off, const void *from, size_t n)
{
    return copy(c->iov + c->n_out, c->n_in, off, (void *)(uintptr_t)from, n, true);
}
