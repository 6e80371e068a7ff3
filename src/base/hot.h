/*
 * hot.h - HOT functions lie side by side in the program
 *
 * For what runs at each system call, and at a fork: the text of a program is mapped anew by each child, 16 pages at a time, which
 * costs 3 µs each on a virtual machine.
 */
#ifndef DOPPEL_HOT_H
#define DOPPEL_HOT_H

#define HOT __attribute__((hot))

#endif
