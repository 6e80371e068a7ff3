/*
 * virtio.c - queues and the mmio transport: what a driver does, and what a hostile one does
 */
#include "device/virtio.h"

#include "fake.h"

#include <stdlib.h>

#define BASE  UINT64_C(0x10001000)
#define DESC  FAKE_RAM
#define AVAIL (FAKE_RAM + 0x1000)
#define USED  (FAKE_RAM + 0x2000)
#define TABLE (FAKE_RAM + 0x3000)
#define DATA  (FAKE_RAM + 0x8000)
#define NUM   8

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct fixture {
    struct virtio v; /* first: the device under test */
    struct fake f;
    struct vq_chain chain, last;
    unsigned popped, resets;
    bool keep; /* do not push: as a device that works on it */
};

static void
notify(struct virtio *v, unsigned queue)
{
    struct fixture *x = (struct fixture *)v;
    do {
        while (vq_pop(v, queue, &x->chain)) {
            x->last = x->chain;
            x->popped++;
            if (!x->keep) {
                const uint8_t byte = 0x5a;
                vq_push(v, queue, &x->last, (uint32_t)vq_put(&x->last, 0, &byte, 1));
            }
        }
    } while (vq_ask(v, queue));
    vq_signal(v, queue);
}

static void
reset(struct virtio *v)
{
    ((struct fixture *)v)->resets++;
}

static void
nothing(struct virtio *v)
{
    (void)v;
}

static const struct virtio_ops ops = {
    .name = "test", .id = 42, .n_queues = 2, .notify = notify, .reset = reset, .free = nothing};

static int
setup(void **state)
{
    static struct fixture x;
    memset(&x, 0, sizeof x);
    fake_init(&x.f);
    x.v.ops = &ops;
    x.v.config_bytes = 8;
    x.v.config_writable = 4;
    x.v.s.config[0] = 7;
    const struct virtio_place at = {.pm = &x.f.pm, .base = BASE, .irq = fake_irq(&x.f, 1), .packed = true};
    CHECK(virtio_mmio_init(&x.v, &at, &x.f.e) == 0);
    *state = &x;
    return 0;
}

static int
teardown(void **state)
{
    physmap_fini(&((struct fixture *)*state)->f.pm);
    return 0;
}

static uint32_t
get(struct fixture *x, unsigned off)
{
    return (uint32_t)fake_read(&x->f, BASE + off, 4);
}

static void
set(struct fixture *x, unsigned off, uint32_t v)
{
    fake_write(&x->f, BASE + off, 4, v);
}

static void *
ram(struct fixture *x, uint64_t gpa)
{
    return physmap_ram(&x->f.pm, gpa, 16);
}

static void
negotiate(struct fixture *x, uint64_t features)
{
    set(x, 0x70, 0);
    set(x, 0x70, 1);
    set(x, 0x70, 3);
    for (unsigned i = 0; i < 2; i++) {
        set(x, 0x24, i);
        set(x, 0x20, (uint32_t)((features | VIRTIO_F_VERSION_1) >> 32 * i));
    }
    set(x, 0x70, 11);
    assert_int_equal(get(x, 0x70), 11);
}

static void
queue(struct fixture *x, uint64_t desc, uint64_t avail, uint64_t used, uint32_t num)
{
    set(x, 0x30, 0);
    set(x, 0x38, num);
    set(x, 0x80, (uint32_t)desc);
    set(x, 0x84, (uint32_t)(desc >> 32));
    set(x, 0x90, (uint32_t)avail);
    set(x, 0x94, (uint32_t)(avail >> 32));
    set(x, 0xa0, (uint32_t)used);
    set(x, 0xa4, (uint32_t)(used >> 32));
    set(x, 0x44, 1);
}

static void
start(struct fixture *x, uint64_t features)
{
    memset(physmap_ram(&x->f.pm, FAKE_RAM, FAKE_RAM_BYTES), 0, FAKE_RAM_BYTES);
    x->popped = 0;
    negotiate(x, features);
    queue(x, DESC, AVAIL, USED, NUM);
    set(x, 0x70, 15);
    assert_int_equal(get(x, 0x70), 15);
}

