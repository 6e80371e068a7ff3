/*
 * boot_debian.h - a Debian of the user's own, made once, then booted
 */
#ifndef DOPPEL_BOOT_DEBIAN_H
#define DOPPEL_BOOT_DEBIAN_H

/* doppel boot debian, with its options in argv from 1 on. exec_vm becomes doppel-vm, or returns an exit status. */
int boot_debian(int argc, char **argv, int (*exec_vm)(char **argv));

#endif
