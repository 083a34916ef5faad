//! Prints struct layouts, one member a line, to compare with pahole's:
//! `layout btf|dwarf|split:VMLINUX OBJECT [NAME...]`; with no names, all structs. `=NAME`: the
//! values of an enumerator; `+NAME`: all definitions of a struct.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers")]

use debuginfo::elf::{ObjectFile, Placement};
use debuginfo::types::{Scope, Space, Type, Types};
use debuginfo::{Blob, btf::Btf, dwarf::DwarfFile};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let kind = args.next().ok_or("no kind")?;
    let object = ObjectFile::open(args.next().ok_or("no file")?.as_ref())?;
    let mut names: Vec<String> = args.collect();
    let start = Instant::now();
    let types = Types::new();
    if kind == "btf" {
        let bytes = object.section(".BTF")?.ok_or("no .BTF")?.to_vec();
        let btf = Arc::new(Btf::parse(Blob::new(bytes))?);
        types.add(|id| Ok::<_, String>(btf.source(id, None, Scope::Kernel, "BTF".into())))?;
    } else if let Some(base) = kind.strip_prefix("split:") {
        let base = ObjectFile::open(base.as_ref())?;
        let base = Arc::new(Btf::parse(Blob::new(base.section(".BTF")?.ok_or("no .BTF")?.to_vec()))?);
        let own = Blob::new(object.section(".BTF")?.ok_or("no .BTF in the module")?.to_vec());
        let own = match object.section(".BTF.base")? {
            Some(reduced) => {
                eprintln!("distilled");
                Btf::parse_distilled(own, Blob::new(reduced.to_vec()), Arc::clone(&base))?
            }
            None => Btf::parse_split(own, Arc::clone(&base))?,
        };
        // the module's names first, as it is the one that is asked about
        let own = Arc::new(own);
        let kernel = debuginfo::types::SourceId(2);
        types.add(|id| {
            Ok::<_, String>(own.source(id, Some(kernel), Scope::Module("m".into()), "BTF".into()))
        })?;
        types.add(|id| Ok::<_, String>(base.source(id, None, Scope::Kernel, "BTF".into())))?;
    } else {
        let place = Placement::new([(".text", 0xffff_ffff_c000_0000)]);
        let dwarf = Arc::new(DwarfFile::open(Arc::new(object), &place)?);
        types.add(|id| Ok::<_, String>(dwarf.source(id, Scope::Kernel)))?;
    }
    eprintln!("opened in {:?}", start.elapsed());
    if names.is_empty() {
        types.names(Space::Struct, &mut |name, _| {
            names.push(name.to_owned());
            true
        });
        eprintln!("{} names in {:?}", names.len(), start.elapsed());
    }
    for name in names {
        let start = Instant::now();
        if let Some(enumerator) = name.strip_prefix('=') {
            eprintln!("{:?} in {:?}", types.find_enumerator(enumerator), start.elapsed());
            continue;
        }
        if let Some(every) = name.strip_prefix('+') {
            eprintln!("{:?} in {:?}", types.find(Space::Struct, every), start.elapsed());
            continue;
        }
        let Some(at) = types.first(None, Space::Struct, &name) else {
            eprintln!("{name} is nowhere, {:?}", start.elapsed());
            continue;
        };
        let found = start.elapsed();
        let Type::Compound { size, members, .. } = &*types.get(at)? else { continue };
        if start.elapsed().as_micros() > 2000 {
            eprintln!("{name} in {found:?}, {:?}", start.elapsed());
        }
        println!("struct {name} {size}");
        for m in members.iter() {
            let bits = m.bit_size.map_or(String::new(), |b| format!(":{b}"));
            let decl = types.declare(m.ty, m.name.as_deref().unwrap_or(""));
            println!("{name} {} {}{bits}", m.bit_offset, decl);
        }
    }
    Ok(())
}
