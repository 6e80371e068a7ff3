/*
 * cmd_isa.c - doppel isa: what doppel knows of RISC-V, as text or JSON, and whether that can be
 * virtualized
 */
#include "cli/cli.h"

#include "isa/isa.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * The encoding, most significant bit first: 0, 1, or . for an operand. Cut where fields usually
 * meet: 31:25 24:20 19:15 14:12 11:7 6:0, and 15:13 12 11:7 6:2 1:0.
 */
static void
pattern(const struct insn_row *r, char out[48])
{
    static const uint32_t cut4 = 1u << 25 | 1 << 20 | 1 << 15 | 1 << 12 | 1 << 7;
    static const uint32_t cut2 = 1u << 13 | 1 << 12 | 1 << 7 | 1 << 2;

    for (int b = r->len * 8 - 1; b >= 0; b--) {
        *out++ = !(r->mask >> b & 1) ? '.' : r->match >> b & 1 ? '1' : '0';
        if ((r->len == 4 ? cut4 : cut2) >> b & 1) {
            *out++ = ' ';
        }
    }
    *out = 0;
}

/* Does a row of extension `ext` (plain or combined) belong to the extension that was asked for? */
static bool
wanted(const char *only, unsigned ext)
{
    if (only == NULL || strcasecmp(isa_ext_name(ext), only) == 0) {
        return true;
    }
    for (unsigned p = 0; p < EXT_COUNT; p++) {
        if (strcasecmp(isa_ext_name(p), only) == 0 && (isa_ext_members(ext) >> p & 1)) {
            return true;
        }
    }
    return false;
}

static void
dotted(const char *name, char out[32])
{
    snprintf(out, 32, "%s", name);
    for (char *c = out; *c != 0; c++) {
        *c = *c == '_' ? '.' : *c;
    }
}

static const char *
shown_ext(unsigned ext)
{
    const char *name = isa_ext_name(ext);
    return name[0] != 0 ? name : ext == EXT_RV32 ? "rv32" : ext == EXT_DEBUG ? "debug" : "priv";
}

static unsigned
list_insns(const char *only, bool json)
{
    unsigned shown = 0;
    for (size_t i = 0; i < isa_row_count; i++) {
        const struct insn_row *r = &isa_rows[i];
        char bits[48], name[32];
        if (!wanted(only, r->ext)) {
            continue;
        }
        pattern(r, bits);
        dotted(r->name, name);
        if (json) {
            printf("%s\n  {\"name\": \"%s\", \"bytes\": %u, \"match\": %" PRIu32
                   ", \"mask\": %" PRIu32 ", \"extension\": \"%s\", \"class\": \"%s\"}",
                   shown ? "," : "", name, r->len, r->match, r->mask, shown_ext(r->ext),
                   isa_class_name(r->cls));
        } else {
            printf("%-16s %-38s %-12s %s\n", name, bits, shown_ext(r->ext), isa_class_name(r->cls));
        }
        shown++;
    }
    return shown;
}

static unsigned
list_csrs(const char *only, bool json)
{
    static const char *const levels[] = {"user", "supervisor", "hypervisor", "machine"};
    unsigned shown = 0;

    for (size_t i = 0; i < isa_csr_count; i++) {
        const struct csr_row *r = &isa_csrs[i];
        const char *access = isa_csr_is_read_only(r->number) ? "ro" : "rw";
        if (!wanted(only, r->ext)) {
            continue;
        }
        if (json) {
            printf("%s\n  {\"number\": %u, \"name\": \"%s\", \"level\": \"%s\", \"access\": "
                   "\"%s\", \"extension\": "
                   "\"%s\", \"class\": \"%s\"}",
                   shown ? "," : "", r->number, r->name, levels[isa_csr_level(r->number)], access,
                   shown_ext(r->ext), isa_class_name(r->cls));
        } else {
            printf("0x%03x %-16s %-10s %s %-12s %s\n", r->number, r->name,
                   levels[isa_csr_level(r->number)], access, shown_ext(r->ext),
                   isa_class_name(r->cls));
        }
        shown++;
    }
    return shown;
}

