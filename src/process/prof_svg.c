/*
 * prof_svg.c - a flame graph: who called whom, as wide as the instructions that it took
 *
 * The file holds the tree a second time, as text (depth, own instructions, name; in <metadata>), from which whoever adds to it reads
 * what others have put there. It needs nothing but a viewer of SVG; a frame's figures are in its title.
 *
 * Trust: the file may hold anything by then; what is not understood of it is left out.
 */
#include "process/prof.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 1200.0
#define ROW 16
#define LETTER 7.0     /* how wide one is, about */
#define THINNEST 0.2   /* of what is drawn */
#define DEPTH_MAX 1024 /* of what is read */
#define FILE_MAX (UINT64_C(256) << 20)

struct frame {
    char *name; /* own */
    uint64_t self, total;
    uint32_t parent, child, next, depth; /* 0: none; frame 0 is the root */
};

struct graph {
    struct frame *frames; /* own */
    uint32_t n, room;
    unsigned deepest;
};

/* The child of that name, made if need be; the parent itself without memory. */
static uint32_t
child_of(struct graph *g, uint32_t parent, const char *name)
{
    uint32_t *at = g->n != 0 ? &g->frames[parent].child : NULL;
    while (at != NULL && *at != 0) {
        if (strcmp(g->frames[*at].name, name) == 0) {
            return *at;
        }
        at = &g->frames[*at].next;
    }
    if (g->n == g->room) {
        const uint32_t room = g->room != 0 ? 2 * g->room : 256;
        struct frame *more = realloc(g->frames, room * sizeof *more);
        if (more == NULL) {
            return parent;
        }
        at = at != NULL ? (uint32_t *)(void *)((char *)more + ((char *)at - (char *)g->frames)) : NULL;
        g->frames = more;
        g->room = room;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return parent;
    }
    const unsigned depth = at != NULL ? g->frames[parent].depth + 1 : 0;
    g->frames[g->n] = (struct frame){.name = copy, .parent = parent, .depth = depth};
    g->deepest = depth > g->deepest ? depth : g->deepest;
    if (at != NULL) {
        *at = g->n;
    }
    return g->n++;
}

/* &lt; &gt; &amp; &quot; as put() writes them, in place. */
static void
plain(char *s)
{
    static const struct { const char *entity; char c; } entities[] = {{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&amp;", '&'}};
    char *to = s;
    while (*s != '\0') {
        size_t n = 0;
        for (size_t k = 0; k < sizeof entities / sizeof entities[0] && n == 0; k++) {
            n = strncmp(s, entities[k].entity, strlen(entities[k].entity)) == 0 ? strlen(entities[k].entity) : 0;
            *to = n != 0 ? entities[k].c : *s;
        }
        to++;
        s += n != 0 ? n : 1;
    }
    *to = '\0';
}

static void
escaped(FILE *out, const char *s, size_t max)
{
    for (; *s != '\0' && max-- > 0; s++) {
        const unsigned char c = (unsigned char)*s;
        switch (c) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '&': fputs("&amp;", out); break;
        default: fputc(c < ' ' || c >= 127 ? '?' : c, out);
        }
    }
}

/* What is there already. */
static void
read_tree(struct graph *g, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > FILE_MAX) {
        return;
    }
    char *text = malloc((size_t)st.st_size + 1);
    const ssize_t n = text != NULL ? pread(fd, text, (size_t)st.st_size, 0) : -1;
    uint32_t open[DEPTH_MAX] = {0};
    unsigned known = 0; /* how many of `open` are in use */
    if (n > 0) {
        text[n] = '\0';
        char *line = strstr(text, "<metadata>\n");
        line = line != NULL ? strchr(line, '\n') + 1 : text + n;
        for (char *end; *line != '<' && (end = strchr(line, '\n')) != NULL; line = end + 1) {
            unsigned depth;
            uint64_t self;
            int name = 0;
            *end = '\0';
            if (sscanf(line, "%u %" SCNu64 " %n", &depth, &self, &name) == 2 && name != 0 && depth >= 1 && depth < DEPTH_MAX &&
                depth <= known + 1) {
                plain(line + name);
                open[depth] = child_of(g, depth == 1 ? 0 : open[depth - 1], line + name);
                g->frames[open[depth]].self += self;
                known = depth;
            }
        }
    }
    free(text);
}

