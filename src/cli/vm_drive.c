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
    char *file;
    char *format;
    enum drive_interface interface;
    int unit; /* -1: the next */
    bool read_only, snapshot, packed;
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
    struct machine_disk disk = {.name = d->file, .read_only = d->read_only, .packed = d->packed};
    disk.fd = open(d->file, (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (disk.fd < 0) {
        return file_error(shown, d->file, errno);
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
    if (d->format != NULL && strcmp(d->format, "raw") != 0) {
        return cli_error(CMD_boot, "%s: flash is format=raw", shown);
    }
    struct machine_flash *f = &cfg->flash[unit];
    f->mode = d->read_only ? FLASH_READ_ONLY : d->snapshot ? FLASH_SNAPSHOT : FLASH_KEPT;
    f->fd = open(d->file, (f->mode == FLASH_KEPT ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (f->fd < 0) {
        return file_error(shown, d->file, errno);
    }
    f->there = true;
    return 0;
}

int
vm_disk_parse(struct machine_config *cfg, const char *shown, char *text)
{
    struct drive d = {.file = text};
    for (char *comma; (comma = strrchr(text, ',')) != NULL; *comma = 0) {
        if (strcmp(comma, ",ro") == 0) {
            d.read_only = true;
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
take_word(struct drive *d, const char *shown, const char *name, char *value)
{
    static const char *const switches[] = {"off", "on", NULL}, *const formats[] = {"raw", NULL}, *const interfaces[] = {"virtio", "pflash", "none", NULL};
    static const char *const names[] = {"file", "format", "if", "unit", "index", "readonly", "snapshot", "packed", "id", "media", NULL};
    const int on = choice(value, switches), n = choice(name, names);
    bool good = true;
    switch (n) {
    case 0:
        d->file = value;
        good = *value != 0;
        break;
    case 1:
        d->format = value;
        good = choice(value, formats) >= 0;
        break;
    case 2: {
        const int i = choice(value, interfaces);
        good = i >= 0;
        d->interface = i == 1 ? DRIVE_PFLASH : DRIVE_VIRTIO;
        break;
    }
    case 3:
    case 4:
        d->unit = *value >= '0' && *value <= '9' && value[1] == 0 ? *value - '0' : -1;
        good = d->unit >= 0;
        break;
    case 5:
        d->read_only = on == 1;
        good = on >= 0;
        break;
    case 6:
        d->snapshot = on == 1;
        good = on >= 0;
        break;
    case 7:
        d->packed = on == 1;
        good = on >= 0;
        break;
    case 8: /* a name, for who would refer to it */
        break;
    case 9:
        good = strcmp(value, "disk") == 0;
        break;
    default:
        return cli_error(CMD_boot, "%s: no option '%s': file, format, if, unit, readonly, snapshot, packed", shown, name);
    }
    return good ? 0 : cli_error(CMD_boot, "%s: %s=%s is not understood", shown, name, value);
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
    if (d.file == NULL) {
        return cli_error(CMD_boot, "%s: which file? file=PATH", shown);
    }
    return d.interface == DRIVE_PFLASH ? add_flash(cfg, shown, &d) : add_disk(cfg, shown, &d);
}
