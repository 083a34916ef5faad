//! Packed files and archives, and what becomes of them in the cache.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use super::Watch;
use super::containers::ContainerError;
use super::packed::{Unpacked, Wanted, is_packed, unpack_into};
use super::streams::Shortened;
use std::io::Write;
use std::path::Path;

/// A dump with a long run of zeros in it.
fn dump() -> Vec<u8> {
    let mut out = b"KDUMP   ".to_vec();
    out.extend((0..200_000_u32).flat_map(u32::to_le_bytes));
    out.resize(out.len() + (4 << 20), 0);
    out.extend_from_slice(b"the end");
    out
}

fn packed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz.write_all(bytes).unwrap();
    let mut lz = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz.write_all(bytes).unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), lzma_alone());
    lzma.write_all(bytes).unwrap();
    let legacy = lz4_flex::frame::FrameInfo::new().legacy_frame(true);
    let mut old = lz4_flex::frame::FrameEncoder::with_frame_info(legacy, Vec::new());
    old.write_all(bytes).unwrap();
    vec![
        ("gz", gz.finish().unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bz2", bz.finish().unwrap()),
        ("zst", zstd::encode_all(bytes, 1).unwrap()),
        ("lz4", lz.finish().unwrap()),
        ("lzma", lzma.finish().unwrap()),
        ("old-lz4", old.finish().unwrap()),
    ]
}

fn lzma_alone() -> liblzma::stream::Stream {
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    liblzma::stream::Stream::new_lzma_encoder(&options).unwrap()
}

#[test]
fn a_cache_that_cannot_be_written_is_blamed_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmcore.gz");
    std::fs::write(&path, &packed(&dump())[0].1).unwrap();
    // a file in the folder's place
    let cache = folder.path().join("cache");
    std::fs::write(&cache, b"").unwrap();
    let error = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap_err().to_string();
    assert!(error.starts_with(&cache.display().to_string()) && error.contains("XDG_CACHE_HOME"), "{error}");
}

/// Processes that open one packed dump at once all get it, and what is in it is nobody else's.
#[test]
fn several_at_once_and_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let path = folder.path().join("vmcore.gz");
    std::fs::write(&path, &packed(&dump())[0].1).unwrap();
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
                assert!(std::fs::read(&files[0].path).unwrap() == dump());
            });
        }
    });
    let mode = std::fs::metadata(cache.join("dumps")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // the one that was as fast left nothing half
    assert_eq!(cache.join("dumps").read_dir().unwrap().count(), 1);
}

/// Writes the sum of a header's bytes into it.
fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        seal(&mut header);
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn is_dump(head: &[u8], len: Option<u64>) -> Wanted {
    let is_raw = head.starts_with(b"raw") && len.is_none_or(|len| len > 1 << 20);
    match head.starts_with(b"KDUMP   ") {
        true => Wanted::Yes,
        false if is_raw => Wanted::Perhaps,
        false => Wanted::No,
    }
}

fn empty(cache: &Path) -> bool {
    !cache.join("dumps").read_dir().is_ok_and(|mut dir| dir.next().is_some())
}

#[test]
fn each_packing_is_told_by_content_and_unpacked_once_with_holes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for (kind, bytes) in packed(&dump()) {
        // the name says nothing
        let path = folder.path().join(format!("vmcore-{kind}.part1"));
        std::fs::write(&path, bytes).unwrap();
        assert!(is_packed(&path), "{kind}");
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files.len(), 1);
        let file = &files[0].path;
        assert_eq!(file.file_name().unwrap(), format!("vmcore-{kind}").as_str());
        assert!(std::fs::read(file).unwrap() == dump(), "{kind}");
        let meta = file.metadata().unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&meta);
        assert!(blocks * 512 < 2 << 20, "{kind}: {blocks} blocks");
        // the second time nothing is unpacked, unless the file is no longer what was written
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
        let first = inode(file);
        let again = || unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!((&again()[0], inode(file)), (&files[0], first));
        for damage in [&b"short"[..], &vec![0; dump().len()][..], b""] {
            std::fs::write(file, damage).unwrap();
            assert!(again()[0].path == *file && std::fs::read(file).unwrap() == dump(), "{kind}");
        }
    }
    // one packing in another, and lz4's several frames
    let all = packed(&dump());
    let mut frames = all[4].1.clone();
    frames.extend_from_slice(&packed(b"more").swap_remove(4).1);
    let twice = packed(&all[1].1).swap_remove(0).1;
    let more = [dump(), b"more".to_vec()].concat();
    for (name, bytes, want) in [("xz-in-gz", twice, dump()), ("frames", frames, more)] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert!(std::fs::read(&files[0].path).unwrap() == want, "{name}");
    }
    let plain = folder.path().join("plain");
    std::fs::write(&plain, dump()).unwrap();
    assert!(!is_packed(&plain) && !is_packed(folder.path()) && !is_packed(Path::new("/nosuch")));
}

