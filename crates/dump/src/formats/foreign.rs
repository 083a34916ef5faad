//! Files that people hand over as dumps and that are none, or not yet: told so that the message can
//! say what to do.
//!
//! Sources: `file`'s magic database; QEMU `block/`, `migration/`; VirtualBox `SSM.cpp`; crash `vmware_vmss.h` and
//! `vmware_guestdump.c`; makedumpfile `sadump_mod.h`; s390-tools `zdump/dfi_s390.h`; Xen `xenctrl.h`, `tools/xl`;
//! Proxmox `vma.h`; dissect.hypervisor (Hyper-V).

use super::elf::{Kind, is_user_program};
use super::sign::{self, Sign};
use super::{FORMATS, Start, disks, log};
use Sign::{At, Look};
use base::Bytes;

const UNPACK: &str = "unpack it first";
const UNPACK_CPIO: &str = "unpack it first (`cpio -id < FILE`): the dump may be in it";
const LIBVIRT: &str = "write one that can be opened with `virsh dump --memory-only`";
const QEMU: &str = "write one that can be opened with QEMU's `dump-guest-memory`";
const VMWARE: &str = "open the .vmem file that lies beside it, or convert both with `vmss2core -N`";
pub(super) const XEN: &str =
    "crash opens it; crashlens reads what the guest's own kdump writes (/proc/vmcore, makedumpfile)";
const S390: &str = "convert it with `zgetdump -f elf FILE > vmcore`: the physical memory of that can be read";
const WINDOWS: &str = "only Linux dumps can be opened";
const OLD: &str = "that format ended with Linux 2.6 and is not read";
const HYPER_V: &str = "let the guest's kdump write a dump: `Debug-VM -Name VM -InjectNonMaskableInterrupt` on the host, with \
                       kernel.unknown_nmi_panic=1 in the guest";
const TEXT: &str = "it tells about a kernel and is no dump: name the dump (vmcore) of that machine";

