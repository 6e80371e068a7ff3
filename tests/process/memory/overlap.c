/* riscv only */
/* every engine */
/* overlap.c - instructions that share bytes, and code of which a part is forgotten: each reads the registers it names */
#include "../abi.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

typedef long fn(long, long);

static const uint16_t shared[] = {
    0x0537, 0x4595, /* lui a0, 0x45950; its second half is li a1, 5 */
    0x0513, 0x0015, /* addi a0, a0, 1 */
    0x8082,         /* ret */
};
static const uint16_t partly[] = {
    0x0586,         /* slli a1, a1, 1 */
    0x0533, 0x00b5, /* add a0, a0, a1 */
    0x0001,         /* nop */
    0x0013, 0x0000, /* nop */
    0x8082,         /* ret */
};

static long
call(const char *at, long a, long b)
{
    return ((fn *)at)(a, b);
}

int
main(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *a = page + 64, *b = page + 128, *c = page + 192;
    memcpy(a, shared, sizeof shared);
    memcpy(b, shared, sizeof shared);
    memcpy(c, partly, sizeof partly);
    __builtin___clear_cache(page, page + 4096);
    for (int k = 0; k < 3; k++) {
        EQUAL(call(a, 0, 0), 0x45950001);
        EQUAL(call(a + 2, 100, 0), 101);
        EQUAL(call(b + 2, 100, 0), 101);
        EQUAL(call(b, 0, 0), 0x45950001);
    }
    for (int k = 0; k < 3; k++) {
        EQUAL(call(c, 1, 10), 21);
        EQUAL(syscall(259, c + 8, c + 12, 0), 0); /* riscv_flush_icache */
        EQUAL(call(c + 2, 1, 10), 11);
    }
    return 0;
}
