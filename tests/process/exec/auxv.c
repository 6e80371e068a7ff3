/* riscv only */
/* auxv.c - the stack that a program starts with, as riscv64 Linux makes it */
#include "../abi.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

extern char **environ;
extern const char __ehdr_start[];

int
main(int argc, char **argv)
{
    uint64_t *p = (uint64_t *)argv - 1;
    EQUAL(p[0], argc);
    CHECK((uintptr_t)p % 16 == 0);
    CHECK(environ >= argv + argc + 1);
    /* strings lie in order: arguments, environment, file name, eight zero bytes, top */
    char *s = argv[0];
    for (int i = 0; i < argc; i++) {
        CHECK(argv[i] == s);
        s += strlen(s) + 1;
    }
    for (char **e = environ; *e != NULL; e++) {
        CHECK(*e == s);
        s += strlen(s) + 1;
    }
    CHECK((char *)getauxval(AT_EXECFN) == s);
    s += strlen(s) + 1;
    EQUAL((uintptr_t)(s + 8) % 4096, 0);

    EQUAL(getauxval(AT_PAGESZ), 4096);
    EQUAL(getauxval(AT_CLKTCK), 100);
    EQUAL(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    CHECK(getauxval(AT_PHDR) == (uintptr_t)__ehdr_start + ((const Elf64_Ehdr *)__ehdr_start)->e_phoff);
    EQUAL(getauxval(AT_PHNUM), ((const Elf64_Ehdr *)__ehdr_start)->e_phnum);
    EQUAL(getauxval(AT_ENTRY), ((const Elf64_Ehdr *)__ehdr_start)->e_entry);
    EQUAL(getauxval(AT_UID), getuid());
    EQUAL(getauxval(AT_EGID), getegid());
    EQUAL(getauxval(AT_SECURE), 0);
    CHECK(getauxval(AT_RANDOM) != 0 && getauxval(AT_MINSIGSTKSZ) >= 1088);
    const uint64_t imafdc = 1 << 8 | 1 << 12 | 1 | 1 << 5 | 1 << 3 | 1 << 2;
    EQUAL(getauxval(AT_HWCAP) & imafdc, imafdc);
    const Elf64_Ehdr *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
    CHECK(vdso != NULL && memcmp(vdso->e_ident, ELFMAG, 4) == 0 && vdso->e_machine == EM_RISCV);
    struct utsname u;
    CHECK(uname(&u) == 0 && strcmp(u.machine, "riscv64") == 0 && strncmp(u.release, "6.", 2) == 0);

    /* riscv_hwprobe: the base behaviour, and something unknown */
    struct {
        int64_t key;
        uint64_t value;
    } q[3] = {{3, 0}, {4, 0}, {1000, 5}};
    EQUAL(syscall(258, q, 3, 0, NULL, 0), 0);
    CHECK(q[0].value == 1 && (q[1].value & 3) == 3 && q[2].key == -1 && q[2].value == 0);
    return 0;
}
