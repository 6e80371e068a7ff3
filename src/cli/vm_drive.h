/*
 * vm_drive.h - --disk and --drive
 */
#ifndef DOPPEL_VM_DRIVE_H
#define DOPPEL_VM_DRIVE_H

#include "machine/machine.h"

/* Each changes `text`, keeps pieces of it in *cfg, and opens the file. 0, or an exit status after a message. */
int vm_disk_parse(struct machine_config *cfg, const char *shown, char *text);
int vm_drive_parse(struct machine_config *cfg, const char *shown, char *text);

#endif
