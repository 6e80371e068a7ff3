/*
 * cpu_model.h - what --cpu means
 */
#ifndef DOPPEL_CPU_MODEL_H
#define DOPPEL_CPU_MODEL_H

#include "base/err.h"
#include "isa/isa.h"

/*
 * "MODEL[,FEATURE]…": a profile, then extensions to add (zba, +zba, zba=on) or take away (-zba, zba=off) with what needs
 * them. 0 and *exts, or -EINVAL and *e.
 */
int cpu_model_parse(const char *text, ext_set *exts, struct err *e);

#endif
