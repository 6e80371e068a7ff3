/*
 * root_resolve.c - which packages a root has, and in which order they are installed
 *
 * Three groups, as debootstrap has them: what is required (Priority: required, or Essential: yes) with its
 * dependencies; the base system of the variant (apt for minbase; also what is important) with its own; and the packages
 * that the user asked for. A dependency is met by the first alternative that is already chosen, else by the first that
 * the archive has, a real package before one that provides it. The archive's suite is consistent, so there is no
 * search: a choice is never taken back, and conflicts are found at the end and told.
 *
 * The required group is installed as a whole. The others come in an order in which each follows what it depends on, and in
 * batches: before a package whose Pre-Depends is in the batch, the batch ends and is configured.
 *
 * Spec: Debian Policy, chapter 7.
 */
#include "cli/root_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One alternative: name (op version). */
struct relation {
    struct slice name, version;
    char op[3];
};

struct resolver {
    struct index *ix;
    struct pkg **chosen; /* own: in the order of choice; as many as the index has */
    size_t n;
    struct err *e;
};

static struct slice
trim(struct slice s)
{
    while (s.n > 0 && strchr(" \t\n", s.p[0]) != NULL) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && strchr(" \t\n", s.p[s.n - 1]) != NULL) {
        s.n--;
    }
    return s;
}

/* Take what stands before the next `sep`. False at the end. */
static bool
take(struct slice *rest, char sep, struct slice *part)
{
    if (rest->n == 0) {
        return false;
    }
    const char *at = memchr(rest->p, sep, rest->n);
    size_t n = at != NULL ? (size_t)(at - rest->p) : rest->n;
    *part = trim((struct slice){rest->p, n});
    size_t skip = n + (at != NULL);
    rest->p += skip;
    rest->n -= skip;
    return true;
}

static struct relation
relation_of(struct slice s)
{
    struct relation r = {.name = s};
    const char *open = memchr(s.p, '(', s.n);
    if (open != NULL) {
        r.name = trim((struct slice){s.p, (size_t)(open - s.p)});
        const char *close = memchr(open, ')', (size_t)(s.p + s.n - open));
        struct slice in = trim((struct slice){open + 1, (size_t)((close != NULL ? close : s.p + s.n) - open - 1)});
        size_t ops = 0;
        while (ops < in.n && ops < 2 && strchr("<>=", in.p[ops]) != NULL) {
            r.op[ops] = in.p[ops];
            ops++;
        }
        r.version = trim((struct slice){in.p + ops, in.n - ops});
    }
    const char *colon = memchr(r.name.p, ':', r.name.n); /* "python3:any" */
    if (colon != NULL) {
        r.name.n = (size_t)(colon - r.name.p);
    }
    return r;
}

static bool
version_fits(struct slice have, const struct relation *r)
{
    if (r->op[0] == '\0') {
        return true;
    }
    int d = version_compare(have, r->version);
    switch (r->op[0]) {
    case '<':
        return r->op[1] == '<' ? d < 0 : d <= 0;
    case '>':
        return r->op[1] == '>' ? d > 0 : d >= 0;
    default:
        return d == 0;
    }
}

static bool
provide_fits(const struct provide *v, const struct relation *r)
{
    return r->op[0] == '\0' || (v->version.n > 0 && version_fits(v->version, r));
}

/* Who meets a dependency among what is chosen; NULL: nobody. */
static struct pkg *
met_by(const struct index *ix, struct slice alternatives)
{
    struct slice alt;
    while (take(&alternatives, '|', &alt)) {
        struct relation r = relation_of(alt);
        struct pkg *p = index_find(ix, r.name);
        if (p != NULL && p->chosen && version_fits(p->version, &r)) {
            return p;
        }
        size_t n;
        const struct provide *v = index_provides(ix, r.name, &n);
        for (size_t i = 0; i < n; i++) {
            if (v[i].by->chosen && provide_fits(&v[i], &r)) {
                return v[i].by;
            }
        }
    }
    return NULL;
}

static int
priority_rank(const struct pkg *p)
{
    static const char *const order[] = {"required", "important", "standard", "optional"};
    struct slice s = stanza_field(p->stanza, "Priority");
    int rank = 0;
    while (rank < 4 && !slice_is(s, order[rank])) {
        rank++;
    }
    return rank;
}

