/*
 * fp_formats.h - which instructions a closed FP gate (mstatus.FS) stops: their format says it
 */
#ifndef DOPPEL_FP_FORMATS_H
#define DOPPEL_FP_FORMATS_H

#define FMT_IS_FP(fmt)                                                                                          \
    (FMT_##fmt == FMT_FL || FMT_##fmt == FMT_FS || FMT_##fmt == FMT_F4 || FMT_##fmt == FMT_F3 ||                \
     FMT_##fmt == FMT_F2 || FMT_##fmt == FMT_F3N || FMT_##fmt == FMT_FC || FMT_##fmt == FMT_FX ||               \
     FMT_##fmt == FMT_FXR || FMT_##fmt == FMT_FXZ || FMT_##fmt == FMT_XFR || FMT_##fmt == FMT_XF ||             \
     FMT_##fmt == FMT_FLI)

#endif
