//! Compares two dumps of the same memory page by page: `compare DUMP[,PART...] [DUMP[,PART...]]`.
//! With one dump, reads every page that it says it holds. For checks on real dumps.
#![expect(clippy::print_stdout, reason = "a front end")]

use base::{Gap, PAGE_SIZE, Pfn, PhysRead};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

fn open(arg: &str) -> Result<dump::Dump, Box<dyn Error>> {
    let paths: Vec<PathBuf> = arg.split(',').map(PathBuf::from).collect();
    let start = Instant::now();
    let dump = dump::open(&paths)?;
    println!("{arg}: {} opened in {:?}", dump.format(), start.elapsed());
    println!("  {:?}", dump.facts());
    let info = dump.vmcoreinfo().unwrap_or(b"none").split(|&b| b == b'\n').next().unwrap_or(&[]);
    println!("  {} notes, VMCOREINFO {}", dump.notes().len(), String::from_utf8_lossy(info));
    let count = dump.held_bytes() / base::PAGE_SIZE;
    println!("  {count} pages, counted after {:?}", start.elapsed());
    Ok(dump)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let one = open(args.first().ok_or("name a dump")?)?;
    let other = args.get(1).map(|a| open(a)).transpose()?;
    let start = Instant::now();
    let mut tally: BTreeMap<String, (u64, Pfn)> = BTreeMap::new();
    let mut at = Pfn(0);
    while let Some(pfn) = one.next_present(at) {
        at = Pfn(pfn.0 + 1);
        let (mut a, mut b) = ([0; PAGE_SIZE as usize], [0; PAGE_SIZE as usize]);
        let key = match (
            one.read_phys(pfn.addr(), &mut a),
            other.as_ref().map(|o| o.read_phys(pfn.addr(), &mut b)),
        ) {
            (Ok(()), None) => "read".to_string(),
            (Ok(()), Some(Ok(()))) if a == b => "equal".to_string(),
            (Ok(()), Some(Ok(()))) => "DIFFERENT".to_string(),
            (Err(m), Some(Err(n))) => format!("{:?}, {:?}", m.why, n.why),
            (Err(m), _) => format!("{:?}, first only", m.why),
            (Ok(()), Some(Err(n))) if n.why == Gap::Excluded && a == b => "zero, second excluded".to_string(),
            (Ok(()), Some(Err(n))) => format!("second only: {:?}", n.why),
        };
        tally.entry(key).or_insert((0, pfn)).0 += 1;
    }
    for (key, (count, first)) in tally {
        println!("{count:>9} {key} (first {first:?})");
    }
    println!("in {:?}", start.elapsed());
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|l| l.starts_with("VmHWM") || l.starts_with("RssFile")) {
        println!("{line}");
    }
    Ok(())
}
