//! Files of other kinds are named, with what to do; never called corrupt.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::PhysRead;
use dump::{Dump, DumpError};
use testkit::dump::{ElfPieces, flatten, note};

/// What the error says the file is; and that it says what to do.
#[track_caller]
fn told(bytes: Vec<u8>) -> String {
    match Dump::from_bytes(vec![bytes]) {
        Err(DumpError::Foreign { what, advice, .. }) => {
            assert!(advice.len() > 10, "{what}");
            what
        }
        other => panic!("{other:?}"),
    }
}

/// A file as long as a raw image can be, which it must not be taken for.
fn file(magic: &[u8], at: usize) -> Vec<u8> {
    let mut out = vec![0; 1 << 20];
    out[at..at + magic.len()].copy_from_slice(magic);
    out
}

#[test]
fn other_formats_by_their_magic() {
    let all: [(&[u8], usize, &str); 37] = [
        (b"sadump\0\0", 0, "an sadump dump (Fujitsu firmware)"),
        (b"sadump\0\0", 4096, "an sadump dump on backup media (Fujitsu firmware)"),
        (&0xa819_0173_618f_23fd_u64.to_be_bytes(), 0, "an s390 stand-alone dump"),
        (&0xa819_0173_618f_23fe_u64.to_be_bytes(), 0, "an extended s390 stand-alone dump"),
        (&0xa819_0173_618f_23ed_u64.to_le_bytes(), 0, "an LKCD dump"),
        (&0xa819_0173_618f_23ed_u64.to_be_bytes(), 0, "an LKCD dump of a big-endian machine"),
        (&0xbed0_bed0_u32.to_le_bytes(), 0, "a VMware snapshot of an old version"),
        (&0xbed2_bed2_u32.to_le_bytes(), 0, "a VMware snapshot"),
        (&0xbed3_bed3_u32.to_le_bytes(), 0, "a partial VMware snapshot"),
        (&0xbad1_bad1_u32.to_le_bytes(), 0, "a VMware snapshot that was restored"),
        (&0xbad2_bad2_u32.to_le_bytes(), 0, "a VMware snapshot that cannot be restored"),
        (&0xbed2_bed0_u32.to_le_bytes(), 0, "a VMware snapshot"),
        (b"EFI PART\0\0\x01\0", 512, "the image of a disk with partitions (GPT)"),
        (b"XFSB\0\0\x10\0", 0, "the image of an XFS file system"),
        (b"LUKS\xba\xbe\0\x02", 0, "an encrypted disk (LUKS)"),
        (b"LABELONE", 512, "the image of an LVM volume"),
        (b"VMA\0\0\0\0\x01", 0, "a Proxmox backup (VMA)"),
        (b"KDMV\x01\0\0\0", 0, "a VMDK disk image"),
        (b"COWD", 0, "a VMDK disk image of ESX"),
        (b"# Disk DescriptorFile\nversion=1\n", 0, "the description of a VMDK disk image"),
        (b"vhdxfile", 0, "a VHDX disk image"),
        (b"conectix", 0, "a VHD disk image"),
        (&0xbeda_107f_u32.to_le_bytes(), 64, "a VirtualBox disk image (VDI)"),
        (b"\x7fVirtualBox SavedState V2.0\n", 0, "a saved state of VirtualBox"),
        (&0x0128_2014_u32.to_le_bytes(), 0, "a saved state of Hyper-V (VMRS)"),
        (b"QFI\xfb\0\0\0\x03", 0, "a qcow2 disk image"),
        (b"QEVM\0\0\0\x03", 0, "a QEMU migration stream"),
        (b"Xen saved domain, xl format\n \0 \r", 0, "a Xen guest saved by `xl save`"),
        (b"LinuxGuestRecord", 0, "a Xen guest saved by `xm save`"),
        (&0xf00f_ebed_u32.to_le_bytes(), 0, "a Xen core of an old `xm dump-core`"),
        (&0xf00f_ebee_u32.to_le_bytes(), 0, "a Xen core of an old `xm dump-core` (HVM)"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xffXENF", 0, "a Xen migration stream"),
        (b"HdrS", 0x202, "a bootable kernel (bzImage)"),
        (b"S1SUSPEND\0", 4086, "a swap area with a hibernated machine"),
        (b"SWAPSPACE2", 4086, "a swap area"),
        (b"LPKSHHRH", 0, "a systemd journal"),
        (b"ProblemType: KernelCrash\nArchitecture: amd64\n", 0, "an apport report (.crash)"),
    ];
    for (magic, at, what) in all {
        assert_eq!(told(file(magic, at)), what);
    }
    assert_eq!(told(flatten(&file(b"vhdxfile", 0), 4096)), "a VHDX disk image");
}

#[test]
fn archives() {
    let newc = b"07070100000001000081a40000000000000000000000016565656500000010";
    let odc = b"0707070000010000011006440000000000000000010000001456666666000002";
    // magic, device, inode, mode, owner, group, links, device, time, length of the name, size: "r"
    let numbers = [0o070_707_u16, 1, 2, 0o100_644, 0, 0, 1, 0, 1, 2, 2, 0, 4];
    let old = |bytes: fn(u16) -> [u8; 2]| [&numbers.map(bytes).concat()[..], b"r\0"].concat();
    for front in [newc.to_vec(), odc.to_vec(), old(u16::to_le_bytes), old(u16::to_be_bytes)] {
        assert_eq!(told(file(&front, 0)), "a cpio archive (or an initramfs)");
    }
    // memory can begin with this number
    assert!(Dump::from_bytes(vec![file(&0o070_707_u16.to_le_bytes(), 0)]).is_ok());
    assert_eq!(told(file(b"Rar!\x1a\x07\x01\0", 0)), "a rar archive");
    assert_eq!(told(file(b"Rar!\x1a\x07\0", 0)), "a rar archive");
    assert_eq!(told(file(b"LZIP\x01", 0)), "an lzip file");
    assert_eq!(told(file(b"MSCF\0\0\0\0", 0)), "a cabinet (.cab)");
}

#[test]
fn texts() {
    let map = "0000000000000000 D __per_cpu_start\nffffffff81000000 T _text\n";
    assert_eq!(told(map.into()), "a list of symbols (System.map or kallsyms)");
    let modules = "ffffffffc0000000 t init\t[crc32]\n".repeat(1 << 15);
    assert_eq!(told(modules[..1 << 20].into()), "a list of symbols (System.map or kallsyms)");
    for log in [
        "[    0.000000] Linux version 6.1.0 (gcc)\n[    0.000000] Command line: quiet\n",
        "<6>[12345.678901] BUG: unable to handle page fault\n",
        "[Sun Nov 29 09:54:07 2026] BUG: kernel NULL pointer dereference\n",
        "-- Journal begins at Mon --\nNov 29 09:54:07 host kernel: Linux version 6.1\n",
        "2026-11-29T09:54:07 host kernel: [    1.5] x\n",
        "2026-11-29T09:54:07,123456+00:00 Linux\n",
        "6,339,5140900,-;usb 1-1: new device\n SUBSYSTEM=usb\n",
        "\x1b[32m[    0.000000] \x1b[0mBooting\n",
        "\x1b[33m[Sun Nov 29 09:54:07 2026] \x1b[0mBooting\n",
        "------------[ cut here ]------------\nWARNING: at x\n",
    ] {
        let dump = Dump::from_bytes(vec![log.into()]).unwrap();
        assert_eq!((dump.format(), dump.ranges().len()), (dump::LOG, 0), "{log}");
        assert_eq!(dump.facts().log.as_deref(), Some(log.as_bytes()), "{log}");
    }
    // firmware had the console first, and the line adds noise
    let bios = "SeaBIOS (version 1.16.2)\r\nBooting from ROM...\r\n".repeat(400);
    let late = format!("{bios}\u{0}\u{1}[    0.000000] Linux version 6.1.0\r\n");
    assert_eq!(Dump::from_bytes(vec![late.into()]).unwrap().format(), dump::LOG);
    assert_eq!(told(bios.into()), "a text");
    let prose = "a letter about [1] a kernel\n".repeat(99);
    assert!(matches!(Dump::from_bytes(vec![prose.into()]), Err(DumpError::NotADump { .. })));
}

/// A boot sector, and a file system without one.
#[test]
fn disks() {
    let mut disk = file(&[0x55, 0xaa], 510);
    assert!(Dump::from_bytes(vec![disk.clone()]).is_ok(), "no partition: memory can have these two bytes");
    disk[446..462].copy_from_slice(&[0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]);
    assert_eq!(told(disk.clone()), "the image of a disk with partitions (MBR)");
    disk[462] = 7;
    assert!(Dump::from_bytes(vec![disk]).is_ok(), "a partition is active or not");
    let mut block = vec![0; 64];
    for (at, value) in [(0, 1000_u32), (4, 4000), (24, 2), (56, 0x1_ef53)] {
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    assert_eq!(told(file(&block, 1024)), "the image of an ext2, ext3 or ext4 file system");
}

/// Marks that lie behind the first bytes, and at the end.
#[test]
fn file_systems() {
    let btrfs = [&0x10000_u64.to_le_bytes()[..], &[0; 8], b"_BHRfS_M"].concat();
    let f2fs: Vec<u8> = [0xf2f5_2010_u32, 1 | 16 << 16, 9, 3, 12].map(u32::to_le_bytes).concat();
    let raid: Vec<u8> = [0xa92b_4efc_u32, 1].map(u32::to_le_bytes).concat();
    let erofs = [&0xe0f5_e1e2_u32.to_le_bytes()[..], &[0; 8], &[12]].concat();
    let all: [(&[u8], usize, &str); 17] = [
        (&btrfs, 0x10030, "the image of a Btrfs file system"),
        (&f2fs, 1024, "the image of an F2FS file system"),
        (b"\x01\x16\x19\x70\0\0\0\x01", 0x10000, "the image of a GFS2 file system"),
        (b"JFS1", 0x8000, "the image of a JFS file system"),
        (b"ReIsEr2Fs", 0x10034, "the image of a ReiserFS file system"),
        (b"OCFSV2", 8192, "the image of an OCFS2 file system"),
        (b"\x01CD001\x01", 0x8000, "the image of a CD or DVD (ISO 9660)"),
        (b"\0BEA01\x01", 0x8000, "the image of a DVD or another disk (UDF)"),
        (&erofs, 1024, "an EROFS image"),
        (&raid, 4096, "the image of a disk of a RAID (md)"),
        (b"\xeb\x52\x90NTFS    ", 0, "the image of an NTFS file system"),
        (b"SQLite format 3\0", 0, "an SQLite database"),
        (b"EVF\x09\r\n\xff\0", 0, "an image of EnCase (EWF)"),
        (b"PERFILE2", 0, "a recording of perf"),
        (b"%PDF-1.7\n", 0, "a PDF document"),
        (b"conectix", (1 << 20) - 512, "a VHD disk image"),
        (b"koly\0\0\0\x04", (1 << 20) - 512, "a disk image of macOS (DMG)"),
    ];
    for (magic, at, what) in all {
        assert_eq!(told(file(magic, at)), what);
    }
    // a fixed VHD is no whole number of pages
    let mut vhd = vec![0; (1 << 20) + 512];
    vhd[1 << 20..(1 << 20) + 8].copy_from_slice(b"conectix");
    assert_eq!(told(vhd), "a VHD disk image");
    assert_eq!(told(b"some words of a line\n".repeat(1 << 16)), "a text");
    // memory that is filled with one byte, which could be a letter
    assert!(Dump::from_bytes(vec![vec![b'x'; 1 << 20]]).is_ok());
    // a mark by chance, and memory that the user places
    for (magic, at) in [(&b"_BHRfS_M"[..], 0x10040), (b"\xfc\x4e\x2b\xa9", 4096), (&f2fs[..4], 1024)] {
        assert!(Dump::from_bytes(vec![file(magic, at)]).is_ok());
    }
}

/// A process's core is named also where a dump is given beside it.
#[test]
fn a_core_of_a_process_beside_a_dump() {
    let core = ElfPieces::default().load(0, &[1; 4096], 4096).notes(&note("CORE", 6, &[0; 16])).build();
    let spec = testkit::dump::DumpSpec::x86_64().page(1, &[7; 4096]);
    for dump in [spec.elf(), spec.kdump(testkit::dump::Packing::Plain)] {
        for files in [vec![dump.clone(), core.clone()], vec![core.clone(), dump.clone()]] {
            match Dump::from_bytes(files) {
                Err(DumpError::Foreign { what, .. }) => assert_eq!(what, "the core of a user process"),
                other => panic!("{other:?}"),
            }
        }
    }
    let bsd = ElfPieces::default().load(0x1000, &[1; 4096], 4096).notes(&note("FreeBSD", 3, &[0; 120]));
    assert_eq!(told(bsd.build()), "the core of a user process of FreeBSD");
    let xen = ElfPieces::default().notes(&note("Xen", 0x200_0000, &[0; 8]));
    assert_eq!(told(xen.build()), "a Xen guest's core (`xl dump-core`)");
}

/// VMware's debug.guest has no magic but adds up.
#[test]
fn debug_guest() {
    let header = |pages: u64, hole: u64| {
        let mut out = Vec::new();
        out.extend(4_u32.to_le_bytes());
        out.extend(2_u32.to_le_bytes());
        out.extend([1, 0, 0, 0, 0, 0]);
        out.extend(0_u64.to_le_bytes());
        out.extend((((pages + hole) << 12) - 1).to_le_bytes());
        out.extend(pages.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(u32::from(hole > 0).to_le_bytes());
        out.extend([0xc_0000, hole, 0, 0].map(u64::to_le_bytes).concat());
        out.resize(10_000, 0);
        out
    };
    assert_eq!(told(header(0x4_0000, 0)), "VMware's debug.guest");
    assert_eq!(told(header(0x20_0000, 0x4_0000)), "VMware's debug.guest");
    let mut other = header(0x4_0000, 0);
    other[30] = 1;
    assert!(matches!(Dump::from_bytes(vec![other]), Err(DumpError::NotADump { .. })));
}

#[test]
fn elf_files_of_other_kinds() {
    let piece = || ElfPieces::default().load(0, &[1; 4096], 4096);
    let mut info = vec![0; 136];
    info[40..44].copy_from_slice(b"bash");
    let process = piece().notes(&[note("CORE", 3, &info), note("CORE", 6, &[0; 16])].concat());
    assert_eq!(told(process.build()), "the core of a user process (bash)");
    assert_eq!(told(piece().notes(&note("CORE", 0x4649_4c45, b"")).build()), "the core of a user process");
    // a kernel's: /proc/kcore has a task's notes too, and is placed in physical memory
    let kernel = |dump: ElfPieces| assert!(Dump::from_bytes(vec![dump.build()]).is_ok());
    kernel(piece().notes(&[note("CORE", 3, &info), note("VMCOREINFO", 0, b"OSRELEASE=6\n")].concat()));
    kernel(piece().load(0x10_0000, &[2; 4096], 4096).notes(&note("CORE", 3, &info)));
    kernel(piece().notes(&note("CORE", 1, &[0; 336])));

    let mut xen = piece().build();
    xen[56..58].copy_from_slice(&[0, 0]);
    xen[32..40].fill(0);
    xen[60..62].copy_from_slice(&[7, 0]);
    assert_eq!(told(xen), "a Xen guest's core (`xl dump-core`)");

    let mut program = ElfPieces::default().mapped(0x40_0000, 0x40_0000, &[0; 4096]).build();
    program[16] = 2;
    assert_eq!(told(program), "an ELF program or library");
}