static void
desc_at(struct fixture *x, uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t a, uint16_t b)
{
    uint8_t *p = ram(x, table + 16 * i);
    memcpy(p, &addr, 8);
    memcpy(p + 8, &len, 4);
    memcpy(p + 12, &a, 2);
    memcpy(p + 14, &b, 2);
}

/* Split: make `head` available, and notify. */
static void
offer(struct fixture *x, uint16_t head)
{
    uint16_t *avail = ram(x, AVAIL);
    avail[2 + avail[1] % NUM] = head;
    avail[1]++;
    set(x, 0x50, 0);
}

static uint16_t
used_idx(struct fixture *x)
{
    return ((uint16_t *)ram(x, USED))[1];
}

static bool
is_broken(struct fixture *x)
{
    return get(x, 0x70) & VIRTIO_NEEDS_RESET;
}

static void
registers_are_as_specified(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(get(x, 0), 0x74726976);
    assert_int_equal(get(x, 4), 2);
    assert_int_equal(get(x, 8), 42);
    set(x, 0x14, 1);
    assert_int_equal(get(x, 0x10), 5); /* VERSION_1, RING_PACKED */
    set(x, 0x30, 1);
    assert_int_equal(get(x, 0x34), VQ_SIZE_MAX);
    set(x, 0x30, 2);
    assert_int_equal(get(x, 0x34), 0);
    assert_int_equal(fake_read(&x->f, BASE + 0x100, 1), 7);
    fake_write(&x->f, BASE + 0x100, 1, 9); /* not writable */
    fake_write(&x->f, BASE + 0x104, 4, 0x01020304);
    assert_int_equal(fake_read(&x->f, BASE + 0x100, 8), UINT64_C(0x0102030400000007));
    assert_int_equal(fake_read(&x->f, BASE + 0x108, 4), 0);
    set(x, 0x30, 7); /* a queue that is not there */
    set(x, 0x38, 8);
    set(x, 0x44, 1);
    set(x, 0x50, 7);
    set(x, 0x50, 0xffffffff);
    assert_false(is_broken(x));
}

static void
features_are_checked(void **state)
{
    struct fixture *x = *state;
    set(x, 0x70, 3);
    set(x, 0x70, 11); /* without VERSION_1 */
    assert_int_equal(get(x, 0x70), 3);
    set(x, 0x24, 1);
    set(x, 0x20, 1);
    set(x, 0x24, 0);
    set(x, 0x20, 1); /* one that was not offered */
    set(x, 0x70, 11);
    assert_int_equal(get(x, 0x70), 3);
    set(x, 0x70, 15); /* nor may it start so */
    assert_true(is_broken(x));
    negotiate(x, 0);
    set(x, 0x20, 0xff); /* too late */
    assert_int_equal(x->v.s.driver_features, VIRTIO_F_VERSION_1);
}

static void
split_chain_arrives(void **state)
{
    struct fixture *x = *state;
    start(x, 0);
    memcpy(ram(x, DATA), "header", 6);
    desc_at(x, DESC, 3, DATA, 6, NEXT, 1);
    desc_at(x, DESC, 1, DATA + 64, 10, WRITE | NEXT, 5);
    desc_at(x, DESC, 5, DATA + 128, 20, WRITE, 0);
    offer(x, 3);
    char text[7] = "";
    assert_int_equal(x->popped, 1);
    assert_int_equal(x->last.n_out, 1);
    assert_int_equal(x->last.n_in, 2);
    assert_int_equal(x->last.in_bytes, 30);
    assert_int_equal(vq_get(&x->last, 0, text, 7), 6);
    assert_string_equal(text, "header");
    assert_int_equal(used_idx(x), 1);
    const uint32_t *used = ram(x, USED + 4);
    assert_int_equal(used[0], 3);
    assert_int_equal(used[1], 1);
    assert_true(x->f.level[0][1]);
    assert_int_equal(get(x, 0x60), 1);
    set(x, 0x64, 1);
    assert_false(x->f.level[0][1]);
    ((uint16_t *)ram(x, AVAIL))[0] = 1; /* no interrupts */
    for (unsigned i = 0; i < 20; i++) {
        offer(x, 3);
    }
    assert_int_equal(used_idx(x), 21);
    assert_false(x->f.level[0][1]);
}

