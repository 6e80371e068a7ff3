/*
 * vdso.S - the vDSO that riscv64 Linux maps into every program
 *
 * Each function makes the system call of its name, as the kernel's own does where it has no clock to read. Two things
 * count: the names and the version that libc looks up, and that __vdso_rt_sigreturn is these two instructions with no frame
 * description in reach of the address before it: by that, unwinders know a signal frame.
 */
	.text

	.macro FUNCTION name, number
	.globl \name
	.type \name, @function
\name:
	.cfi_startproc
	li a7, \number
	ecall
	ret
	.cfi_endproc
	.size \name, . - \name
	.balign 16
	.endm

	FUNCTION __vdso_clock_gettime, 113
	FUNCTION __vdso_clock_getres, 114
	FUNCTION __vdso_getcpu, 168
	FUNCTION __vdso_gettimeofday, 169
	FUNCTION __vdso_riscv_hwprobe, 258
	FUNCTION __vdso_flush_icache, 259

	.globl __vdso_rt_sigreturn
	.type __vdso_rt_sigreturn, @function
__vdso_rt_sigreturn:
	li a7, 139
	ecall
	.size __vdso_rt_sigreturn, . - __vdso_rt_sigreturn
	.section .note.GNU-stack, "", @progbits