/* Whom to choose for a dependency that nobody meets yet; NULL: the archive has none. */
static struct pkg *
candidate(const struct index *ix, struct slice alternatives)
{
    struct slice alt;
    while (take(&alternatives, '|', &alt)) {
        struct relation r = relation_of(alt);
        struct pkg *p = index_find(ix, r.name);
        if (p != NULL && version_fits(p->version, &r)) {
            return p;
        }
        size_t n;
        const struct provide *v = index_provides(ix, r.name, &n);
        struct pkg *best = NULL;
        for (size_t i = 0; i < n; i++) {
            if (provide_fits(&v[i], &r) && (best == NULL || priority_rank(v[i].by) < priority_rank(best))) {
                best = v[i].by;
            }
        }
        if (best != NULL) {
            return best;
        }
    }
    return NULL;
}

static void
choose(struct resolver *rs, struct pkg *p)
{
    if (!p->chosen) {
        p->chosen = true;
        rs->chosen[rs->n++] = p;
    }
}

static const char *const depends_fields[] = {"Pre-Depends", "Depends"};

/* Add what the packages chosen from `first` on need, and what those need. */
static int
close_group(struct resolver *rs, size_t first)
{
    for (size_t i = first; i < rs->n; i++) {
        struct pkg *p = rs->chosen[i];
        for (int f = 0; f < 2; f++) {
            struct slice list = stanza_field(p->stanza, depends_fields[f]), clause;
            while (take(&list, ',', &clause)) {
                if (clause.n == 0 || met_by(rs->ix, clause) != NULL) {
                    continue;
                }
                struct pkg *q = candidate(rs->ix, clause);
                if (q == NULL) {
                    err_set(rs->e, 0, "%.*s needs %.*s, which the suite does not have", (int)p->name.n, p->name.p,
                            (int)clause.n, clause.p);
                    return -ENOENT;
                }
                choose(rs, q);
            }
        }
    }
    return 0;
}

/* No two of the chosen may exclude each other. */
static int
check_conflicts(struct resolver *rs)
{
    static const char *const fields[] = {"Conflicts", "Breaks"};
    for (size_t i = 0; i < rs->n; i++) {
        struct pkg *p = rs->chosen[i];
        for (int f = 0; f < 2; f++) {
            struct slice list = stanza_field(p->stanza, fields[f]), clause;
            while (take(&list, ',', &clause)) {
                struct relation r = relation_of(clause);
                struct pkg *q = index_find(rs->ix, r.name);
                bool both = q != NULL && q->chosen && q != p && version_fits(q->version, &r);
                size_t n;
                const struct provide *v = index_provides(rs->ix, r.name, &n);
                for (size_t k = 0; k < n && !both; k++) {
                    q = v[k].by;
                    both = q->chosen && q != p && provide_fits(&v[k], &r);
                }
                if (both) {
                    err_set(rs->e, 0, "%.*s and %.*s cannot be installed together: leave one out", (int)p->name.n,
                            p->name.p, (int)q->name.n, q->name.p);
                    return -EEXIST;
                }
            }
        }
    }
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    const struct pkg *const *x = a, *const *y = b;
    size_t n = (*x)->name.n < (*y)->name.n ? (*x)->name.n : (*y)->name.n;
    int d = memcmp((*x)->name.p, (*y)->name.p, n);
    return d != 0 ? d : ((*x)->name.n > (*y)->name.n) - ((*x)->name.n < (*y)->name.n);
}

/* Does an unconfigured package of this batch meet one of p's Pre-Depends? */
static bool
needs_new_batch(const struct index *ix, const struct pkg *p, int batch)
{
    struct slice list = stanza_field(p->stanza, "Pre-Depends"), clause;
    while (take(&list, ',', &clause)) {
        const struct pkg *q = met_by(ix, clause);
        if (q != NULL && q->ordered && q->batch == batch) {
            return true;
        }
    }
    return false;
}

struct visit {
    struct pkg *p;
    struct slice rest[2]; /* of its two fields */
};

/*
 * Append p to the order, after all that it needs. Without recursion: dependency chains of a suite are long. A cycle is
 * entered where it is met first.
 */
static int
order_from(struct plan *plan, enum plan_group g, const struct index *ix, struct pkg *p, int *batch)
{
    struct visit *stack = NULL;
    size_t depth = 0, room = 0;
    struct pkg *next = p;
    for (;;) {
        if (next != NULL) {
            if (depth == room) {
                room = room == 0 ? 64 : 2 * room;
                struct visit *more = realloc(stack, room * sizeof *more);
                if (more == NULL) {
                    free(stack);
                    return -ENOMEM;
                }
                stack = more;
            }
            next->ordered = true;
            next->batch = -1;
            struct visit *v = &stack[depth++];
            v->p = next;
            for (int f = 0; f < 2; f++) {
                v->rest[f] = stanza_field(next->stanza, depends_fields[f]);
            }
            next = NULL;
        }
        struct visit *top = &stack[depth - 1];
        struct slice clause;
        if (take(&top->rest[0], ',', &clause) || take(&top->rest[1], ',', &clause)) {
            struct pkg *q = clause.n > 0 ? met_by(ix, clause) : NULL;
            next = q != NULL && !q->ordered ? q : NULL;
            continue;
        }
        if (needs_new_batch(ix, top->p, *batch)) {
            ++*batch;
        }
        top->p->batch = *batch;
        plan->list[g][plan->n[g]++] = top->p;
        if (--depth == 0) {
            free(stack);
            return 0;
        }
    }
}

