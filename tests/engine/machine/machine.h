/*
 * machine.h - for bare-metal programs that say what happens: in M-mode, without a library
 *
 * A trap is noted (trapped, last_*) and skipped: execution goes on behind the instruction, or at `resume` if that is set. What is
 * printed is the signature that engines, and QEMU, must agree on: no addresses of code, no time.
 */
#ifndef MACHINE_H
#define MACHINE_H

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define CSRR(name) ({ u64 v_; __asm__ volatile("csrr %0, " #name : "=r"(v_) : : "memory"); v_; })
#define CSRW(name, v) __asm__ volatile("csrw " #name ", %0" : : "r"((u64)(v)) : "memory")
#define CSRS(name, v) __asm__ volatile("csrs " #name ", %0" : : "r"((u64)(v)) : "memory")
#define CSRC(name, v) __asm__ volatile("csrc " #name ", %0" : : "r"((u64)(v)) : "memory")

extern volatile u64 trapped, last_cause, last_epc, last_tval, last_status, last_mode, resume;
extern volatile u64 traps_in_s; /* count of those that S-mode took */

void say(const char *s);
void say_hex(const char *name, u64 v);
/* "name: ok" or "name: cause C tval V (in S)", and forget it. tval 0 is left out if `no_tval`. */
void say_trap(const char *name);

/* Run fn in this mode (0 U, 1 S); it comes back by an ecall of its own end. Traps inside are noted as ever. */
void run_in(int mode, void (*fn)(void));

void trap_entry(void), s_entry(void);
u64 m_trap(u64 cause, u64 epc, u64 tval, u64 status, u64 *regs);
u64 s_trap(u64 cause, u64 epc, u64 tval, u64 status, u64 *regs);

#endif
