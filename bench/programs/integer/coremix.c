/*
 * coremix.c - four small kernels of embedded code in turn: linked list, 16-bit matrix, state
 * machine, CRC
 *
 * Each round sorts, reverses and searches a list, multiplies a matrix, parses a line of numbers,
 * and folds the results into a CRC that also seeds the next round, so that no round can be left
 * out.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL  18000
#define QUICK 1500

enum { NODES = 400, DIM = 20, TEXT = 600 };

struct node {
    struct node *next;
    int16_t key, tag;
};

static struct node pool[NODES];
static int16_t mat_a[DIM][DIM], mat_b[DIM][DIM];
static int32_t mat_c[DIM][DIM];
static char text[TEXT + 1];

static uint16_t
crc16(uint16_t crc, uint32_t v)
{
    for (int i = 0; i < 32; i++) {
        unsigned bit = (crc ^ v) & 1;
        crc = (uint16_t)(crc >> 1);
        v >>= 1;
        if (bit) {
            crc ^= 0xa001;
        }
    }
    return crc;
}

static struct node *
list_merge(struct node *a, struct node *b)
{
    struct node head, *tail = &head;
    while (a && b) {
        if (a->key <= b->key) {
            tail->next = a;
            tail = a;
            a = a->next;
        } else {
            tail->next = b;
            tail = b;
            b = b->next;
        }
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct node *
list_sort(struct node *l)
{
    if (!l || !l->next) {
        return l;
    }
    struct node *slow = l, *fast = l->next;
    while (fast && fast->next) {
        slow = slow->next;
        fast = fast->next->next;
    }
    struct node *right = slow->next;
    slow->next = NULL;
    return list_merge(list_sort(l), list_sort(right));
}

static uint16_t
list_round(uint16_t crc)
{
    uint32_t seed = crc;
    for (int i = 0; i < NODES; i++) {
        seed = seed * 1664525 + 1013904223;
        pool[i].key = (int16_t)(seed >> 16);
        pool[i].tag = (int16_t)i;
        pool[i].next = i + 1 < NODES ? &pool[i + 1] : NULL;
    }
    struct node *l = list_sort(pool), *r = NULL;
    while (l) {
        struct node *next = l->next;
        l->next = r;
        r = l;
        l = next;
    }
    for (int want = 0; want < 8; want++) {
        const struct node *n = r;
        while (n && (n->tag & 63) != want) {
            n = n->next;
        }
        crc = crc16(crc, n ? (uint32_t)n->key : 0);
    }
    return crc;
}

static uint16_t
matrix_round(uint16_t crc)
{
    for (int i = 0; i < DIM; i++) {
        for (int j = 0; j < DIM; j++) {
            mat_a[i][j] = (int16_t)((crc + i * j) & 0xff);
            mat_b[i][j] = (int16_t)((crc ^ (i + j)) & 0x7f);
        }
    }
    int32_t sum = 0;
    for (int i = 0; i < DIM; i++) {
        for (int j = 0; j < DIM; j++) {
            int32_t acc = 0;
            for (int k = 0; k < DIM; k++) {
                int32_t p = mat_a[i][k] * mat_b[k][j];
                acc += (p >> 2 & 0xf) * (p >> 5 & 0x7f);
            }
            mat_c[i][j] = acc;
            sum += acc > 100 ? acc : 1;
        }
    }
    return crc16(crc, (uint32_t)sum);
}

static uint16_t
state_round(uint16_t crc)
{
    static const char *const words[] = {"5012",     "-874",     "+122",     "35.54400",
                                        ".1234500", "+0.6440",  "-110.700", "5.500e+3",
                                        "-.123e-2", "T0.3e-1F", "1T3.4e4z", "-87e+832"};
    enum { START, SIGN, INT, FRAC, EXP, EXPSIGN, EXPINT, INVALID, STATES } s;
    uint32_t count[STATES] = {0};
    size_t len = 0;
    for (unsigned k = crc; len + 10 < TEXT; k = k * 5 + 3) {
        const char *w = words[k % 12];
        size_t l = strlen(w);
        memcpy(text + len, w, l);
        text[len + l] = ',';
        len += l + 1;
    }
    text[len] = 0;
    s = START;
    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == ',') {
            count[s]++;
            s = START;
            continue;
        }
        int digit = c >= '0' && c <= '9';
        switch (s) {
        case START:
            s = digit ? INT : c == '+' || c == '-' ? SIGN : c == '.' ? FRAC : INVALID;
            break;
        case SIGN:
            s = digit ? INT : c == '.' ? FRAC : INVALID;
            break;
        case INT:
            s = digit ? INT : c == '.' ? FRAC : c == 'e' ? EXP : INVALID;
            break;
        case FRAC:
            s = digit ? FRAC : c == 'e' ? EXP : INVALID;
            break;
        case EXP:
            s = c == '+' || c == '-' ? EXPSIGN : INVALID;
            break;
        case EXPSIGN:
        case EXPINT:
            s = digit ? EXPINT : INVALID;
            break;
        case INVALID:
        case STATES:
            break;
        }
    }
    for (int i = 0; i < STATES; i++) {
        crc = crc16(crc, count[i]);
    }
    return crc;
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : FULL;
    uint16_t crc = 0xffff;
    for (long i = 0; i < rounds; i++) {
        crc = list_round(crc16(crc, (uint32_t)i));
        crc = matrix_round(crc);
        crc = state_round(crc);
    }
    printf("coremix %04x\n", crc);
    return 0;
}