/// Frames that hold nothing, before, between and behind the streams; zeros up to a whole block; several streams.
#[test]
fn what_lies_around_packed_streams_is_stepped_over() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let frame = |kind: u8, len: usize| {
        let mut out = vec![0x50 | kind, 0x2a, 0x4d, 0x18];
        out.extend_from_slice(&(len as u32).to_le_bytes());
        out.resize(out.len() + len, 0xee);
        out
    };
    let (dump, more) = (dump(), b"more".to_vec());
    let both = [dump.clone(), more.clone()].concat();
    for ((kind, first), (_, second)) in packed(&dump).into_iter().zip(packed(&more)) {
        let zeros = |n: usize| vec![0; n];
        let mut cases = vec![("zeros", [first.clone(), zeros(1)].concat(), &dump)];
        cases.push(("block", [first.clone(), zeros(10_240 - first.len() % 10_240)].concat(), &dump));
        cases.push(("between", [first.clone(), zeros(300_000), second.clone(), zeros(7)].concat(), &both));
        if matches!(kind, "zst" | "lz4" | "old-lz4") {
            cases.push(("frame", [frame(0, 4), first.clone()].concat(), &dump));
            let all = [frame(15, 0), frame(7, 70_000), first.clone(), frame(3, 9), second, frame(1, 1)];
            cases.push(("frames", [all.concat(), zeros(512)].concat(), &both));
        }
        for (name, bytes, want) in cases {
            let path = folder.path().join(format!("{kind}-{name}"));
            std::fs::write(&path, bytes).unwrap();
            assert!(is_packed(&path), "{kind} {name}");
            let files = unpack_into(&cache, &path, &is_dump, &Watch::default());
            let files = files.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
            assert!(std::fs::read(&files[0].path).unwrap() == *want, "{kind} {name}");
        }
        let path = folder.path().join(format!("{kind}-rubbish"));
        std::fs::write(&path, [first, b"rubbish behind it".to_vec()].concat()).unwrap();
        // twice: the second answer comes from the cache
        for _ in 0..2 {
            let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
            assert_eq!(files[0].shortened, Some(Shortened::Trailing), "{kind}");
            assert!(std::fs::read(&files[0].path).unwrap() == dump, "{kind}");
        }
    }
    // a frame that is longer than the file
    let path = folder.path().join("cut");
    std::fs::write(&path, &frame(0, 4096)[..1000]).unwrap();
    let cut = unpack_into(&cache, &path, &is_dump, &Watch::default());
    assert!(matches!(cut, Err(ContainerError::Cut { .. })), "{cut:?}");
}