static void
add_paths(struct graph *g, const char *program, const struct engine_profile *p)
{
    uint32_t *at = calloc(p->n_paths, sizeof *at);
    if (at == NULL) {
        return;
    }
    at[0] = child_of(g, 0, program);
    for (size_t k = 1; k < p->n_paths; k++) {
        if (g->frames[at[p->paths[k].parent]].depth + 2 >= DEPTH_MAX) {
            at[k] = at[p->paths[k].parent];
            g->frames[at[k]].self += p->paths[k].insns;
        } else if (p->paths[k].calls != 0 || p->paths[k].insns != 0 || p->paths[k].parent == 0) {
            at[k] = child_of(g, at[p->paths[k].parent], prof_name(p, p->paths[k].function));
            g->frames[at[k]].self += p->paths[k].insns;
        } else {
            at[k] = at[p->paths[k].parent]; /* known from before a fork */
        }
    }
    free(at);
}

static void
draw(FILE *out, const struct graph *g, uint32_t k, double x, double width)
{
    const struct frame *f = &g->frames[k];
    const uint64_t all = g->frames[0].total;
    const unsigned y = (g->deepest - f->depth) * ROW + ROW;
    unsigned hue = 0;
    for (const char *c = f->name; *c != '\0'; c++) {
        hue = hue * 31 + (unsigned char)*c;
    }
    fprintf(out, "<g><title>");
    escaped(out, f->name, SIZE_MAX);
    fprintf(out, ": %" PRIu64 " instructions (%.2f%%), %" PRIu64 " its own</title>", f->total,
            100.0 * (double)f->total / (double)(all != 0 ? all : 1), f->self);
    fprintf(out, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"%d\" fill=\"hsl(%u,80%%,%u%%)\"/>", x, y, width, ROW - 1,
            hue % 50, 60 + hue / 50 % 15);
    if (width >= 3 * LETTER) {
        fprintf(out, "<text x=\"%.2f\" y=\"%u\">", x + 2, y + 12);
        escaped(out, f->name, (size_t)((width - 4) / LETTER));
        fprintf(out, "</text>");
    }
    fprintf(out, "</g>\n");
    for (uint32_t c = f->child; c != 0; c = g->frames[c].next) {
        const double w = f->total != 0 ? width * (double)g->frames[c].total / (double)f->total : 0;
        if (w >= THINNEST) {
            draw(out, g, c, x, w);
        }
        x += w;
    }
}

/* In the order in which read_tree() takes it. */
static void
put_tree(FILE *out, const struct graph *g, uint32_t k)
{
    for (uint32_t c = g->frames[k].child; c != 0; c = g->frames[c].next) {
        fprintf(out, "%u %" PRIu64 " ", g->frames[c].depth, g->frames[c].self);
        escaped(out, g->frames[c].name, SIZE_MAX);
        fputc('\n', out);
        put_tree(out, g, c);
    }
}

static int
write_graph(int fd, struct graph *g)
{
    char *text = NULL;
    size_t n = 0;
    for (uint32_t k = g->n; k-- > 0;) { /* children have higher numbers */
        g->frames[k].total += g->frames[k].self;
        if (k != 0) {
            g->frames[g->frames[k].parent].total += g->frames[k].total;
        }
    }
    FILE *out = open_memstream(&text, &n);
    if (out == NULL) {
        return -ENOMEM;
    }
    const unsigned height = (g->deepest + 2) * ROW;
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%u\" viewBox=\"0 0 %.0f %u\" "
            "font-family=\"monospace\" font-size=\"11\">\n<metadata>\n", WIDTH, height, WIDTH, height);
    put_tree(out, g, 0);
    fprintf(out, "</metadata>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
    draw(out, g, 0, 0, WIDTH);
    fprintf(out, "</svg>\n");
    int r = fclose(out) != 0 ? -ENOMEM : 0;
    if (r == 0 && (ftruncate(fd, 0) != 0 || pwrite(fd, text, n, 0) != (ssize_t)n)) {
        r = -errno;
    }
    free(text);
    return r;
}

int
prof_svg_add(int fd, const char *program, const struct engine_profile *p)
{
    struct graph g = {.n = 0};
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_SETLKW, &all);
    child_of(&g, 0, "all");
    int r = g.n == 1 ? 0 : -ENOMEM;
    if (r == 0) {
        read_tree(&g, fd);
        add_paths(&g, program, p);
        r = write_graph(fd, &g);
    }
    all.l_type = F_UNLCK;
    fcntl(fd, F_SETLK, &all);
    for (uint32_t k = 0; k < g.n; k++) {
        free(g.frames[k].name);
    }
    free(g.frames);
    return r;
}