/// Sign, name, advice; the first that fits counts.
const FOREIGN: &[sign::Kind] = &[
    (At(0, b"\x1f\x8b\x08"), "a gzip file", UNPACK),
    (At(0, b"\xfd7zXZ\0"), "an xz file", UNPACK),
    (At(0, b"\x28\xb5\x2f\xfd"), "a zstd file", UNPACK),
    (At(0, b"BZh"), "a bzip2 file", UNPACK),
    (At(0, b"\x89LZO\0\r\n\x1a\n"), "an lzop file", UNPACK),
    (At(0, b"\x04\x22\x4d\x18"), "an lz4 file", UNPACK),
    (At(0, b"PK\x03\x04"), "a zip archive", UNPACK),
    (At(0, b"7z\xbc\xaf\x27\x1c"), "a 7z archive", UNPACK),
    (At(257, b"ustar"), "a tar archive", UNPACK),
    (Look(is_cpio), "a cpio archive (or an initramfs)", UNPACK_CPIO),
    (At(0, b"Rar!\x1a\x07"), "a rar archive", UNPACK),
    (At(0, b"LZIP\x01"), "an lzip file", UNPACK),
    (At(0, b"\x1f\x9d"), "a file of compress (.Z)", UNPACK),
    (At(0, b"\x1f\xa0"), "a packed file (.z)", UNPACK),
    (At(0, b"MSCF\0\0\0\0"), "a cabinet (.cab)", UNPACK),
    (At(0, b"xar!\0\x1c"), "a xar archive", UNPACK),
    (At(0, b"\x02\x21\x4c\x18"), "an lz4 file", UNPACK),
    (At(0, b"LibvirtQemudSave"), "a libvirt save image", LIBVIRT),
    (At(0, b"LibvirtQemudPart"), "an unfinished libvirt save image", LIBVIRT),
    (At(0, b"libvirt-xml\n"), "a Xen guest saved by libvirt", XEN),
    (At(0, b"QEVM"), "a QEMU migration stream", QEMU),
    (At(0, b"Xen saved domain, xl format"), "a Xen guest saved by `xl save`", XEN),
    (At(0, b"LinuxGuestRecord"), "a Xen guest saved by `xm save`", XEN),
    (At(0, b"\xff\xff\xff\xff\xff\xff\xff\xffXENF"), "a Xen migration stream", XEN),
    (At(0, b"\xed\xeb\x0f\xf0"), "a Xen core of an old `xm dump-core`", XEN),
    (At(0, b"\xee\xeb\x0f\xf0"), "a Xen core of an old `xm dump-core` (HVM)", XEN),
    (Look(is_xen_core), XEN_CORE, XEN),
    (At(0, b"sadump\0\0"), "an sadump dump (Fujitsu firmware)", SADUMP),
    (At(4096, b"sadump\0\0"), "an sadump dump on backup media (Fujitsu firmware)", SADUMP),
    (At(0, b"\xa8\x19\x01\x73\x61\x8f\x23\xfd"), "an s390 stand-alone dump", S390),
    (At(0, b"\xa8\x19\x01\x73\x61\x8f\x23\xfe"), "an extended s390 stand-alone dump", S390),
    (At(0, b"\xd0\xbe\xd0\xbe"), "a VMware snapshot of an old version", VMWARE),
    (At(0, b"\xd2\xbe\xd2\xbe"), "a VMware snapshot", VMWARE),
    (At(0, b"\xd0\xbe\xd2\xbe"), "a VMware snapshot", VMWARE),
    (At(0, b"\xd3\xbe\xd3\xbe"), "a partial VMware snapshot", VMWARE),
    (At(0, b"\xd1\xba\xd1\xba"), "a VMware snapshot that was restored", VMWARE),
    (At(0, b"\xd2\xba\xd2\xba"), "a VMware snapshot that cannot be restored", VMWARE),
    (
        Look(is_debug_guest),
        "VMware's debug.guest",
        "it has the CPUs of a machine whose memory is in debug.vmem: open that as a raw image",
    ),
    (
        At(0, b"VMA\0"),
        "a Proxmox backup (VMA)",
        "it holds disks: take them out with `vma extract`; a dump of a running machine is written by \
         `dump-guest-memory` in its monitor",
    ),
    (At(0, b"\x14\x20\x28\x01"), "a saved state of Hyper-V (VMRS)", HYPER_V),
    (
        At(0, b"\x7fVirtualBox SavedState "),
        "a saved state of VirtualBox",
        "start the machine from it and write a dump with `VBoxManage debugvm VM dumpvmcore --filename FILE`",
    ),
    (
        At(0, b"ProblemType: "),
        "an apport report (.crash)",
        "unpack it with `apport-unpack FILE FOLDER`: a kernel's dump is then FOLDER/VmCore",
    ),
    (
        Look(is_user_program),
        "an ELF program or library",
        "name the dump of a kernel, and its vmlinux beside it",
    ),
    (
        At(0x202, b"HdrS"),
        "a bootable kernel (bzImage)",
        "name a dump; the vmlinux that goes with it is in the kernel's debug package",
    ),
    (
        At(4086, b"S1SUSPEND"),
        "a swap area with a hibernated machine",
        "what it holds is packed by the kernel and only the kernel can read it: resume it",
    ),
    (At(4086, b"SWAPSPACE2"), "a swap area", "a machine's memory is not in it: name a dump"),
    (At(0, b"PAGEDU64"), "a Windows crash dump", WINDOWS),
    (At(0, b"PAGEDUMP"), "a Windows crash dump", WINDOWS),
    (At(0, b"MDMP"), "a minidump of a process", "only kernel dumps can be opened"),
    (At(0, b"minidump FreeBSD"), "a FreeBSD crash dump", WINDOWS),
    (At(0, b"\xed\x23\x8f\x61\x73\x01\x19\xa8"), "an LKCD dump", OLD),
    (At(0, b"\xa8\x19\x01\x73\x61\x8f\x23\xed"), "an LKCD dump of a big-endian machine", OLD),
    (At(0, b"DISKDUMP"), "a diskdump/netdump file", OLD),
    (At(0, b"AVML"), "a compressed AVML image", "convert it with `avml-convert` to the format lime or raw"),
    (
        At(0, b"LPKSHHRH"),
        "a systemd journal",
        "`journalctl --file FILE -k` shows the kernel's messages in it",
    ),
    (Look(is_symbol_list), "a list of symbols (System.map or kallsyms)", TEXT),
    (
        Look(is_text),
        "a text",
        "no machine's memory is in it, and no message of a kernel: name the dump (vmcore), or the log",
    ),
];

/// What a file is by its first bytes, and what to do with it; `None` for dumps and the unknown.
pub(crate) fn name(start: &Start<'_>) -> Option<(&'static str, &'static str)> {
    let named = sign::first(FOREIGN, start);
    // what has the magic of a dump is one
    let is_dump = || FORMATS.iter().any(|format| format.has_magic() && format.probe(start));
    named.or_else(|| if is_dump() { None } else { disks::name(start) })
}

/// What `xl dump-core` writes.
pub(super) const XEN_CORE: &str = "a Xen guest's core (`xl dump-core`)";