#[test]
fn dumps_are_taken_out_of_archives() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    let inner = packed(&dump).swap_remove(3).1;
    let archive = tar(&[("crash/readme", b"no dump"), ("crash/vmcore", &dump), ("b/vmcore.zst", &inner)]);
    for (n, bytes) in [archive.clone(), zstd::encode_all(&archive[..], 1).unwrap()].iter().enumerate() {
        let path = folder.path().join(format!("case{n}"));
        std::fs::write(&path, bytes).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files.iter().all(|file| std::fs::read(&file.path).unwrap() == dump));
        let members: Vec<&str> = files.iter().map(|file| file.member.as_str()).collect();
        assert_eq!(members, ["crash/vmcore", "b/vmcore.zst"]);
    }
    let none = folder.path().join("none");
    std::fs::write(&none, tar(&[("readme", b"no dump")])).unwrap();
    let error = unpack_into(&cache, &none, &is_dump, &Watch::default()).unwrap_err().to_string();
    assert!(error.contains("holds no dump"), "{error}");
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let watch = Watch::default();
    watch.cancel.cancel();
    for (kind, bytes) in packed(&dump()) {
        let path = folder.path().join(kind);
        std::fs::write(&path, &bytes).unwrap();
        let stopped = unpack_into(&cache, &path, &is_dump, &watch);
        assert!(matches!(stopped, Err(ContainerError::Cancelled)), "{kind}");
        assert!(empty(&cache), "{kind}");
    }
}
#[test]
fn what_is_cut_gives_what_came_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    for (kind, bytes) in packed(&dump) {
        let path = folder.path().join(kind);
        std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        // lz4's old frames have no mark at their end: there a cut between blocks is not to be seen
        for _ in 0..2 {
            let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
            assert_eq!(files[0].shortened, Some(Shortened::Cut), "{kind}");
            let got = std::fs::read(&files[0].path).unwrap();
            assert!(!got.is_empty() && dump.starts_with(&got), "{kind}");
        }
        // nothing but its header
        std::fs::write(&path, &bytes[..20]).unwrap();
        let none = unpack_into(&cache, &path, &is_dump, &Watch::default());
        assert!(matches!(none, Err(ContainerError::Cut { .. })), "{kind}: {none:?}");
    }
    let archive = tar(&[("a/vmcore", &dump), ("b/vmcore", &dump)]);
    let path = folder.path().join("a.tar");
    for (len, wants) in [
        (dump.len() + 2048, vec![None]),
        (dump.len() + 20_000, vec![None, Some(Shortened::Cut)]),
        (archive.len() / 3, vec![Some(Shortened::Cut)]),
    ] {
        std::fs::write(&path, &archive[..len]).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files.iter().map(|file| file.shortened.clone()).collect::<Vec<_>>(), wants);
        let is_told = |file: &Unpacked| file.shortened.is_some() != file.around.is_some();
        assert!(files.iter().all(is_told), "{files:?}");
        assert!(files.iter().all(|file| dump.starts_with(&std::fs::read(&file.path).unwrap())));
    }
}

fn faults(files: &[Unpacked]) -> Vec<(Option<Shortened>, Option<Shortened>)> {
    files.iter().map(|file| (file.shortened.clone(), file.around.clone())).collect()
}

/// A byte that is other than it was: what came before it is there, or all is and the check tells.
#[test]
fn what_is_damaged_gives_what_came_before_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    for (kind, bytes) in packed(&dump) {
        // these have no check of their content
        if matches!(kind, "zst" | "lz4" | "old-lz4" | "lzma") {
            continue;
        }
        let path = folder.path().join(kind);
        let mut bytes = bytes;
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        for _ in 0..2 {
            match unpack_into(&cache, &path, &is_dump, &Watch::default()) {
                Ok(files) => {
                    assert!(matches!(files[0].shortened, Some(Shortened::Damaged(_))), "{kind}: {files:?}");
                }
                // one block is all of it
                Err(ContainerError::Io { .. }) => assert_eq!(kind, "bz2"),
                Err(other) => panic!("{kind}: {other}"),
            }
        }
    }
    let mut checked = zstd::Encoder::new(Vec::new(), 1).unwrap();
    checked.include_checksum(true).unwrap();
    checked.write_all(&dump).unwrap();
    let mut bytes = checked.finish().unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    let path = folder.path().join("checked.zst");
    std::fs::write(&path, &bytes).unwrap();
    let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
    assert!(matches!(files[0].shortened, Some(Shortened::Damaged(_))), "{files:?}");
}

