//! Images of disks, partitions and file systems, and files that hold no memory at all: a raw RAM image has no magic, so
//! that they would be taken for one.
//!
//! Sources: `file`'s magic database; the kernel's headers of each file system (`fs/*/`, `include/uapi/linux/magic.h`,
//! `raid/md_p.h`); ECMA-119 and ECMA-167; the VHD and EWF specifications. Marks behind the first bytes are looked at only
//! where nothing else tells what the file is, and it has no magic of a dump; a mark that is short is believed together
//! with fields that agree.

use super::Start;
use super::sign::{self, Kind, Sign, bytes};
use Sign::{At, End, Look};

const DISK: &str = "it holds a machine's disk, no memory: look for the dump in it (/var/crash, with guestmount), or write one \
                    of the running machine (QEMU: `dump-guest-memory`; VirtualBox: `VBoxManage debugvm VM dumpvmcore`)";
const EWF: &str = "convert it with `ewfexport -f raw`: the image of a machine's memory can be opened then";
const OTHER: &str = "no machine's memory is in it: name the dump (vmcore)";

/// Sign, name, advice; the first that fits counts.
const DISKS: &[Kind] = &[
    (At(512, b"EFI PART"), "the image of a disk with partitions (GPT)", DISK),
    (At(4096, b"EFI PART"), "the image of a disk with partitions (GPT)", DISK),
    (Look(is_ext), "the image of an ext2, ext3 or ext4 file system", DISK),
    (At(0, b"XFSB\0\0"), "the image of an XFS file system", DISK),
    (Look(is_btrfs), "the image of a Btrfs file system", DISK),
    (Look(is_f2fs), "the image of an F2FS file system", DISK),
    (Look(is_gfs2), "the image of a GFS2 file system", DISK),
    (At(0x8000, b"JFS1"), "the image of a JFS file system", DISK),
    (At(0x10034, b"ReIsEr"), "the image of a ReiserFS file system", DISK),
    (At(1024, b"OCFSV2"), "the image of an OCFS2 file system", DISK),
    (At(2048, b"OCFSV2"), "the image of an OCFS2 file system", DISK),
    (At(4096, b"OCFSV2"), "the image of an OCFS2 file system", DISK),
    (At(8192, b"OCFSV2"), "the image of an OCFS2 file system", DISK),
    (At(4096 + 24, &BCACHE), "the image of a bcache or bcachefs device", DISK),
    (At(4096 + 24, &BCACHEFS), "the image of a bcache or bcachefs device", DISK),
    (At(32, b"NXSB"), "the image of an APFS container", DISK),
    (At(3, b"NTFS    "), "the image of an NTFS file system", DISK),
    (At(3, b"EXFAT   "), "the image of an exFAT file system", DISK),
    (Look(is_fat), "the image of a FAT file system", DISK),
    (At(0x8001, b"CD001"), "the image of a CD or DVD (ISO 9660)", DISK),
    (At(0x8001, b"BEA01"), "the image of a DVD or another disk (UDF)", DISK),
    (Look(is_erofs), "an EROFS image", DISK),
    (At(0, b"hsqs"), "a squashfs image", DISK),
    (At(16, b"Compressed ROMFS"), "a cramfs image", DISK),
    (At(0, b"LUKS\xba\xbe"), "an encrypted disk (LUKS)", DISK),
    (At(512, b"LABELONE"), "the image of an LVM volume", DISK),
    (Look(is_raid), "the image of a disk of a RAID (md)", DISK),
    (Look(is_disk), "the image of a disk with partitions (MBR)", DISK),
    (At(0, b"QFI\xfb"), "a qcow2 disk image", DISK),
    (At(0, b"QED\0"), "a QED disk image", DISK),
    (At(0, b"KDMV"), "a VMDK disk image", DISK),
    (At(0, b"COWD"), "a VMDK disk image of ESX", DISK),
    (At(0, b"# Disk DescriptorFile"), "the description of a VMDK disk image", DISK),
    (At(0, b"vhdxfile"), "a VHDX disk image", DISK),
    (At(0, b"conectix"), "a VHD disk image", DISK),
    // of one whose size is fixed the description comes last; old ones are a byte shorter
    (End(512, b"conectix"), "a VHD disk image", DISK),
    (End(511, b"conectix"), "a VHD disk image", DISK),
    (At(64, b"\x7f\x10\xda\xbe"), "a VirtualBox disk image (VDI)", DISK),
    (At(0, b"WithoutFreeSpace"), "a Parallels disk image", DISK),
    (At(0, b"WithouFreSpacExt"), "a Parallels disk image", DISK),
    (End(512, b"koly\0\0\0\x04"), "a disk image of macOS (DMG)", DISK),
    (At(0, b"EVF\x09\r\n\xff\0"), "an image of EnCase (EWF)", EWF),
    (At(0, b"EVF2\r\n\x81\0"), "an image of EnCase (EWF)", EWF),
    (At(0, b"SQLite format 3\0"), "an SQLite database", OTHER),
    (At(0, b"PERFILE2"), "a recording of perf", OTHER),
    (At(0, b"\x17\x08\x44tracing"), "a recording of trace-cmd", OTHER),
    (At(0, b"JAVA PROFILE "), "the heap of a Java program", OTHER),
    (At(0, b"MSWIM\0\0\0"), "a Windows image (WIM)", OTHER),
    (At(0, b"\xd4\xc3\xb2\xa1\x02\0\x04\0"), "a capture of network packets", OTHER),
    (At(0, b"\x4d\x3c\xb2\xa1\x02\0\x04\0"), "a capture of network packets", OTHER),
    (At(0, b"\x0a\x0d\x0d\x0a"), "a capture of network packets", OTHER),
    (At(0, b"%PDF-"), "a PDF document", OTHER),
    (At(0, b"\x89PNG\r\n\x1a\n"), "a picture", OTHER),
    (At(0, b"\xff\xd8\xff\xe0"), "a picture", OTHER),
];

