#!/bin/sh
# make-disk.sh [--grub DIR] [--esp 128M] [--append TEXT] ROOT.ext4 OUT.img [KERNELDIR [INITRD]]
# A disk that firmware boots alone, made as any user, without loop mounts: GPT, 1: an ESP (FAT) with kernel, initrd and what
# starts them, 2: the root, a copy of make-image.sh's. KERNELDIR and INITRD default to ./out/kernel and ./out/initrd.cpio.
# U-Boot takes /extlinux/extlinux.conf.
#   --grub DIR     also GRUB for EDK2 (or U-Boot's EFI), as /EFI/BOOT/BOOTRISCV64.EFI; DIR holds its modules: usr/lib/grub/riscv64-efi
#                  of grub-efi-riscv64-bin
#   --append TEXT  words for the kernel's command line
# Needs: sfdisk, mtools; for --grub also grub-mkimage (grub-common) of Debian 13 or newer: GRUB_MKIMAGE names another.
set -eu
. "${0%/*}/lib.sh"
grub= esp=128M append=
while [ $# -gt 0 ]; do case $1 in
	-h|--help) help ;;
	--grub) val "$@"; grub=$2; shift 2 ;;
	--esp) val "$@"; esp=$2; shift 2 ;;
	--append) val "$@"; append=$2; shift 2 ;;
	-*) die "unknown option $1 (see --help)" ;;
	*) break ;;
esac; done
[ $# -ge 2 ] || die "want ROOT.ext4 OUT.img (see --help)"
PATH=$PATH:/usr/sbin:/sbin; need sfdisk mformat mcopy mmd
root=$1 out=$2 kernel=${3:-./out/kernel} initrd=${4:-./out/initrd.cpio}
[ -r "$root" ] || die "no root $root (make-image.sh)"
[ -r "$kernel/Image" ] || die "no $kernel/Image (fetch-kernel.sh)"
[ -r "$initrd" ] || die "no initrd $initrd (make-initrd.sh)"
work=$(mktemp -d "${TMPDIR:-/tmp}/disk.XXXXXX"); trap 'rm -rf "$work"' EXIT
words="root=/dev/vda2 rw console=ttyS0${append:+ $append}"

mib=$((1 << 20)) esp_mib=${esp%M}
root_mib=$((($(stat -c %s "$root") + mib - 1) / mib))
rm -f "$out"
truncate -s "$((1 + esp_mib + root_mib + 1))M" "$out"
sfdisk -q "$out" <<PARTS
label: gpt
start=1MiB, size=${esp_mib}MiB, type=U, name=esp, attrs=LegacyBIOSBootable
start=$((1 + esp_mib))MiB, size=${root_mib}MiB, type=L, name=root
PARTS
dd if="$root" of="$out" bs=1M seek=$((1 + esp_mib)) conv=sparse,notrunc status=none

export MTOOLS_SKIP_CHECK=1
fat="$out@@1M"
mformat -i "$fat" -F -v ESP -h 64 -s 32 -T $((esp_mib * 2048)) -H 2048 ::
mmd -i "$fat" ::/extlinux
cat >"$work/extlinux.conf" <<CONF
default linux
timeout 10
label linux
	linux /Image
	initrd /initrd
	append $words
CONF
mcopy -i "$fat" "$work/extlinux.conf" ::/extlinux/
mcopy -i "$fat" "$kernel/Image" ::/Image
mcopy -i "$fat" "$initrd" ::/initrd
if [ "$grub" ]; then
	mkimage=${GRUB_MKIMAGE:-grub-mkimage}; need "$mkimage"
	[ -r "$grub/kernel.img" ] || die "no GRUB in $grub (grub-efi-riscv64-bin)"
	cat >"$work/grub.cfg" <<CONF
set timeout=1
search --no-floppy --label ESP --set=root
menuentry Linux {
	linux /Image $words
	initrd /initrd
}
CONF
	"$mkimage" -O riscv64-efi -d "$grub" -p /EFI/BOOT -o "$work/grub.efi" \
		part_gpt fat ext2 normal linux configfile search search_label echo ls cat help test boot reboot halt minicmd
	mmd -i "$fat" ::/EFI ::/EFI/BOOT
	mcopy -i "$fat" "$work/grub.efi" ::/EFI/BOOT/BOOTRISCV64.EFI
	mcopy -i "$fat" "$work/grub.cfg" ::/EFI/BOOT/grub.cfg
fi
ls -ls "$out"
