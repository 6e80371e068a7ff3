/*
 * exec_stack.c - the stack that a program starts with
 *
 *      stack_top - 8    0
 *                       file name (AT_EXECFN)
 *                       environment strings          env_start … env_end
 *                       argument strings             arg_start … arg_end
 *                       (a random gap of up to 8 KiB)
 *                       16 random bytes (AT_RANDOM)
 *                       auxiliary vector
 *                       envp[], NULL
 *                       argv[], NULL
 *      sp (16-aligned)  argc
 *
 * Layout, and the entries of the auxiliary vector and their order: fs/exec.c and fs/binfmt_elf.c of Linux 6.12, and
 * arch/riscv/include/asm/elf.h. There is no AT_RSEQ_*: rseq answers ENOSYS.
 */
#include "process/exec.h"

#include "base/check.h"
#include "base/nondet.h"
#include "process/fakeroot.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* How big the signal frame is: 1,088 bytes of siginfo, ucontext and FP state, aligned to 16, as riscv64 without V says. */
#define GUEST_MINSIGSTKSZ_AUX 1088
#define STACK_EXTRA           (UINT64_C(128) << 10) /* what Linux maps below the strings from the beginning */
#define MAX_AUXV              40

struct auxv {
    unsigned n;
    uint64_t v[MAX_AUXV][2];
};

static void
aux(struct auxv *a, uint64_t type, uint64_t value)
{
    CHECK(a->n < MAX_AUXV);
    a->v[a->n][0] = type;
    a->v[a->n++][1] = value;
}

static uint64_t
strings_bytes(char **v, size_t *count)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; v[i] != NULL; i++) {
        n += strlen(v[i]) + 1;
    }
    *count = i;
    return n;
}

/* Write the strings at `to`, and where each is at `table`. The first address behind them, or 0. */
static gva_t
put_strings(char **v, gva_t to, gva_t table)
{
    for (size_t i = 0; v[i] != NULL; i++) {
        size_t n = strlen(v[i]) + 1;
        if (guest_write(to, v[i], n) != 0 || guest_write_u64(table + 8 * i, to) != 0) {
            return 0;
        }
        to += n;
    }
    return to;
}

static uint64_t
hwcap(ext_set exts)
{
    static const struct {
        unsigned ext;
        char letter;
    } letters[] = {{EXT_I, 'i'}, {EXT_M, 'm'}, {EXT_ZALRSC, 'a'}, {EXT_F, 'f'}, {EXT_D, 'd'}, {EXT_ZCA, 'c'},
                   {EXT_V, 'v'}};
    uint64_t bits = 0;
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++) {
        bits |= isa_ext_enabled(letters[i].ext, exts) ? UINT64_C(1) << (letters[i].letter - 'a') : 0;
    }
    return bits;
}

static void
fill_auxv(struct auxv *a, struct process *p, const struct elf_image *im, const struct elf_mapped *prog,
          gva_t interp_base, gva_t random, gva_t execfn)
{
    const struct fake_ids *ids = fakeroot_ids(current_task);
    aux(a, AT_SYSINFO_EHDR, p->vdso);
    for (unsigned type = AT_L1I_CACHESIZE; type <= AT_L3_CACHEGEOMETRY; type++) {
        aux(a, type, 0); /* as on a machine whose device tree names no caches */
    }
    aux(a, AT_MINSIGSTKSZ, GUEST_MINSIGSTKSZ_AUX);
    aux(a, AT_HWCAP, hwcap(p->opt->exts));
    aux(a, AT_PAGESZ, GUEST_PAGE);
    aux(a, AT_CLKTCK, 100);
    aux(a, AT_PHDR, prog->phdr);
    aux(a, AT_PHENT, sizeof(Elf64_Phdr));
    aux(a, AT_PHNUM, im->nphdr);
    aux(a, AT_BASE, interp_base);
    aux(a, AT_FLAGS, 0);
    aux(a, AT_ENTRY, prog->entry);
    aux(a, AT_UID, ids != NULL ? ids->uid[FAKE_REAL] : getauxval(AT_UID));
    aux(a, AT_EUID, ids != NULL ? ids->uid[FAKE_EFFECTIVE] : getauxval(AT_EUID));
    aux(a, AT_GID, ids != NULL ? ids->gid[FAKE_REAL] : getauxval(AT_GID));
    aux(a, AT_EGID, ids != NULL ? ids->gid[FAKE_EFFECTIVE] : getauxval(AT_EGID));
    aux(a, AT_SECURE, p->opt->secure);
    aux(a, AT_RANDOM, random);
    aux(a, AT_EXECFN, execfn);
    aux(a, AT_NULL, 0);
}

uint64_t
exec_stack_limit(void)
{
    struct rlimit rl;
    host_syscall(SYS_prlimit64, 0, RLIMIT_STACK, 0, &rl);
    return rl.rlim_cur;
}

int64_t
exec_make_stack(struct process *p, const struct exec_start *s, const struct elf_image *im,
                const struct elf_mapped *prog, gva_t interp_base)
{
    size_t argc, envc;
    uint64_t arg_bytes = strings_bytes(s->argv, &argc), env_bytes = strings_bytes(s->envp, &envc);
    uint64_t name_bytes = strlen(s->execfn) + 1;
    uint64_t limit = exec_stack_limit(), bytes = arg_bytes + env_bytes + name_bytes + 8 * (argc + envc);
    bytes = (bytes + 16384 + STACK_EXTRA + GUEST_PAGE - 1) & ~(uint64_t)(GUEST_PAGE - 1);
    if (guest_base != 0) {
        bytes = limit > (UINT64_C(1) << 30) ? UINT64_C(8) << 20 : limit > bytes ? limit & -(uint64_t)GUEST_PAGE : bytes;
    }
    int64_t made = map_stack(p->map, bytes, PROT_READ | PROT_WRITE | (im->exec_stack ? PROT_EXEC : 0));
    if (made < 0) {
        return made;
    }

    p->stack_top = map_stack_top(p->map);
    gva_t execfn = p->stack_top - 8 - name_bytes;
    p->env_end = execfn;
    p->env_start = p->env_end - env_bytes;
    p->arg_end = p->env_start;
    p->arg_start = p->arg_end - arg_bytes;
    gva_t sp = p->arg_start;
    unsigned char random[16];
    nondet_random(random, sizeof random);
    if (map_random_offset(p->map) != 0) {
        uint16_t gap;
        nondet_random(&gap, sizeof gap);
        sp -= gap % 8192;
    }
    sp = (sp & ~UINT64_C(15)) - sizeof random;
    gva_t at_random = sp;

    struct auxv a = {.n = 0};
    fill_auxv(&a, p, im, prog, interp_base, at_random, execfn);
    uint64_t words = 1 + argc + 1 + envc + 1 + 2 * (uint64_t)a.n;
    sp = (sp - 8 * words) & ~UINT64_C(15);
    gva_t argv = sp + 8, envp = argv + 8 * (argc + 1);
    p->auxv_start = envp + 8 * (envc + 1);
    p->auxv_end = p->auxv_start + sizeof a.v[0] * a.n;
    if (guest_write_u64(sp, argc) != 0 || put_strings(s->argv, p->arg_start, argv) == 0 ||
        put_strings(s->envp, p->env_start, envp) == 0 || guest_write(execfn, s->execfn, name_bytes) != 0 ||
        guest_write(at_random, random, sizeof random) != 0 ||
        guest_write(p->auxv_start, a.v, sizeof a.v[0] * a.n) != 0) {
        return -E2BIG;
    }
    return (int64_t)sp;
}
