/*
 * vm_ctl.h - the commands of doppel-vm that make no machine, but talk to those that run
 */
#ifndef DOPPEL_VM_CTL_H
#define DOPPEL_VM_CTL_H

int vm_ps(int argc, char **argv);
int vm_ctl(int argc, char **argv);

#endif