const BCACHE: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
const BCACHEFS: [u8; 16] =
    [0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];

/// What the image or file is, and what to do with it.
pub(super) fn name(start: &Start<'_>) -> Option<(&'static str, &'static str)> {
    sign::first(DISKS, start)
}

/// A number of so many bytes, little-endian.
fn number(start: &Start<'_>, at: u64, len: usize) -> Option<u64> {
    Some(bytes(start, at, len)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A superblock of ext2 and its successors (`fs/ext4/ext4.h`): magic, a block size, inodes, blocks, a state.
fn is_ext(start: &Start<'_>) -> bool {
    const SUPER: u64 = 1024;
    let read = || {
        let [inodes, blocks, log] = [0, 4, 24].map(|at| number(start, SUPER + at, 4));
        let (magic, state) = (number(start, SUPER + 56, 2)?, number(start, SUPER + 58, 2)?);
        Some(magic == 0xef53 && inodes? > 0 && blocks? > 0 && log? <= 6 && state <= 7)
    };
    read().unwrap_or(false)
}

/// Its superblock says where it is.
fn is_btrfs(start: &Start<'_>) -> bool {
    const SUPER: u64 = 0x10000;
    bytes(start, SUPER + 0x40, 8).is_some_and(|magic| *magic == *b"_BHRfS_M")
        && number(start, SUPER + 0x30, 8) == Some(SUPER)
}

/// Magic, version 1, sectors of 512 bytes to 4 KiB in blocks of 4 KiB or 16 KiB.
fn is_f2fs(start: &Start<'_>) -> bool {
    const SUPER: u64 = 1024;
    let log = |at: u64| number(start, SUPER + at, 4).unwrap_or(0);
    number(start, SUPER, 4) == Some(0xf2f5_2010)
        && number(start, SUPER + 4, 2) == Some(1)
        && (9..=12).contains(&log(8))
        && (12..=14).contains(&log(16))
}

/// A block's header: magic and the type of a superblock, big-endian.
fn is_gfs2(start: &Start<'_>) -> bool {
    bytes(start, 0x10000, 8).is_some_and(|header| *header == *b"\x01\x16\x19\x70\0\0\0\x01")
}

/// Magic, and blocks of 512 bytes to 64 KiB.
fn is_erofs(start: &Start<'_>) -> bool {
    const SUPER: u64 = 1024;
    number(start, SUPER, 4) == Some(0xe0f5_e1e2)
        && number(start, SUPER + 12, 1).is_some_and(|log| (9..=16).contains(&log))
}

/// The name of the file system in a boot sector.
fn is_fat(start: &Start<'_>) -> bool {
    let is = |at, name: &[u8]| bytes(start, at, 8).is_some_and(|found| *found == *name);
    let named = is(54, b"FAT12   ") || is(54, b"FAT16   ") || is(82, b"FAT32   ");
    named && number(start, 510, 2) == Some(0xaa55)
}

/// A superblock of version 1, at the front or 4 KiB behind it.
fn is_raid(start: &Start<'_>) -> bool {
    [0, 4096].iter().any(|at| number(start, *at, 8) == Some(1 << 32 | 0xa92b_4efc))
}

/// A boot sector: its mark, and four partitions, each active or not, with at least one that has a kind, a place and a
/// length, and none that has only a part of these.
fn is_disk(start: &Start<'_>) -> bool {
    if number(start, 510, 2) != Some(0xaa55) {
        return false;
    }
    let mut used = 0;
    let all = (0..4).map(|n| 446 + 16 * n).all(|at| {
        let (Some(status), Some(kind)) = (number(start, at, 1), number(start, at + 4, 1)) else {
            return false;
        };
        let (first, count) = (number(start, at + 8, 4).unwrap_or(0), number(start, at + 12, 4).unwrap_or(0));
        let is_used = kind != 0 && first != 0 && count != 0;
        used += u32::from(is_used);
        matches!(status, 0 | 0x80) && (is_used || (kind == 0 && count == 0))
    });
    all && used > 0
}
