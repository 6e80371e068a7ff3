/*
 * prof.c - see prof.h: tables on stderr, JSON, and a flame graph (prof_svg.c)
 *
 * Each program of each process makes a report of its own; the JSON file gets a line for each, the graph a frame.
 */
#include "process/prof.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds_[] = {
    [PROFILE_NONE] = "none",     [PROFILE_BRANCH] = "branch",     [PROFILE_JUMP] = "jump",
    [PROFILE_CALL] = "call",     [PROFILE_RETURN] = "return",     [PROFILE_COMPUTED] = "computed",
};

const char *
prof_name(const struct engine_profile *p, uint32_t function)
{
    const char *name = p->functions[function].name;
    return name != NULL ? name : "[no file]";
}

/* The hottest first; what is equal by address, so that two runs of the same program say the same. */
static int
by_weight(uint64_t a, uint64_t b, uint64_t at_a, uint64_t at_b)
{
    return a != b ? (a > b ? -1 : 1) : at_a < at_b ? -1 : at_a > at_b;
}

static int
by_function(const void *a, const void *b)
{
    const struct profile_function *x = *(const struct profile_function *const *)a, *y = *(const struct profile_function *const *)b;
    return by_weight(x->insns, y->insns, x->start, y->start);
}

static int
by_block(const void *a, const void *b)
{
    const struct profile_block *x = a, *y = b;
    return by_weight(x->executed * x->n_insns, y->executed * y->n_insns, x->start, y->start);
}

static int
by_edge(const void *a, const void *b)
{
    const struct profile_edge *x = a, *y = b;
    const int r = by_weight(x->taken, y->taken, x->from, y->from);
    return r != 0 ? r : by_weight(0, 0, x->to, y->to);
}

static void
place(FILE *out, const struct engine_profile *p, uint64_t pc, uint32_t function)
{
    const struct profile_function *f = &p->functions[function];
    if (f->name == NULL || pc < f->start) {
        fprintf(out, "%" PRIx64, pc);
    } else if (f->nameless) {
        const char *slash = strrchr(f->object, '/');
        fprintf(out, "%s+0x%" PRIx64, slash != NULL ? slash + 1 : f->object, f->offset + (pc - f->start));
    } else {
        fprintf(out, pc == f->start ? "%s" : "%s+%#" PRIx64, f->name, pc - f->start);
    }
}

static void
text(FILE *out, const struct engine_profile *p, const struct profile_function *const *functions, const char *program, size_t top)
{
    fprintf(out, "doppel prof: %s, process %d: %" PRIu64 " instructions%s\n", program, (int)host_syscall(SYS_getpid), p->insns,
            p->incomplete ? ", as far as there was memory to count them" : "");
    fprintf(out, "%16s %6s %16s %12s  %s\n", "instructions", "%", "with callees", "calls", "function");
    for (size_t k = 0; k < p->n_functions && k < top && functions[k]->insns != 0; k++) {
        const struct profile_function *f = functions[k];
        fprintf(out, "%16" PRIu64 " %6.2f %16" PRIu64 " %12" PRIu64 "  %s\n", f->insns, 100.0 * (double)f->insns / (double)p->insns,
                f->total, f->calls, prof_name(p, (uint32_t)(f - p->functions)));
    }
    fprintf(out, "%16s %6s  %s\n", "executed", "insns", "block");
    for (size_t k = 0; k < p->n_blocks && k < top; k++) {
        const struct profile_block *b = &p->blocks[k];
        fprintf(out, "%16" PRIu64 " %6u  ", b->executed, b->n_insns);
        place(out, p, b->start, b->function);
        fprintf(out, " (%" PRIx64 ")\n", b->start);
    }
    fprintf(out, "%16s %-8s  %s\n", "taken", "", "edge");
    for (size_t k = 0; k < p->n_edges && k < top; k++) {
        const struct profile_edge *e = &p->edges[k];
        fprintf(out, "%16" PRIu64 " %-8s  ", e->taken, kinds_[e->kind]);
        place(out, p, e->from, e->function_from);
        fprintf(out, " -> ");
        place(out, p, e->to, e->function_to);
        fprintf(out, "\n");
    }
}

static void
json_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s != 0; s++) {
        if (*s == '"' || *s == '\\') {
            fputc('\\', out);
        }
        if ((unsigned char)*s < ' ') {
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*s);
        } else {
            fputc(*s, out);
        }
    }
    fputc('"', out);
}

