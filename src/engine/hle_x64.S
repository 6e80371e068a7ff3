/*
 * hle_x64.S - host routines in place of libc's; see hle.h
 *
 *      in    rdi, r10, r11  the guest's a0, a1, a2       rbp, rsp  as in translated code       guest base 0
 *      out   rax            the guest's a0               CF  0: done; 1: not done
 *      free  rax rcx rdx xmm0-2 xmm4-15
 *
 * All other registers are left alone at every moment, so that a fault finds the guest's. Nothing is pushed: the stack is that of return
 * addresses. Addresses are checked where they begin: what follows is accessed upwards, in steps of less than a page, so the
 * page below the guest's top, which is never mapped, is met first. What goes downwards checks its end.
 *
 * Bytes are read that the guest's code would not read, but only of pages that it reads: vectors are aligned, or end within their
 * page or operand. Written is what it writes, in part twice. Loops poll.
 *
 * Each twice: with vectors of 16 bytes (SSE2), and of 32 (AVX2).
 */
#include "engine/hle.h"

#define NAME2(name, suffix) hle_##name##_##suffix

        .macro  loadu r:req, m:vararg
        .if AVX
        vmovdqu \m, %ymm\r
        .else
        movdqu  \m, %xmm\r
        .endif
        .endm

        .macro  loada r:req, m:vararg
        .if AVX
        vmovdqa \m, %ymm\r
        .else
        movdqa  \m, %xmm\r
        .endif
        .endm

        .macro  storeu r:req, m:vararg
        .if AVX
        vmovdqu %ymm\r, \m
        .else
        movdqu  %xmm\r, \m
        .endif
        .endm

        .macro  storea r:req, m:vararg
        .if AVX
        vmovdqa %ymm\r, \m
        .else
        movdqa  %xmm\r, \m
        .endif
        .endm

        .macro  copyv from:req, to:req
        .if AVX
        vmovdqa %ymm\from, %ymm\to
        .else
        movdqa  %xmm\from, %xmm\to
        .endif
        .endm

        /* An operation on xmm registers and memory of one operand each. */
        .macro  m op:req, operands:vararg
        .if AVX
        v\op    \operands
        .else
        \op     \operands
        .endif
        .endm

        /* to = op(to, from) for each byte */
        .macro  bytesr op:req, to:req, from:req
        .if AVX
        v\op    %ymm\from, %ymm\to, %ymm\to
        .else
        \op     %xmm\from, %xmm\to
        .endif
        .endm

        /* A bit of edx for each byte of r that is all ones. */
        .macro  bits r:req
        .if AVX
        vpmovmskb %ymm\r, %edx
        .else
        pmovmskb %xmm\r, %edx
        .endif
        .endm

        /* The lowest byte of that register everywhere in r. */
        .macro  spread from:req, r:req
        .if AVX
        vmovd   \from, %xmm\r
        vpbroadcastb %xmm\r, %ymm\r
        .else
        movd    \from, %xmm\r
        punpcklbw %xmm\r, %xmm\r
        punpcklwd %xmm\r, %xmm\r
        pshufd  $0, %xmm\r, %xmm\r
        .endif
        .endm

        .macro  done
        .if AVX
        vzeroupper
        .endif
        clc
        ret
        .endm

        .section .text.hot, "ax", @progbits
        .globl  hle_begin, hle_end
        .hidden hle_begin, hle_end
        .p2align 6
hle_begin:

        .set    AVX, 0
#define V 16
#define ALL 0xffff
#define N(name) NAME2(name, v1)
#include "engine/hle_x64.inc"
#undef V
#undef ALL
#undef N
        .set    AVX, 1
#define V 32
#define ALL 0xffffffff
#define N(name) NAME2(name, v3)
#include "engine/hle_x64.inc"

hle_end:
        .section .note.GNU-stack, "", @progbits
