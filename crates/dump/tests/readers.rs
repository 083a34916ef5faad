//! Dumps behind readers that fail, change, or become shorter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, PhysAddr, PhysRead};
use dump::{Dump, ReadAt};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use testkit::dump::{DumpSpec, PAGE, Packing};

/// A file far away.
#[derive(Default)]
struct Far {
    bytes: Mutex<Vec<u8>>,
    fails: Mutex<Option<ErrorKind>>,
    changes: AtomicBool,
    reads: AtomicU8,
}

impl Far {
    fn open(bytes: Vec<u8>) -> (Arc<Self>, Dump) {
        let far = Arc::new(Self { bytes: Mutex::new(bytes), ..Self::default() });
        let dump = far.dump();
        (far, dump)
    }
    fn dump(self: &Arc<Self>) -> Dump {
        let reader: Box<dyn ReadAt> = Box::new(Reader(self.clone()));
        Dump::from_readers(vec![(PathBuf::from("far"), reader)]).unwrap()
    }
}

struct Reader(Arc<Far>);

impl ReadAt for Reader {
    fn len(&self) -> u64 {
        self.0.bytes.lock().unwrap().len() as u64
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = *self.0.fails.lock().unwrap() {
            return Err(kind.into());
        }
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.lock().unwrap().read_at(offset, buf)
    }
    fn is_stable(&self) -> bool {
        !self.0.changes.load(Ordering::Relaxed)
    }
    fn borrow(&self, _: u64, _: usize) -> Option<&[u8]> {
        assert!(self.is_stable(), "what may change is never borrowed");
        None
    }
}

fn spec() -> DumpSpec {
    (5..40).fold(DumpSpec::x86_64(), |s, pfn| s.page(pfn, &pfn.to_le_bytes().repeat(512)))
}

fn word(dump: &Dump, pfn: u64) -> Result<u64, Gap> {
    let mut word = [0; 8];
    dump.read_phys(PhysAddr(pfn * PAGE as u64), &mut word).map_err(|m| m.why)?;
    Ok(u64::from_le_bytes(word))
}

#[test]
fn a_failed_read_says_why_and_is_over_with_its_reason() {
    for file in [spec().elf(), spec().kdump(Packing::Zlib), spec().raw(1 << 20), spec().lime()] {
        let (far, dump) = Far::open(file);
        for (pfn, kind) in [(9, ErrorKind::TimedOut), (20, ErrorKind::PermissionDenied)] {
            *far.fails.lock().unwrap() = Some(kind);
            assert_eq!(word(&dump, pfn), Err(Gap::Io(kind)), "{}", dump.format());
            let mut many = vec![0; 4 * PAGE];
            let missing = dump.read_stretch(PhysAddr(pfn * PAGE as u64), &mut many).unwrap_err();
            assert_eq!(missing.why, Gap::Io(kind));
            *far.fails.lock().unwrap() = None;
            assert_eq!(word(&dump, pfn), Ok(pfn), "{}", dump.format());
        }
        assert_eq!(dump.failures(), 4);
    }
}

#[test]
fn what_may_change_is_read_each_time() {
    for file in [spec().elf(), spec().kdump(Packing::Zlib)] {
        let far = Arc::new(Far { bytes: Mutex::new(file), changes: AtomicBool::new(true), ..Far::default() });
        let dump = far.dump();
        assert_eq!(dump.borrow_phys(PhysAddr(9 * PAGE as u64), 8), None);
        assert_eq!(word(&dump, 9), Ok(9));
        let reads = far.reads.load(Ordering::Relaxed);
        assert_eq!(word(&dump, 9), Ok(9));
        assert!(far.reads.load(Ordering::Relaxed) > reads, "{}", dump.format());
    }
}

#[test]
fn readers_that_join_requests_are_not_asked_for_less() {
    let bytes: Vec<u8> = (0..100).collect();
    let (mut a, mut b) = ([0; 4], [0; 2]);
    bytes.read_many(&mut [(10, &mut a[..]), (98, &mut b[..])]).unwrap();
    assert_eq!((a, b), ([10, 11, 12, 13], [98, 99]));
    assert_eq!(bytes.read_many(&mut [(99, &mut b[..])]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

/// Another program cuts the file while it is open: no signal, and not a word of corrupt pages.
#[test]
fn a_file_that_becomes_shorter_is_told() {
    let flattened = |file: Vec<u8>| testkit::dump::flatten(&file, 0x4000);
    let all = [spec().elf(), spec().raw(1 << 20), spec().kdump(Packing::Zlib), spec().kdump(Packing::Plain)];
    for file in all.into_iter().chain([flattened(spec().elf()), flattened(spec().kdump(Packing::Plain))]) {
        let mut on_disk = tempfile::NamedTempFile::new().unwrap();
        on_disk.write_all(&file).unwrap();
        let dump = dump::open(&[on_disk.path().to_owned()]).unwrap();
        // the page beside the one that is asked for is read just before: in a mapped file it would be mapped with it
        assert_eq!((word(&dump, 5), word(&dump, 38)), (Ok(5), Ok(38)));
        on_disk.as_file().set_len(if dump.format().starts_with("kdump") { 0x4000 } else { 0x1000 }).unwrap();
        let why = word(&dump, 39).unwrap_err();
        assert_eq!(why, Gap::Io(ErrorKind::UnexpectedEof), "{}", dump.format());
        assert_eq!(why.to_string(), "dump file became shorter while it was open");
    }
}