static void
event_index_spares_interrupts(void **state)
{
    struct fixture *x = *state;
    start(x, VIRTIO_F_EVENT_IDX);
    desc_at(x, DESC, 0, DATA, 4, WRITE, 0);
    uint16_t *used_event = (uint16_t *)ram(x, AVAIL) + 2 + NUM;
    const uint16_t *avail_event = (const uint16_t *)((const uint8_t *)ram(x, USED + 4 + 8 * (NUM - 2)) + 16);
    for (unsigned i = 1; i <= 40; i++) {
        *used_event = 9;
        set(x, 0x64, 1);
        offer(x, 0);
        assert_int_equal(x->f.level[0][1], i == 1 || i == 10); /* the first after a start tells in any case */
        assert_int_equal(*avail_event, i);
    }
}

static void
indirect_tables(void **state)
{
    struct fixture *x = *state;
    start(x, VIRTIO_F_INDIRECT_DESC);
    for (unsigned i = 0; i < 20; i++) {
        desc_at(x, TABLE + 1, i, DATA + 64 * i, 8, (uint16_t)((i >= 10 ? WRITE : 0) | (i < 19 ? NEXT : 0)), (uint16_t)(i + 1));
    }
    desc_at(x, DESC, 0, TABLE + 1, 16 * 20, INDIRECT, 0);
    offer(x, 0);
    assert_int_equal(x->last.out_bytes, 80);
    assert_int_equal(x->last.in_bytes, 80);
    assert_int_equal(used_idx(x), 1);
}

/* Each breaks the device, and nothing else; a reset mends it. */
static void
hostile_split_rings(void **state)
{
    struct fixture *x = *state;
    for (unsigned way = 0; way < 14; way++) {
        start(x, way == 9 ? 0 : VIRTIO_F_INDIRECT_DESC);
        desc_at(x, DESC, 0, DATA, 16, 0, 0);
        desc_at(x, TABLE, 0, DATA, 16, 0, 0);
        uint16_t head = 0;
        switch (way) {
        case 0: /* no such descriptor */
            head = NUM;
            break;
        case 1: /* a loop */
            desc_at(x, DESC, 0, DATA, 16, NEXT, 0);
            break;
        case 2: /* next beyond the table */
            desc_at(x, DESC, 0, DATA, 16, NEXT, 0xffff);
            break;
        case 3: /* no memory */
            desc_at(x, DESC, 0, 0x1000, 16, WRITE, 0);
            break;
        case 4: /* beyond its end */
            desc_at(x, DESC, 0, FAKE_RAM + FAKE_RAM_BYTES - 8, 16, WRITE, 0);
            break;
        case 5: /* wraps */
            desc_at(x, DESC, 0, UINT64_MAX - 7, 16, WRITE, 0);
            break;
        case 6: /* readable behind writable */
            desc_at(x, DESC, 0, DATA, 16, WRITE | NEXT, 1);
            desc_at(x, DESC, 1, DATA, 16, 0, 0);
            break;
        case 7: /* more available than there is room for */
            ((uint16_t *)ram(x, AVAIL))[1] = 100;
            break;
        case 8: /* a table in a table */
            desc_at(x, DESC, 0, TABLE, 16, INDIRECT, 0);
            desc_at(x, TABLE, 0, TABLE, 16, INDIRECT, 0);
            break;
        case 9: /* not negotiated */
            desc_at(x, DESC, 0, TABLE, 16, INDIRECT, 0);
            break;
        case 10: /* an odd size */
            desc_at(x, DESC, 0, TABLE, 17, INDIRECT, 0);
            break;
        case 11: /* a loop in it */
            desc_at(x, DESC, 0, TABLE, 16, INDIRECT, 0);
            desc_at(x, TABLE, 0, DATA, 16, NEXT, 0);
            break;
        case 12: /* all of memory as a table of more segments than we take */
            desc_at(x, DESC, 0, FAKE_RAM, (uint32_t)FAKE_RAM_BYTES, INDIRECT, 0);
            for (unsigned i = 0; i < 1000; i++) {
                desc_at(x, FAKE_RAM + 0x10000, i, DATA, 1, NEXT, (uint16_t)(i + 1));
            }
            desc_at(x, DESC, 0, FAKE_RAM + 0x10000, 16000, INDIRECT, 0);
            break;
        case 13: /* both */
            desc_at(x, DESC, 0, TABLE, 16, INDIRECT | NEXT, 1);
            break;
        }
        offer(x, head);
        assert_int_equal(x->popped, 0);
        assert_true(is_broken(x));
        assert_int_equal(get(x, 0x60) & 2, 2);
        offer(x, 0);
        assert_int_equal(x->popped, 0);
        assert_int_equal(x->v.inflight, 0);
    }
    start(x, 0);
    desc_at(x, DESC, 0, DATA, 16, 0, 0);
    offer(x, 0);
    assert_int_equal(x->popped, 1);
}