/* Divide what is chosen into the plan's groups; [0, required) and [required, base) are the first two. */
static int
make_groups(struct plan *plan, struct resolver *rs, size_t required, size_t base)
{
    for (int g = 0; g < 3; g++) {
        /* any may be as long as all: an order takes along what it meets */
        plan->list[g] = calloc(rs->n + 1, sizeof(struct pkg *));
        if (plan->list[g] == NULL) {
            return err_set(rs->e, -ENOMEM, "plan");
        }
    }
    for (size_t i = 0; i < required; i++) {
        rs->chosen[i]->ordered = true;
        plan->list[PLAN_REQUIRED][plan->n[PLAN_REQUIRED]++] = rs->chosen[i];
    }
    qsort(plan->list[PLAN_REQUIRED], required, sizeof(struct pkg *), by_name);
    int batch = 1;
    for (size_t i = required; i < rs->n; i++) {
        enum plan_group g = i < base ? PLAN_BASE : PLAN_EXTRA;
        if (!rs->chosen[i]->ordered && order_from(plan, g, rs->ix, rs->chosen[i], &batch) != 0) {
            return err_set(rs->e, -ENOMEM, "plan");
        }
    }
    return 0;
}

/* A package by its name, or the only one that provides the name. */
static int
choose_asked(struct resolver *rs, const char *name)
{
    struct pkg *p = index_find(rs->ix, slice_of(name));
    if (p == NULL) {
        size_t n;
        const struct provide *v = index_provides(rs->ix, slice_of(name), &n);
        if (n != 1) {
            err_set(rs->e, 0, n == 0 ? "there is no package %s in the suite"
                                     : "%s is a virtual package: name one of those that provide it", name);
            return -ENOENT;
        }
        p = v->by;
    }
    p->asked = true;
    choose(rs, p);
    return 0;
}

int
plan_make(struct plan *plan, struct index *ix, const struct root_job *job, struct err *e)
{
    *plan = (struct plan){0};
    struct resolver rs = {.ix = ix, .e = e, .chosen = calloc(ix->n + 1, sizeof(struct pkg *))};
    if (rs.chosen == NULL) {
        return err_set(e, -ENOMEM, "plan");
    }
    for (size_t i = 0; i < ix->n; i++) {
        struct pkg *p = &ix->pkgs[i];
        if (slice_is(stanza_field(p->stanza, "Priority"), "required") ||
            slice_is(stanza_field(p->stanza, "Essential"), "yes")) {
            choose(&rs, index_find(ix, p->name));
        }
    }
    int code = close_group(&rs, 0);
    size_t required = rs.n, base = rs.n;
    if (code == 0) {
        for (size_t i = 0; i < ix->n && job->important; i++) {
            struct pkg *p = &ix->pkgs[i];
            if (slice_is(stanza_field(p->stanza, "Priority"), "important")) {
                choose(&rs, index_find(ix, p->name));
            }
        }
        struct pkg *apt = index_find(ix, slice_of("apt"));
        if (apt != NULL) {
            choose(&rs, apt);
        }
        if (strncmp(job->mirror, "https:", 6) == 0 && index_find(ix, slice_of("ca-certificates")) != NULL) {
            choose(&rs, index_find(ix, slice_of("ca-certificates")));
        }
        code = close_group(&rs, required);
        base = rs.n;
    }
    for (int i = 0; i < job->n_packages && code == 0; i++) {
        code = choose_asked(&rs, job->packages[i]);
    }
    code = code != 0 ? code : close_group(&rs, base);
    code = code != 0 ? code : check_conflicts(&rs);
    code = code != 0 ? code : make_groups(plan, &rs, required, base);
    free(rs.chosen);
    if (code != 0) {
        plan_free(plan);
    }
    return code;
}

void
plan_free(struct plan *plan)
{
    for (int g = 0; g < 3; g++) {
        free(plan->list[g]);
        plan->list[g] = NULL;
    }
}