const SADUMP: &str = "convert it with `makedumpfile -c -d 0 -x VMLINUX FILE vmcore`";

/// An ELF core without a table of program headers: Xen keeps pages in sections (`.xen_pages`). QEMU's dumps have sections
/// too, so that a count of no headers alone may be damage.
fn is_xen_core(start: &Start<'_>) -> bool {
    let b = Bytes::new(start.bytes);
    let number = |at| b.u16_at(at).unwrap_or(0);
    let elf64 = start.bytes.get(4) == Some(&2);
    let (headers, sections) = if elf64 { (number(56), number(60)) } else { (number(44), number(48)) };
    let table = if elf64 { start.bytes.get(32..40) } else { start.bytes.get(28..32) };
    let has_table = table.is_some_and(|at| at.iter().any(|b| *b != 0));
    Kind::of(start.bytes) == Some(Kind::Core) && headers == 0 && sections > 1 && !has_table
}

/// cpio(5): `newc` with and without sums and the older form begin with digits, the oldest with a number of either byte order and a
/// name's length. A number of 16 bits is believed together with fields that agree.
fn is_cpio(start: &Start<'_>) -> bool {
    let text = [&b"070701"[..], b"070702", b"070707"].iter().any(|magic| start.bytes.starts_with(magic));
    let is_digits = || start.bytes.get(6..62).is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit));
    let binary = |order: fn([u8; 2]) -> u16| {
        let number = |at: usize| start.bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, order);
        let name_len = usize::from(number(20));
        let end = 26_usize.saturating_add(name_len);
        let name = start.bytes.get(26..end).and_then(<[u8]>::split_last);
        let is_name = name.is_some_and(|(last, name)| *last == 0 && !name.is_empty() && !name.contains(&0));
        number(0) == 0o070_707 && (2..=1024).contains(&name_len) && is_name
    };
    text && is_digits() || binary(u16::from_le_bytes) || binary(u16::from_be_bytes)
}

/// `struct guestdumpheader`: version, CPUs, a byte 1, vendor, eight bytes 0, last address, pages, holes. The last address
/// is what the pages and the holes add up to.
fn is_debug_guest(start: &Start<'_>) -> bool {
    let b = Bytes::new(start.bytes);
    let read = || {
        let (version, cpus, one) = (b.u32_at(0)?, b.u32_at(4)?, b.slice_at(8, 1)? == [1]);
        let (zero, last, pages) = (b.u64_at(14)?, b.u64_at(22)?, b.u64_at(30)?);
        let holes = b.u32_at(42)?;
        let hole = |n: usize| b.u64_at(46 + 16 * n + 8);
        let left_out = match holes {
            0 => 0,
            1 => hole(0)?,
            _ => hole(0)?.saturating_add(hole(1)?),
        };
        let all = pages.checked_add(left_out).and_then(|n| n.checked_mul(base::PAGE_SIZE));
        let sane = (1..=16).contains(&version) && (1..=4096).contains(&cpus) && holes <= 2 && pages > 0;
        Ok::<_, base::OutOfBounds>(sane && one && zero == 0 && last.checked_add(1) == all)
    };
    read().unwrap_or(false)
}

/// The lines of a text; `None` where the bytes are none.
fn lines<'a>(start: &'a Start<'_>) -> Option<impl Iterator<Item = &'a [u8]>> {
    let text = start.bytes.get(..start.bytes.len().min(4096))?;
    let printable = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x1b | b' '..=b'~' | 0x80..);
    (!text.is_empty() && text.iter().all(printable)).then(|| text.split(|&b| b == b'\n'))
}

/// `ffffffff81000000 T _text`
pub(crate) fn is_symbol_list(start: &Start<'_>) -> bool {
    let is_row = |line: &[u8]| {
        let mut words = line.split(|&b| b == b' ');
        let [Some(address), Some(kind), Some(name)] = [words.next(), words.next(), words.next()] else {
            return false;
        };
        matches!(address.len(), 8 | 16)
            && address.iter().all(u8::is_ascii_hexdigit)
            && matches!(kind, [k] if k.is_ascii_alphabetic() || *k == b'?')
            && !name.is_empty()
    };
    lines(start).is_some_and(|mut lines| lines.next().is_some_and(is_row))
}

/// A page of nothing but lines of text: memory begins otherwise, also where it is filled with one byte.
fn is_text(start: &Start<'_>) -> bool {
    let has_lines = start.bytes.get(..4096).is_some_and(|page| page.contains(&b'\n'));
    has_lines && lines(start).is_some() && !log::is_log(start)
}
