//! A distilled base stands for the kernel's types: which id of the one is which of the other.
//!
//! The distilled base has integers, floats, enumerations without values, structs and unions
//! without members (with their size where the module embeds them) and forward declarations
//! (where the module only points to them). Names and kinds must agree; sizes too, where the
//! module relies on them. (kernel/bpf/btf_relocate.c since 6.11.)

use super::Btf;
use super::raw::{Kind, Record};

/// For each id of `reduced`, from 0 on, the id in `target`; 0 where no type answers.
pub(super) fn relocation(reduced: &Btf, target: &Btf) -> Box<[u32]> {
    let mut map = vec![0];
    map.extend(reduced.own_records().map(|(_, record)| {
        let Ok(name) = std::str::from_utf8(reduced.string(record.name)) else { return 0 };
        let mut found = target
            .names()
            .ids(target, name)
            .filter_map(|id| target.record(id).map(|(_, other)| (id, stands_for(&record, &other))))
            .filter(|(_, fit)| *fit > 0)
            .max_by_key(|(id, fit)| (*fit, std::cmp::Reverse(*id)));
        found.take().map_or(0, |(id, _)| id)
    }));
    map.into_boxed_slice()
}

/// How well a type of the kernel fits a reduced one; 0: not at all.
fn stands_for(reduced: &Record<'_>, full: &Record<'_>) -> u8 {
    let same = reduced.kind == full.kind;
    match reduced.kind {
        Kind::INT => u8::from(same && reduced.word == full.word && reduced.extra(0) == full.extra(0)),
        Kind::FLOAT => u8::from(same && reduced.word == full.word),
        Kind::STRUCT | Kind::UNION if same => u8::from(reduced.word == 0 || reduced.word == full.word),
        Kind::ENUM | Kind::ENUM64 if matches!(full.kind, Kind::ENUM | Kind::ENUM64) => {
            u8::from(reduced.word == full.word)
        }
        Kind::FWD => match full.kind {
            Kind::STRUCT if !reduced.flag => 2,
            Kind::UNION if reduced.flag => 2,
            Kind::FWD => u8::from(reduced.flag == full.flag),
            _ => 0,
        },
        _ => 0,
    }
}
