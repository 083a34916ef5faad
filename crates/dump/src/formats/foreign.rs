//! Files that people hand over as dumps and that are none, or not yet: told so that the message can
//! say what to do.

const UNPACK: &str = "unpack it first";
const LIBVIRT: &str = "write one that can be opened with `virsh dump --memory-only`";
const QEMU: &str = "write one that can be opened with QEMU's `dump-guest-memory`";

/// Magic, offset of the magic, name, advice.
const FOREIGN: &[(&[u8], usize, &str, &str)] = &[
    (b"\x1f\x8b\x08", 0, "a gzip file", UNPACK),
    (b"\xfd7zXZ\0", 0, "an xz file", UNPACK),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd file", UNPACK),
    (b"BZh", 0, "a bzip2 file", UNPACK),
    (b"\x89LZO\0\r\n\x1a\n", 0, "an lzop file", UNPACK),
    (b"\x04\x22\x4d\x18", 0, "an lz4 file", UNPACK),
    (b"PK\x03\x04", 0, "a zip archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", UNPACK),
    (b"ustar", 257, "a tar archive", UNPACK),
    (b"LibvirtQemudSave", 0, "a libvirt save image", LIBVIRT),
    (b"LibvirtQemudPart", 0, "an unfinished libvirt save image", LIBVIRT),
    (b"QEVM", 0, "a QEMU migration stream", QEMU),
    (b"QFI\xfb", 0, "a qcow2 disk image", QEMU),
    (b"PAGEDU64", 0, "a Windows crash dump", "only Linux dumps can be opened"),
    (b"PAGEDUMP", 0, "a Windows crash dump", "only Linux dumps can be opened"),
    (b"MDMP", 0, "a minidump of a process", "only kernel dumps can be opened"),
    (
        b"\xed\x23\x8f\x61\x73\x01\x19\xa8",
        0,
        "an LKCD dump",
        "that format ended with Linux 2.6 and is not read",
    ),
    (b"DISKDUMP", 0, "a diskdump/netdump file", "that format ended with Linux 2.6 and is not read"),
    (b"AVML", 0, "a compressed AVML image", "convert it with `avml-convert` to the format lime or raw"),
    (b"\xd2\xbe\xd2\xbe", 0, "a VMware snapshot", "convert it with vmss2core -N"),
];

/// What a file is by its first bytes, and what to do with it; `None` for dumps and the unknown.
pub(crate) fn name(start: &[u8]) -> Option<(&'static str, &'static str)> {
    FOREIGN
        .iter()
        .find(|(magic, at, ..)| start.get(*at..).is_some_and(|s| s.starts_with(magic)))
        .map(|&(_, _, what, advice)| (what, advice))
}