static void
hostile_places(void **state)
{
    struct fixture *x = *state;
    static const struct {
        uint64_t desc, avail, used;
        uint32_t num;
    } bad[] = {
        {DESC, AVAIL, USED, 0},         {DESC, AVAIL, USED, 3},    {DESC, AVAIL, USED, 512},
        {DESC, AVAIL, USED, UINT32_MAX}, {DESC + 8, AVAIL, USED, 8}, {DESC, AVAIL + 1, USED, 8},
        {DESC, AVAIL, USED + 2, 8},     {0, AVAIL, USED, 8},       {DESC, 0x1000, USED, 8},
        {DESC, AVAIL, UINT64_MAX - 3, 8}, {FAKE_RAM + FAKE_RAM_BYTES - 64, AVAIL, USED, 8}, {BASE, BASE, BASE, 8},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        negotiate(x, 0);
        queue(x, bad[i].desc, bad[i].avail, bad[i].used, bad[i].num);
        assert_int_equal(get(x, 0x44), 0);
        assert_true(is_broken(x));
        set(x, 0x70, 15);
        set(x, 0x50, 0);
        assert_int_equal(x->popped, 0);
    }
}

/* Packed: descriptor i, available in this round. */
static void
offer_packed(struct fixture *x, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t id, bool wrap)
{
    desc_at(x, DESC, i, addr, len, id, (uint16_t)(flags | (wrap ? 1 << 7 : 1 << 15)));
}

static void
packed_rings(void **state)
{
    struct fixture *x = *state;
    start(x, VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC);
    bool wrap = true;
    unsigned at = 0;
    for (unsigned round = 0; round < 30; round++) {
        const unsigned first = at;
        const bool first_wrap = wrap;
        for (unsigned k = 0; k < 3; k++) {
            offer_packed(x, at, DATA + 64 * k, 8, (uint16_t)((k < 2 ? NEXT : 0) | (k > 0 ? WRITE : 0)), (uint16_t)(100 + round), wrap);
            at = (at + 1) % NUM;
            wrap ^= at == 0;
        }
        set(x, 0x50, 0);
        assert_int_equal(x->popped, round + 1);
        assert_int_equal(x->last.out_bytes, 8);
        assert_int_equal(x->last.in_bytes, 16);
        const uint16_t *d = ram(x, DESC + 16 * first);
        assert_int_equal(d[6], 100 + round);
        assert_int_equal(d[7], (first_wrap ? 0x8080 : 0) | WRITE);
        assert_true(x->f.level[0][1]);
        set(x, 0x64, 1);
    }
    ((uint16_t *)ram(x, AVAIL))[1] = 1; /* no interrupts */
    desc_at(x, TABLE, 0, DATA, 4, 0, 0);
    desc_at(x, TABLE, 1, DATA, 4, 0, WRITE);
    offer_packed(x, at, TABLE, 32, INDIRECT, 9, wrap);
    set(x, 0x50, 0);
    assert_int_equal(x->last.in_bytes + x->last.out_bytes, 8);
    assert_false(x->f.level[0][1]);
}

