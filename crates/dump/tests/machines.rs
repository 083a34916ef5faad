//! The memory of any machine is read, whatever its word size and byte order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use base::{Gap, Pfn, PhysAddr, PhysRead};
use dump::{Dump, Words};
use testkit::dump::{DumpSpec, PAGE, Packing, Target};

const INFO: &str = "OSRELEASE=6.1.0-other\nPAGESIZE=4096\n";

fn spec(target: Target) -> DumpSpec {
    let spec = DumpSpec::of(target).vmcoreinfo(INFO).note("CORE", 1, &[7; 148]).release("6.1.0-other");
    let page = |pfn: u64| (pfn * 0x0123_4567_89ab).to_le_bytes().repeat(PAGE / 8);
    (0x40..0x60).fold(spec, |s, pfn| if pfn % 5 == 0 { s.excluded(pfn) } else { s.page(pfn, &page(pfn)) })
}

#[track_caller]
fn check(target: Target, file: Vec<u8>) {
    let name = target.name;
    let dump = Dump::from_bytes(vec![file]).unwrap_or_else(|e| panic!("{name}: {e}"));
    let facts = dump.facts();
    let words = Words { size: if target.wide { 8 } else { 4 }, big_endian: target.big_endian };
    assert_eq!(facts.words, Some(words), "{name}");
    assert!(facts.warnings.is_empty() && !facts.is_incomplete(), "{name}: {:?}", facts.warnings);
    assert_eq!(dump.vmcoreinfo().unwrap(), INFO.as_bytes(), "{name}");
    assert_eq!(dump.notes().len(), 2, "{name}");
    assert!(dump.notes()[1].is("CORE") && dump.notes()[1].kind == 1 && dump.notes()[1].desc == [7; 148]);
    for pfn in 0x40..0x60_u64 {
        let mut word = [0; 8];
        let read = dump.read_phys(Pfn(pfn).addr().add(16), &mut word);
        if pfn % 5 == 0 {
            assert_eq!(read.unwrap_err().why, Gap::Excluded, "{name} {pfn:#x}");
        } else {
            assert_eq!((read, u64::from_le_bytes(word)), (Ok(()), pfn * 0x0123_4567_89ab), "{name} {pfn:#x}");
        }
    }
    assert_eq!(dump.read_phys(PhysAddr(0x3f_ff8), &mut [0; 8]).unwrap_err().why, Gap::Absent);
    match facts.machine {
        Some(machine) => assert_eq!(machine, target.e_machine),
        None => {
            let header = facts.utsname.as_ref().unwrap();
            assert_eq!((&*header.machine, &*header.release), (name, "6.1.0-other"));
            assert_eq!((facts.nr_cpus, facts.dump_level), (Some(2), Some(31)), "{name}");
            assert_eq!(facts.timestamp.unwrap().sec, 1_700_000_000, "{name}");
            assert_eq!(facts.phys_base, Some(0x100_0000), "{name}");
        }
    }
}

#[test]
fn every_machine_in_every_format() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let spec = spec(target);
        check(target, spec.elf());
        check(target, spec.elf_many_headers());
        for packing in [Packing::Zlib, Packing::Zstd] {
            check(target, spec.kdump(packing));
        }
        for version in [3, 5] {
            let file = spec.clone().version(version).kdump(Packing::Zlib);
            let dump = Dump::from_bytes(vec![file]).unwrap();
            assert_eq!(dump.vmcoreinfo().unwrap(), INFO.as_bytes(), "{} version {version}", target.name);
        }
    }
}

/// A copy of a dump is one of the same machine.
#[test]
fn copies_of_every_machine() {
    for target in Target::OTHERS.into_iter().chain([Target::X86_64]) {
        let from = Dump::from_bytes(vec![spec(target).elf()]).unwrap();
        let copy = DumpSpec::copy_of(target, from.notes(), &from);
        let (elf, kdump) = (copy.elf(), copy.kdump(Packing::Zlib));
        for file in [elf, kdump] {
            let dump = Dump::from_bytes(vec![file]).unwrap();
            assert_eq!(
                (dump.facts().words, dump.notes()),
                (from.facts().words, from.notes()),
                "{}",
                target.name
            );
            let machine = dump.facts().utsname.as_ref().map(|name| name.machine.as_str());
            assert!(machine.is_none_or(|name| name == target.name) && dump.held_bytes() == from.held_bytes());
            let mut word = [0; 8];
            dump.read_phys(PhysAddr(0x42_010), &mut word).unwrap();
            assert_eq!(u64::from_le_bytes(word), 0x42 * 0x0123_4567_89ab);
        }
    }
}

#[test]
fn split_sets_of_every_machine() {
    for target in Target::OTHERS {
        for version in [4, 6] {
            let parts = spec(target).version(version).split(Packing::Zlib, &[0x4c]);
            let dump = Dump::from_bytes(parts).unwrap();
            let mut word = [0; 8];
            for pfn in [0x42_u64, 0x5e] {
                dump.read_phys(Pfn(pfn).addr(), &mut word).unwrap();
                assert_eq!(u64::from_le_bytes(word), pfn * 0x0123_4567_89ab, "{} {pfn:#x}", target.name);
            }
        }
    }
}
