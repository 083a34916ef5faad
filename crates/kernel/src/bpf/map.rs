//! BPF maps (`struct bpf_map`, include/linux/bpf.h; ids since 4.13, f3f1c054c288).

use super::enumerator_name;
use super::prog::UserStruct;
use crate::containers::idr;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct bpf_map`
    struct BpfMapStruct("bpf_map") {
        kind: "map_type",
        key: "key_size",
        value: "value_size",
        entries: "max_entries",
        flags: "map_flags",
        id: "id",
        name: "name", // 4.15 (ad5b177bd73f)
        pages: "memory.pages" | "pages", // 5.3 (3539b96e041c) to 5.10 (80ee81e0403c)
        user: "memory.user" | "user",
    }
}
bind! {
    /// `struct bpf_map_ops`
    struct BpfMapOps("bpf_map_ops") { usage: "map_mem_usage" } // 6.4 (90a5527d7686)
}

/// A map.
#[derive(Clone, Debug)]
pub struct Map {
    /// Its number.
    pub id: u64,
    /// `struct bpf_map`
    pub at: VirtAddr,
    /// Its kind, as the kernel names it; the number where it does not.
    pub kind: Result<String>,
    /// `BPF_F_` flags.
    pub flags: Result<u64>,
    /// Bytes of a key.
    pub key: Result<u64>,
    /// Bytes of a value.
    pub value: Result<u64>,
    /// Room for so many.
    pub entries: Result<u64>,
    /// Bytes that are counted for it.
    pub memory: Result<u64>,
    /// Its name; empty where it has none.
    pub name: Result<String>,
    /// Whose it is; none since 5.11, where memory is counted otherwise.
    pub uid: Option<Result<u64>>,
}

/// The maps by their ids, and why there may be others.
///
/// # Errors
/// The variable or its types are not known: a kernel without BPF, or one to 4.12.
pub fn maps(s: &Session) -> Result<(Vec<Map>, Vec<KernelError>)> {
    let table = s.need_symbol("map_idr")?;
    s.bind::<BpfMapStruct>().kind.offset()?;
    let found = idr::entries(s, table)?;
    let (mut out, mut problems) = (Vec::new(), found.problems);
    for entry in found.all {
        match map(s, entry.index, VirtAddr(entry.value)) {
            Ok(one) => out.push(one),
            Err(e) => problems.push(e),
        }
    }
    Ok((out, problems))
}

fn map(s: &Session, id: u64, at: VirtAddr) -> Result<Map> {
    let (b, mem) = (s.bind::<BpfMapStruct>(), s.mem());
    let half = |value: Result<u64>| value.map(|n| n & 0xffff_ffff);
    let own = half(b.id.num(mem, at))?;
    if own != id {
        let why = format!("its id is {own}, and it is in slot {id}");
        return Err(KernelError::Damaged { what: "bpf_map", at, why });
    }
    let kind = half(b.kind.num(mem, at)).map(|kind| {
        enumerator_name(s, "BPF_MAP_TYPE_UNSPEC", "BPF_MAP_TYPE_", kind).unwrap_or_else(|| kind.to_string())
    });
    let uid = |user: VirtAddr| half(s.bind::<UserStruct>().uid.num(mem, user));
    let mut out = Map {
        id,
        at,
        kind,
        flags: half(b.flags.num(mem, at)),
        key: half(b.key.num(mem, at)),
        value: half(b.value.num(mem, at)),
        entries: half(b.entries.num(mem, at)),
        memory: half(b.pages.num(mem, at)).map(|pages| pages.saturating_mul(s.page_size())),
        name: b.name.text(mem, at),
        uid: b.user.exists().then(|| b.user.ptr(mem, at).and_then(uid)),
    };
    if !b.pages.exists() && b.kind.exists() {
        out.memory = memory(s, &out);
    }
    Ok(out)
}

/// What the kernel says that a map takes where it does not count it (5.11 to 6.3): room for all its entries. Since 6.4 each kind
/// of map has a function of its own for that.
fn memory(s: &Session, map: &Map) -> Result<u64> {
    if s.bind::<BpfMapOps>().usage.exists() {
        return Err(KernelError::NotBuilt(
            "a count of what a map takes: each kind of map computes it when it is asked",
        ));
    }
    let (kind, value) = (map.kind.clone()?, map.value.clone()?);
    let is_per_cpu = kind.starts_with("PERCPU_") || kind.starts_with("LRU_PERCPU_");
    // such maps hold a file or another map in each entry, of which a program sees a number
    let holds_numbers = ["PROG_ARRAY", "PERF_EVENT_ARRAY", "CGROUP_ARRAY", "ARRAY_OF_MAPS", "HASH_OF_MAPS"];
    let value = match () {
        () if is_per_cpu => value.next_multiple_of(8).saturating_mul(s.cpus().possible.len() as u64),
        () if holds_numbers.contains(&kind.as_str()) => 4,
        () => value,
    };
    let each = map.key.clone()?.saturating_add(value).checked_next_multiple_of(8).unwrap_or(u64::MAX);
    let all = map.entries.clone()?.saturating_mul(each);
    Ok(all.checked_next_multiple_of(s.page_size()).unwrap_or(u64::MAX))
}