static void
hostile_packed_rings(void **state)
{
    struct fixture *x = *state;
    for (unsigned way = 0; way < 4; way++) {
        start(x, VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC);
        for (unsigned i = 0; i < NUM; i++) {
            offer_packed(x, i, way == 1 ? 0 : DATA, 8, way == 0 ? NEXT : 0, 0, true);
        }
        if (way >= 2) {
            offer_packed(x, 0, way == 2 ? FAKE_RAM : 0, way == 2 ? (uint32_t)FAKE_RAM_BYTES : 16, INDIRECT, 0, true);
        }
        set(x, 0x50, 0);
        assert_int_equal(x->popped, 0);
        assert_true(is_broken(x));
    }
}

static void
a_reset_forgets(void **state)
{
    struct fixture *x = *state;
    start(x, 0);
    desc_at(x, DESC, 0, DATA, 16, 0, 0);
    x->keep = true;
    offer(x, 0);
    assert_int_equal(x->v.inflight, 1);
    set(x, 0x44, 0); /* the queue goes, and what comes back goes nowhere */
    vq_push(&x->v, 0, &x->last, 0);
    assert_int_equal(used_idx(x), 0);
    x->keep = false;
    const unsigned resets = x->resets;
    set(x, 0x70, 0);
    assert_int_equal(x->resets, resets + 1);
    assert_int_equal(get(x, 0x70) | get(x, 0x60) | get(x, 0x44), 0);
    assert_int_equal(fake_read(&x->f, BASE + 0x100, 1), 7);
}

/* A queue may be taken away and given another ring while the device works on a chain of the first, which took more than that has. */
static void
chains_of_an_earlier_ring_go_nowhere(void **state)
{
    struct fixture *x = *state;
    start(x, VIRTIO_F_RING_PACKED);
    for (unsigned i = 0; i < 5; i++) {
        offer_packed(x, i, DATA, 8, i < 4 ? NEXT : 0, 1, true);
    }
    x->keep = true;
    set(x, 0x50, 0);
    assert_int_equal(x->v.inflight, 1);
    set(x, 0x44, 0);
    queue(x, FAKE_RAM + FAKE_RAM_BYTES - 16, AVAIL, USED, 1);
    assert_int_equal(get(x, 0x44), 1);
    vq_push(&x->v, 0, &x->last, 0);
    assert_int_equal(x->v.inflight, 0);
    assert_int_equal(x->v.s.next_used[0], 0);
    assert_int_equal(*(uint32_t *)((uint8_t *)ram(x, FAKE_RAM + FAKE_RAM_BYTES - 16) + 12), 0);
}

static void
write_features(struct fixture *x, uint64_t features)
{
    for (unsigned i = 0; i < 2; i++) {
        set(x, 0x24, i);
        set(x, 0x20, (uint32_t)(features >> 32 * i));
    }
}

/* A split ring's indices run freely, and its used ring lies behind 6 bytes: as a packed one both are outside. */
static void
features_stay_as_the_ring_was_made(void **state)
{
    struct fixture *x = *state;
    start(x, 0);
    const uint64_t agreed = x->v.s.driver_features;
    set(x, 0x70, 7);
    assert_int_equal(get(x, 0x70) & 8, 8);
    write_features(x, agreed | VIRTIO_F_RING_PACKED);
    assert_int_equal(x->v.s.driver_features, agreed);

    /* nor from packed to split, of a ring that was there before features were agreed upon */
    set(x, 0x70, 0);
    set(x, 0x70, 3);
    write_features(x, VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
    const uint64_t last = FAKE_RAM + FAKE_RAM_BYTES - 4;
    queue(x, DESC, last, last, NUM);
    assert_int_equal(get(x, 0x44), 1);
    write_features(x, VIRTIO_F_VERSION_1);
    assert_int_equal(x->v.s.driver_features, VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED);
    set(x, 0x44, 0);
    write_features(x, VIRTIO_F_VERSION_1);
    assert_int_equal(x->v.s.driver_features, VIRTIO_F_VERSION_1);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(registers_are_as_specified), CASE(features_are_checked), CASE(split_chain_arrives),
        CASE(event_index_spares_interrupts), CASE(indirect_tables),   CASE(hostile_split_rings),
        CASE(hostile_places),             CASE(packed_rings),         CASE(hostile_packed_rings),
        CASE(a_reset_forgets),            CASE(chains_of_an_earlier_ring_go_nowhere),
        CASE(features_stay_as_the_ring_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