/// The check of an archive is behind its last member: it is read to there.
#[test]
fn archives_are_read_to_their_check() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    let archive = tar(&[("crash/vmcore", &dump), ("readme", b"no dump")]);
    let damaged = |fault: &Option<Shortened>| matches!(fault, Some(Shortened::Damaged(_)));
    for (kind, bytes) in packed(&archive) {
        let path = folder.path().join(kind);
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap()
        };
        let whole = |files: &[Unpacked]| std::fs::read(&files[0].path).unwrap() == dump;
        let files = read(&bytes);
        assert!(faults(&files) == [(None, None)] && whole(&files), "{kind}");
        for cut in [3, 8] {
            let files = read(&bytes[..bytes.len() - cut]);
            // a decoder that holds back its last block has less of the member
            let is_told = match &files[0].shortened {
                Some(own) => *own == Shortened::Cut && files[0].around.is_none(),
                None => files[0].around == Some(Shortened::Cut) && whole(&files),
            };
            assert!(is_told && dump.starts_with(&std::fs::read(&files[0].path).unwrap()), "{kind} {cut}");
        }
        let files = read(&[&bytes[..], b"junk"].concat());
        assert!(faults(&files) == [(None, Some(Shortened::Trailing))] && whole(&files), "{kind}: {files:?}");
        // the last bytes are the check
        if kind == "gz" {
            let mut bytes = bytes.clone();
            let at = bytes.len() - 8;
            bytes[at] ^= 1;
            let files = read(&bytes);
            assert!(files[0].shortened.is_none() && damaged(&files[0].around), "{kind}: {files:?}");
        }
    }
    let path = folder.path().join("plain.tar");
    // a header that is damaged: what it says is not to be relied on, and what could be read is
    for at in [0, 100, 120, 150, 200, 300] {
        let mut bytes = archive.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let again = [(); 2].map(|()| unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap());
        for files in again {
            let why = files[0].around.as_ref().unwrap().to_string();
            assert!(why.contains("does not fit its checksum"), "{at}: {why}");
            assert!(std::fs::read(&files[0].path).unwrap() == dump, "{at}");
        }
    }
    for (bytes, want) in [
        (archive.clone(), None),
        ([&archive[..], &vec![0; 8704]].concat(), None),
        ([&archive[..], b"junk"].concat(), Some(Shortened::Trailing)),
        (archive[..archive.len() - 3].to_vec(), Some(Shortened::Cut)),
        (archive[..archive.len() - 1024].to_vec(), Some(Shortened::Cut)),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(faults(&files), [(None, want)]);
    }
}

/// A damaged member costs itself only.
#[test]
fn other_members_of_an_archive_stay() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let dump = dump();
    let mut gz = packed(&dump).swap_remove(0).1;
    gz[20] ^= 0x7f;
    let path = folder.path().join("a.tar");
    std::fs::write(&path, tar(&[("bad.gz", &gz), ("vmcore", &dump)])).unwrap();
    let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
    let last = files.last().unwrap();
    assert!(last.member == "vmcore" && last.shortened.is_none() && last.around.is_none(), "{files:?}");
    assert!(std::fs::read(&last.path).unwrap() == dump);
}

/// What has no magic is taken where nothing else is there, and only one can be meant.
#[test]
fn the_only_raw_image_of_an_archive_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let raw = [b"raw".to_vec(), vec![7; 2 << 20]].concat();
    let path = folder.path().join("a.tar");
    let unpack = |members: &[(&str, &[u8])]| {
        std::fs::write(&path, tar(members)).unwrap();
        unpack_into(&cache, &path, &is_dump, &Watch::default())
    };
    let names = |files: Vec<Unpacked>| files.into_iter().map(|file| file.member).collect::<Vec<_>>();
    let files = unpack(&[("readme", b"raw text"), ("mem.raw", &raw)]).unwrap();
    assert!(std::fs::read(&files[0].path).unwrap() == raw);
    assert_eq!(names(files), ["mem.raw"]);
    assert_eq!(names(unpack(&[("mem.raw", &raw), ("vmcore", &dump())]).unwrap()), ["vmcore"]);
    let several = unpack(&[("a.raw", &raw), ("b.raw", &raw)]).unwrap_err().to_string();
    assert!(several.contains("a.raw, b.raw"), "{several}");
    let packed_raw = packed(&raw).swap_remove(3).1;
    assert_eq!(names(unpack(&[("readme", b"raw text"), ("mem.zst", &packed_raw)]).unwrap()), ["mem.zst"]);
}

/// The numbers of a header of a tar member.
fn octal(header: &mut [u8], at: usize, number: u64) {
    header[at..at + 11].copy_from_slice(format!("{number:011o}").as_bytes());
}

