/*
 * hash.c - open-addressing hash table with deletion, keyed by 64-bit numbers and by strings:
 * dependent loads, compares
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  16000 /* thousands of operations */
#define QUICK 1300

enum { SLOTS = 1 << 15, NAMES = 4096 };

struct slot {
    uint64_t key; /* 0 empty, 1 deleted */
    uint64_t value;
};

static struct slot table[SLOTS];
static size_t live, dead;
static char names[NAMES][16];
static const char *name_slot[NAMES * 2];
static uint32_t name_count[NAMES * 2];

static uint64_t
mix(uint64_t k)
{
    k ^= k >> 32;
    k *= 0x9fb21c651e98df25;
    k ^= k >> 29;
    return k;
}

static struct slot *
slot_find(uint64_t key, int make)
{
    size_t i = mix(key) & (SLOTS - 1);
    struct slot *grave = NULL;
    for (;; i = (i + 1) & (SLOTS - 1)) {
        struct slot *s = &table[i];
        if (s->key == key) {
            return s;
        }
        if (s->key == 1 && !grave) {
            grave = s;
        } else if (s->key == 0) {
            if (!make) {
                return NULL;
            }
            if (grave) {
                s = grave;
                dead--;
            }
            s->key = key;
            s->value = 0;
            live++;
            return s;
        }
    }
}

static void
table_clean(void)
{
    static struct slot old[SLOTS];
    memcpy(old, table, sizeof old);
    memset(table, 0, sizeof table);
    live = dead = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        if (old[i].key > 1) {
            slot_find(old[i].key, 1)->value = old[i].value;
        }
    }
}

static uint32_t
name_bump(const char *s)
{
    uint32_t h = 2166136261;
    for (const char *p = s; *p; p++) {
        h = (h ^ (uint8_t)*p) * 16777619;
    }
    size_t i = h % (NAMES * 2);
    while (name_slot[i] && strcmp(name_slot[i], s) != 0) {
        i = i + 1 == NAMES * 2 ? 0 : i + 1;
    }
    name_slot[i] = s;
    return ++name_count[i];
}

int
main(int argc, char **argv)
{
    long ops = (argc > 1 ? atol(argv[1]) : FULL) * 1000;
    uint64_t seed = 88172645463325252, sum = 0;
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "name%x", (unsigned)i * 2654435761U >> 8);
    }
    for (long i = 0; i < ops; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint64_t key = (seed >> 20) % 30000 + 2;
        switch (seed & 7) {
        case 0: {
            struct slot *s = slot_find(key, 0);
            if (s) {
                sum += s->value;
                s->key = 1;
                live--;
                dead++;
            }
            break;
        }
        case 1:
        case 2:
            slot_find(key, 1)->value += seed >> 40;
            break;
        case 3:
            sum = sum * 5 + name_bump(names[seed >> 52]);
            break;
        default: {
            const struct slot *s = slot_find(key, 0);
            sum = sum * 3 + (s ? s->value : 1);
        }
        }
        if (live + dead > SLOTS - SLOTS / 8) {
            table_clean();
        }
    }
    printf("hash %016llx %zu\n", (unsigned long long)sum, live);
    return 0;
}
