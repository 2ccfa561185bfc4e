#!/bin/bash
# Builds a machine for tests out of Debian packages: a kernel, a small initrd, and a root file system with udev, device
# mapper, md, and iSCSI targets and initiator. Needs root, and neither loop devices nor a network but Debian's.
#
#   build.sh FOLDER
#
# leaves vmlinuz, initrd.gz and root.ext4 in FOLDER. What was there is replaced when all is built.
set -euo pipefail

folder=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/vas-vm-image-XXXXXX")
trap 'rm -rf "$work"' EXIT

for sources in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources; do [ -s "$sources" ] && break; done

# The kernel's package is only unpacked: nothing of this machine changes. (The cloud flavour lacks drivers that are needed.)
package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-[0-9]/{print $2; exit}')
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package")
dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
version=$(basename "$work"/kernel/lib/modules/*)
depmod -b "$work/kernel" "$version"

# dpkg's thousands of fsyncs would take longer than all the rest.
root=$work/root
packages=udev,kmod,dmsetup,mdadm,open-iscsi,tgt,iproute2,nftables,e2fsprogs,fio,libstdc++6,procps
mmdebstrap --quiet --mode=root --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/eatmydata \
  --include="$packages,qemu-guest-agent" --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$root" "$sources"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

# copy_modules ROOT MODULE...: the modules, and what they depend on
copy_modules() {
  local to=$1 module
  shift
  for module in "$@"; do modprobe -d "$work/kernel" -S "$version" --show-depends "$module"; done |
    awk '$1 == "insmod" {print $2}' | sort -u | while read -r file; do
      install -D -m 644 "$file" "$to/${file#"$work/kernel/"}"
    done
  install -m 644 "$work/kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$to/lib/modules/$version/"
  depmod -b "$to" "$version"
}
disks=(virtio_pci virtio_blk ext4 crc32c_generic crc32c_intel)
copy_modules "$root" "${disks[@]}" virtio_rng virtio_console loop sd_mod iscsi_tcp \
  configfs target_core_mod target_core_iblock iscsi_target_mod md_mod raid1 dm_mod dm_multipath \
  dm_service_time dm_round_robin dm_delay dm_zero dm_snapshot virtio_net nf_tables

install -m 755 "$here/guest-init" "$root/sbin/guest-init"
"$here/../../../packaging/kernel/install" "$root"
echo 127.0.0.1 localhost >"$root/etc/hosts"

initrd=$work/initrd
mkdir -p "$initrd"/{bin,proc,sys,dev,new-root}
cp /bin/busybox "$initrd/bin/busybox"
copy_modules "$initrd" "${disks[@]}"
install -m 755 "$here/initrd-init" "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1 >"$work/initrd.gz")

# Straight from the folder: nothing has to be mounted. Mostly holes.
truncate -s "$(($(du -sm "$root" | cut -f1) * 12 / 10 + 1200))M" "$work/root.ext4"
mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=0:0 -d "$root" "$work/root.ext4"

mkdir -p "$folder"
cp "$work"/kernel/boot/vmlinuz-* "$folder/vmlinuz"
cp "$work/initrd.gz" "$folder/initrd.gz"
cp --sparse=always "$work/root.ext4" "$folder/root.ext4"