/* A run of rows that share extension and gate: "hpmcounter3 … hpmcounter31". Pass ext < 0 to end
 * the last one. */
struct run {
    int ext;
    char first[32], last[32];
};

static void
run_add(struct run *run, int ext, const char *name)
{
    if (run->ext >= 0 && run->ext != ext) {
        const char *gate = isa_gate((unsigned)run->ext);
        bool one = strcmp(run->first, run->last) == 0;
        printf("  %-14s %s %-14s %-8s %s\n", run->first, one ? " " : "…", one ? "" : run->last,
               shown_ext((unsigned)run->ext), gate != NULL ? gate : "");
    }
    if (run->ext != ext) {
        dotted(name, run->first);
    }
    dotted(name, run->last);
    run->ext = ext;
}

static void
name_rows(unsigned cls)
{
    struct run run = {.ext = -1};
    for (size_t i = 0; i < isa_row_count; i++) {
        if (isa_rows[i].cls == cls) {
            run_add(&run, isa_rows[i].ext, isa_rows[i].name);
        }
    }
    for (size_t i = 0; i < isa_csr_count; i++) {
        if (isa_csrs[i].cls == cls) {
            run_add(&run, isa_csrs[i].ext, isa_csrs[i].name);
        }
    }
    run_add(&run, -1, "");
}

static void
theorem(bool json)
{
    struct popek_verdict v;
    bool holds = isa_popek(isa_rows, isa_row_count, isa_csrs, isa_csr_count, &v);

    if (json) {
        printf("{\"holds\": %s, \"innocuous\": %zu, \"privileged\": %zu, \"gated\": %zu, "
               "\"critical\": %zu}",
               holds ? "true" : "false", v.innocuous, v.privileged, v.gated, v.critical);
        return;
    }
    printf(
        "%zu instructions and %zu CSRs: %zu innocuous, %zu privileged, %zu gated, %zu critical\n",
        isa_row_count, isa_csr_count, v.innocuous, v.privileged, v.gated, v.critical);
    if (!holds) {
        printf("Popek and Goldberg: sensitive ⊆ privileged: does not hold; sensitive, and never "
               "trap in user mode:\n");
        name_rows(CLASS_CONTROL);
        name_rows(CLASS_BEHAVIOUR);
        return;
    }
    printf("Popek and Goldberg: sensitive ⊆ privileged: holds\n");
}

int
cmd_isa(int argc, char **argv)
{
    struct opts o = {.cmd = CMD_isa, .argc = argc, .argv = argv, .next = 1};
    const char *only = NULL;
    bool json = false, csrs = false, gates = false;

    for (int opt; (opt = opts_next(&o)) != OPTS_END;) {
        switch (opt) {
        case OPT_isa_ext:
            only = o.value;
            break;
        case OPT_isa_json:
            json = true;
            break;
        case OPT_isa_csrs:
            csrs = true;
            break;
        case OPT_isa_theorem:
            gates = true;
            break;
        default:
            return EXIT_DOPPEL;
        }
    }
    if (o.next != argc) {
        return cli_error(CMD_isa, "unexpected argument %s", argv[o.next]);
    }
    if (json) {
        printf("{\"instructions\": [");
        list_insns(only, true);
        printf("],\n\"csrs\": [");
        list_csrs(only, true);
        printf("],\n\"theorem\": ");
        theorem(true);
        printf("}\n");
        return 0;
    }
    if (gates) {
        theorem(false);
        printf("as long as the monitor closes the gates of\n");
        name_rows(CLASS_GATED);
        return 0;
    }
    if ((csrs ? list_csrs(only, false) : list_insns(only, false)) == 0) {
        return cli_error(CMD_isa, "nothing belongs to extension %s", only);
    }
    if (only == NULL) {
        theorem(false);
    }
    return 0;
}
