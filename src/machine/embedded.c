/*
 * embedded.c - the guest that is always there (guests/embedded)
 */
#include "machine/boot.h"

#include "embedded_bytes.h"

const struct boot_image boot_embedded = { .path = NULL, .mem = embedded_bytes, .n_mem = sizeof embedded_bytes };