static void
json(FILE *out, const struct engine_profile *p, const char *program)
{
    fprintf(out, "{\"program\":");
    json_string(out, program);
    fprintf(out, ",\"pid\":%d,\"instructions\":%" PRIu64 ",\"complete\":%s,\"functions\":[", (int)host_syscall(SYS_getpid), p->insns,
            p->incomplete ? "false" : "true");
    for (size_t k = 0; k < p->n_functions; k++) {
        const struct profile_function *f = &p->functions[k];
        fprintf(out, k != 0 ? ",{\"name\":" : "{\"name\":");
        json_string(out, prof_name(p, (uint32_t)k));
        if (f->object != NULL) {
            fprintf(out, ",\"object\":");
            json_string(out, f->object);
            fprintf(out, ",\"offset\":%" PRIu64, f->offset);
        }
        fprintf(out, ",\"start\":%" PRIu64 ",\"instructions\":%" PRIu64 ",\"total\":%" PRIu64 ",\"calls\":%" PRIu64 "}",
                f->start != UINT64_MAX ? f->start : 0, f->insns, f->total, f->calls);
    }
    fprintf(out, "],\"blocks\":[");
    for (size_t k = 0; k < p->n_blocks; k++) {
        const struct profile_block *b = &p->blocks[k];
        fprintf(out, "%s{\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",\"instructions\":%u,\"executed\":%" PRIu64 ",\"function\":%u}",
                k != 0 ? "," : "", b->start, b->end, b->n_insns, b->executed, b->function);
    }
    fprintf(out, "],\"edges\":[");
    for (size_t k = 0; k < p->n_edges; k++) {
        const struct profile_edge *e = &p->edges[k];
        fprintf(out, "%s{\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"kind\":\"%s\",\"taken\":%" PRIu64 ",\"from_function\":%u,\"to_function\":%u}",
                k != 0 ? "," : "", e->from, e->to, kinds_[e->kind], e->taken, e->function_from, e->function_to);
    }
    fprintf(out, "],\"paths\":[");
    for (size_t k = 0; k < p->n_paths; k++) {
        const struct profile_path *q = &p->paths[k];
        fprintf(out, "%s{\"parent\":%u,\"function\":%u,\"instructions\":%" PRIu64 ",\"calls\":%" PRIu64 "}", k != 0 ? "," : "",
                q->parent, q->function, q->insns, q->calls);
    }
    fprintf(out, "]}\n");
}

/* All of it, whatever a pipe takes at once. */
static void
put(int fd, const char *at, size_t n)
{
    while (n > 0) {
        const int64_t r = host_syscall(SYS_write, fd, at, n);
        if (r <= 0 && r != -EINTR) {
            break;
        }
        at += r > 0 ? r : 0;
        n -= r > 0 ? (size_t)r : 0;
    }
}

void
prof_report(struct task *t)
{
    const struct run_options *o = t->proc->opt;
    struct engine_profile p;
    if (!(o->tuning.show & ENGINE_PROFILE) || !engine_profile_get(t->proc->engine, &p)) {
        return;
    }
    const char *slash = strrchr(t->proc->exe_path, '/'), *program = slash != NULL ? slash + 1 : t->proc->exe_path;
    const struct profile_function **functions = calloc(p.n_functions, sizeof *functions);
    char *text_at = NULL, *json_at = NULL;
    size_t text_n = 0, json_n = 0;
    FILE *out = functions != NULL ? open_memstream(&text_at, &text_n) : NULL;
    if (out != NULL) {
        for (size_t k = 0; k < p.n_functions; k++) {
            functions[k] = &p.functions[k];
        }
        qsort(functions, p.n_functions, sizeof *functions, by_function);
        qsort(p.blocks, p.n_blocks, sizeof *p.blocks, by_block);
        qsort(p.edges, p.n_edges, sizeof *p.edges, by_edge);
        text(out, &p, functions, program, o->prof_top);
        fclose(out);
        put(o->log_fd, text_at, text_n);
    }
    out = o->prof_json_fd >= 0 ? open_memstream(&json_at, &json_n) : NULL;
    if (out != NULL) {
        json(out, &p, program);
        fclose(out);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        fcntl(o->prof_json_fd, F_SETLKW, &all); /* the file is opened to append; a line may be longer than a write */
        put(o->prof_json_fd, json_at, json_n);
        all.l_type = F_UNLCK;
        fcntl(o->prof_json_fd, F_SETLK, &all);
    }
    const int r = o->prof_svg_fd >= 0 ? prof_svg_add(o->prof_svg_fd, program, &p) : 0;
    if (r != 0) {
        dprintf(o->log_fd, "doppel prof: --svg: %s\n", strerror(-r));
    }
    free(text_at);
    free(json_at);
    free(functions);
    engine_profile_put(&p);
}