/// Files that were stored without their holes, in the four ways that tar has, are as they were, with holes.
#[test]
fn sparse_members_have_their_holes_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let path = folder.path().join("a.tar");
    let start = [b"KDUMP   ".to_vec(), vec![1; 0x1f8]].concat();
    let runs: [(u64, &[u8]); 6] = [
        (0, &start),
        (0x10_0000, &[2; 0x400]),
        (0x20_0000, &[3; 0x200]),
        (0x30_0000, &[4; 0x200]),
        (0x40_0000, &[5; 0x200]),
        (0x50_0000, &[6; 0x1ff]),
    ];
    let len: u64 = 0x60_0000;
    let mut want = vec![0; len as usize];
    for (at, bytes) in runs {
        want[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }
    let mut stored: Vec<u8> = runs.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let size = stored.len() as u64;
    stored.resize(stored.len().next_multiple_of(512), 0);
    let pairs = || runs.iter().map(|(at, bytes)| (*at, bytes.len() as u64));
    let header = |name: &str, kind: u8, size: u64| {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        octal(&mut header, 124, size);
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        seal(&mut header);
        header
    };
    let pax = |records: &[(&str, String)]| {
        let mut out = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (rest + 1..).find(|len| rest + len.to_string().len() == *len).unwrap();
            out.extend_from_slice(format!("{len} {key}={value}\n").as_bytes());
        }
        let mut all = header("pax", b'x', out.len() as u64).to_vec();
        out.resize(out.len().next_multiple_of(512), 0);
        all.extend(out);
        all
    };
    let old = {
        let mut header = header("vmcore", b'S', size);
        let mut more = [0_u8; 512];
        for (n, (at, count)) in pairs().enumerate() {
            let (block, place) = if n < 4 { (&mut header, 386 + 24 * n) } else { (&mut more, 24 * (n - 4)) };
            octal(block, place, at);
            octal(block, place + 12, count);
        }
        header[482] = 1;
        octal(&mut header, 483, len);
        seal(&mut header);
        [header, more].concat()
    };
    let numbers = || pairs().flat_map(|(at, count)| [at.to_string(), count.to_string()]);
    let zero = {
        let mut records = vec![("GNU.sparse.size", len.to_string()), ("GNU.sparse.numblocks", "6".into())];
        for (at, count) in pairs() {
            records.push(("GNU.sparse.offset", at.to_string()));
            records.push(("GNU.sparse.numbytes", count.to_string()));
        }
        [pax(&records), header("vmcore", b'0', size).to_vec()].concat()
    };
    let map = numbers().collect::<Vec<_>>().join(",");
    let name = ("GNU.sparse.name", "vmcore".to_string());
    let one = pax(&[("GNU.sparse.size", len.to_string()), name.clone(), ("GNU.sparse.map", map)]);
    let one = [one, header("GNUSparseFile.1/vmcore", b'0', size).to_vec()].concat();
    let mut inside = format!("6\n{}\n", numbers().collect::<Vec<_>>().join("\n")).into_bytes();
    inside.resize(inside.len().next_multiple_of(512), 0);
    let records = [
        ("GNU.sparse.major", "1".to_string()),
        ("GNU.sparse.minor", "0".into()),
        name,
        ("GNU.sparse.realsize", len.to_string()),
        // the digits of the header can be too few
        ("size", (size + inside.len() as u64).to_string()),
    ];
    let last = [pax(&records), header("GNUSparseFile.1/vmcore", b'0', 0).to_vec(), inside].concat();
    for (form, front) in [("old", old), ("0.0", zero), ("0.1", one), ("1.0", last)] {
        let archive = [&front[..], &stored, &tar(&[("readme", b"no dump")])].concat();
        std::fs::write(&path, &archive).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert!(files.len() == 1 && files[0].member == "vmcore", "{form}: {files:?}");
        assert!(faults(&files) == [(None, None)], "{form}: {files:?}");
        assert!(std::fs::read(&files[0].path).unwrap() == want, "{form}");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&files[0].path.metadata().unwrap());
        assert!(blocks * 512 < 1 << 20, "{form}: {blocks} blocks");
        // cut in its last run
        std::fs::write(&path, &archive[..front.len() + stored.len() - 0x300]).unwrap();
        let files = unpack_into(&cache, &path, &is_dump, &Watch::default()).unwrap();
        assert_eq!(files[0].shortened, Some(Shortened::Cut), "{form}");
        let got = std::fs::read(&files[0].path).unwrap();
        assert!(got.len() > 0x40_0000 && want.starts_with(&got), "{form}");
    }
}
