//! Prints the functions, inlined calls and lines at addresses, as `addr2line -afi` does, or with
//! `vars` the variables in scope: `where lines|vars OBJECT ADDRESS...` (addresses also on stdin).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers")]

use debuginfo::dwarf::DwarfFile;
use debuginfo::elf::{ObjectFile, Placement};
use debuginfo::types::{Scope, Types};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let kind = args.next().ok_or("no kind")?;
    let object = ObjectFile::open(args.next().ok_or("no file")?.as_ref())?;
    let mut addresses: Vec<String> = args.collect();
    if addresses.is_empty() {
        addresses = std::io::read_to_string(std::io::stdin())?.lines().map(str::to_owned).collect();
    }
    let start = Instant::now();
    let place = Placement::new([(".text", 0), (".text.unlikely", 0x10_0000)]);
    let dwarf = Arc::new(DwarfFile::open(Arc::new(object), &place)?);
    let types = Types::new();
    let source = types.add(|id| Ok::<_, String>(dwarf.source(id, Scope::Kernel)))?;
    eprintln!("opened in {:?}", start.elapsed());
    for text in addresses {
        let addr = u64::from_str_radix(text.trim_start_matches("0x"), 16)?;
        println!("{addr:#018x}");
        if kind == "lines" {
            for frame in dwarf.inline_frames(addr) {
                let line = frame.line.map_or("??:0".into(), |l| format!("{}:{}", l.file, l.line));
                println!("{}\n{line}", frame.function);
            }
        } else {
            if let Some(f) = dwarf.function_at(addr, source) {
                println!("{} {:#x} {:x?} {:?}", f.name, f.low_pc, f.ranges, f.declared);
            }
            for v in dwarf.variables_at(addr, source) {
                let kind = if v.is_param { "param" } else { "local" };
                println!("  {} {kind} {}:{} {v:?}", v.frame, types.declare(v.ty, &v.name), v.line);
            }
        }
    }
    eprintln!("done in {:?}", start.elapsed());
    Ok(())
}
