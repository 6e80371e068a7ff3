/*
 * vm_drive.c - see vm_drive.h
 *
 * --drive is spelled as QEMU spells it: OPTION=VALUE, with commas between them; a comma that belongs to a value is written twice.
 */
#include "cli/vm_drive.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum drive_interface { DRIVE_VIRTIO, DRIVE_PFLASH };

struct drive {
    struct block_spec spec;
    const char *serial;
    enum drive_interface interface;
    int unit; /* -1: the next */
    bool packed;
};

static int
file_error(const char *what, const char *path, int err)
{
    cli_error(CMD_boot, "%s: %s: %s", what, path, strerror(err));
    return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static int
add_disk(struct machine_config *cfg, const char *shown, const struct drive *d)
{
    if (cfg->n_disks == MACHINE_DISKS_MAX) {
        return cli_error(CMD_boot, "%s: at most %d disks", shown, MACHINE_DISKS_MAX);
    }
    const char *slash = strrchr(d->spec.file, '/');
    struct machine_disk disk = {
        .name = d->spec.file,
        .serial = d->serial != NULL ? d->serial : slash != NULL ? slash + 1 : d->spec.file,
        .packed = d->packed,
    };
    struct err e = {""};
    const int r = block_open(&d->spec, &disk.block, &e);
    if (r != 0) {
        cli_error(CMD_boot, "%s: %s", shown, e.text);
        return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
    }
    cfg->disks[cfg->n_disks++] = disk;
    return 0;
}

static int
add_flash(struct machine_config *cfg, const char *shown, const struct drive *d)
{
    const unsigned unit = d->unit >= 0 ? (unsigned)d->unit : cfg->flash[0].there;
    if (unit >= ARRAY_LEN(cfg->flash) || cfg->flash[unit].there) {
        return cli_error(CMD_boot, "%s: there are two banks of flash, units 0 and 1, for one file each", shown);
    }
    if (d->spec.format != NULL && strcmp(d->spec.format, "raw") != 0) {
        return cli_error(CMD_boot, "%s: flash is format=raw", shown);
    }
    struct machine_flash *f = &cfg->flash[unit];
    f->mode = d->spec.read_only ? FLASH_READ_ONLY : d->spec.snapshot ? FLASH_SNAPSHOT : FLASH_KEPT;
    f->fd = open(d->spec.file, (f->mode == FLASH_KEPT ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (f->fd < 0) {
        return file_error(shown, d->spec.file, errno);
    }
    f->there = true;
    return 0;
}

int
vm_disk_parse(struct machine_config *cfg, const char *shown, char *text)
{
    struct drive d = {.spec.file = text};
    for (char *comma; (comma = strrchr(text, ',')) != NULL; *comma = 0) {
        if (strcmp(comma, ",ro") == 0) {
            d.spec.read_only = true;
        } else if (strcmp(comma, ",packed") == 0) {
            d.packed = true;
        } else {
            break; /* part of the name */
        }
    }
    return add_disk(cfg, shown, &d);
}

/* Cut the next OPTION=VALUE off, doubled commas undone. NULL at the end. */
static char *
next_word(char **rest)
{
    char *const word = *rest, *to = word, *from = word;
    if (word == NULL) {
        return NULL;
    }
    while (*from != 0 && (*from != ',' || from[1] == ',')) {
        from += *from == ',';
        *to++ = *from++;
    }
    *rest = *from == ',' ? from + 1 : NULL;
    *to = 0;
    return word;
}

/* The index of `value` among `choices`, which end with NULL; -1 if it is none. */
static int
choice(const char *value, const char *const choices[])
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(value, choices[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int
take_word(struct drive *d, const char *shown, const char *name, const char *value)
{
    static const char *const switches[] = {"off", "on", NULL}, *const interfaces[] = {"virtio", "none", "pflash", NULL};
    static const char *const caches[] = {"writeback", "none", "writethrough", "directsync", "unsafe", NULL};
    static const enum block_cache cache_of[] = {BLOCK_WRITEBACK, BLOCK_WRITEBACK, BLOCK_WRITETHROUGH, BLOCK_WRITETHROUGH, BLOCK_UNSAFE};
    static const char *const formats[] = {"raw", "qcow2", NULL}, *const discards[] = {"ignore", "off", "unmap", "on", NULL};
    static const char *const units[] = {"0", "1", "2", "3", "4", "5", "6", "7", NULL}, *const media[] = {"disk", NULL};
    /* An option has a text, a switch, or one of these values; the same list as in help.def. */
    const struct {
        const char *name;
        const char *const *choices;
        const char **text;
        bool *flag;
    } words[] = {
        {"file", NULL, &d->spec.file, NULL},
        {"log", NULL, &d->spec.log, NULL},
        {"serial", NULL, &d->serial, NULL},
        {"id", NULL, NULL, NULL}, /* a name for who refers to it: nobody does */
        {"format", formats, &d->spec.format, NULL},
        {"media", media, NULL, NULL},
        {"readonly", switches, NULL, &d->spec.read_only},
        {"read-only", switches, NULL, &d->spec.read_only},
        {"snapshot", switches, NULL, &d->spec.snapshot},
        {"packed", switches, NULL, &d->packed},
        {"if", interfaces, NULL, NULL},
        {"unit", units, NULL, NULL},
        {"index", units, NULL, NULL},
        {"cache", caches, NULL, NULL},
        {"discard", discards, NULL, NULL},
    };
    unsigned i = 0;
    while (i < ARRAY_LEN(words) && strcmp(words[i].name, name) != 0) {
        i++;
    }
    if (i == ARRAY_LEN(words)) {
        return cli_error(CMD_boot, "%s: no option '%s': `doppel help boot` lists them", shown, name);
    }
    const int chosen = words[i].choices != NULL ? choice(value, words[i].choices) : 0;
    if (chosen < 0 || *value == 0) {
        return cli_error(CMD_boot, "%s: %s=%s is not understood", shown, name, value);
    }
    if (words[i].text != NULL) {
        *words[i].text = value;
    }
    if (words[i].flag != NULL) {
        *words[i].flag = chosen == 1;
    }
    if (words[i].choices == interfaces) {
        d->interface = chosen == 2 ? DRIVE_PFLASH : DRIVE_VIRTIO;
    } else if (words[i].choices == units) {
        d->unit = chosen;
    } else if (words[i].choices == caches) {
        d->spec.cache = cache_of[chosen];
    } else if (words[i].choices == discards) {
        d->spec.keep = chosen < 2;
    }
    return 0;
}

int
vm_drive_parse(struct machine_config *cfg, const char *shown, char *text)
{
    struct drive d = {.unit = -1};
    for (char *word; (word = next_word(&text)) != NULL;) {
        char *value = strchr(word, '=');
        if (value == NULL) {
            return cli_error(CMD_boot, "%s: OPTION=VALUE,…: %s", shown, word);
        }
        *value++ = 0;
        const int r = take_word(&d, shown, word, value);
        if (r != 0) {
            return r;
        }
    }
    if (d.spec.file == NULL) {
        return cli_error(CMD_boot, "%s: which file? file=PATH", shown);
    }
    return d.interface == DRIVE_PFLASH ? add_flash(cfg, shown, &d) : add_disk(cfg, shown, &d);
}
