//! The kernel's counts of pages and events (mm/vmstat.c): of the whole machine, of a zone, of a node.
//!
//! | kernel | where |
//! |---|---|
//! | to 4.7 | `vm_stat`, by `enum zone_stat_item` |
//! | 4.8 (75ef71840539) | `vm_zone_stat` and `vm_node_stat`, by `enum zone_stat_item` and `enum node_stat_item` |
//! | 4.14 (3a321d2a3dde) | and `vm_numa_stat`, by `enum numa_stat_item`; since 5.14 (f19298b9516c) `vm_numa_event` |
//!
//! An item is found by its enumerator. What each CPU has not yet added is not in these sums, as it is not in /proc/vmstat. Events are a sum
//! over all CPUs: those that panic stopped keep theirs.

use crate::bind::Field;
use crate::error::{KernelError, Result};
use crate::mm::zone::{NodeStruct, ZoneStruct};
use crate::sched::cpu::per_cpu;
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::Type;

/// More items than any table has.
const MAX_ITEMS: usize = 1024;

/// One count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its enumerator: `NR_FREE_PAGES`.
    pub name: String,
    /// Its value. What CPUs have not yet added can make it less than none, which the kernel takes for none.
    pub value: i64,
}

impl Item {
    /// The value as the kernel tells it.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.value).unwrap_or(0)
    }
}

/// The counts of one array.
#[derive(Clone, Debug)]
pub struct Table {
    /// The array's name: `vm_zone_stat`.
    pub name: &'static str,
    /// Its counts, or why they are not known.
    pub items: Result<Vec<Item>>,
}

/// What an enumeration's last member is called, and the enumeration.
const ZONE: (&[&str], &str) = (&["NR_VM_ZONE_STAT_ITEMS"], "zone_stat_item");
const NODE: (&[&str], &str) = (&["NR_VM_NODE_STAT_ITEMS"], "node_stat_item");
const NUMA: (&[&str], &str) = (&["NR_VM_NUMA_EVENT_ITEMS", "NR_VM_NUMA_STAT_ITEMS"], "numa_stat_item");
const EVENT: (&[&str], &str) = (&["NR_VM_EVENT_ITEMS"], "vm_event_item");

/// The names of an enumeration's members, by their values; a member that begins a group has the name of the group's first.
fn names(s: &Session, (ends, of): (&[&str], &'static str)) -> Result<Vec<Option<String>>> {
    let types = s.types();
    let unknown = || KernelError::NoEnumeration(of);
    let found = ends.iter().find_map(|end| types.find_enumerator(end).into_iter().next());
    let (at, count) = found.ok_or_else(unknown)?;
    let count = usize::try_from(count).ok().filter(|n| (1..=MAX_ITEMS).contains(n)).ok_or_else(unknown)?;
    let Type::Enum { values, .. } = &*types.get(at)? else { return Err(unknown()) };
    let mut out: Vec<Option<String>> = vec![None; count];
    for (name, value) in values.iter() {
        let slot = usize::try_from(*value).ok().and_then(|n| out.get_mut(n));
        if let Some(slot) = slot
            && (slot.is_none() || slot.as_ref().is_some_and(|known| known.ends_with("_BASE")))
        {
            *slot = Some(name.to_string());
        }
    }
    Ok(out)
}

/// An array of counts at an address.
fn read(s: &Session, at: VirtAddr, names: &[Option<String>]) -> Result<Vec<Item>> {
    let mut out = Vec::with_capacity(names.len());
    for (n, name) in (0_u64..).zip(names) {
        let Some(name) = name else { continue };
        let value = s.mem().u64(at.add(n * 8))?.cast_signed();
        out.push(Item { name: name.clone(), value });
    }
    Ok(out)
}

/// The counts of the whole machine: each array that this kernel has.
///
/// # Errors
/// It has none of them, or its symbols are not known.
pub fn tables(s: &Session) -> Result<Vec<Table>> {
    let arrays = [
        ("vm_stat", ZONE),
        ("vm_zone_stat", ZONE),
        ("vm_node_stat", NODE),
        ("vm_numa_stat", NUMA),
        ("vm_numa_event", NUMA),
    ];
    let mut out = Vec::new();
    for (name, of) in arrays {
        match s.optional_symbol(name) {
            Ok(Some(at)) => {
                out.push(Table { name, items: names(s, of).and_then(|names| read(s, at, &names)) });
            }
            Ok(None) => {}
            // where some symbols are known it may be one that is lost
            Err(e) if e.is_loss() => out.push(Table { name, items: Err(e) }),
            Err(_) => {}
        }
    }
    if out.is_empty() { Err(s.no_symbol("vm_zone_stat")) } else { Ok(out) }
}

/// The counts of events, over all CPUs. A kernel may be built without them.
///
/// # Errors
/// It counts none, or a CPU's counts are not in the dump.
pub fn events(s: &Session) -> Result<Table> {
    s.need_symbol("vm_event_states")?;
    let names = names(s, EVENT)?;
    let mut sums: Vec<Item> = Vec::new();
    for &cpu in &s.cpus().possible {
        let own = read(s, per_cpu(s, "vm_event_states", cpu)?, &names)?;
        if sums.is_empty() {
            sums = own;
            continue;
        }
        for (sum, own) in sums.iter_mut().zip(own) {
            sum.value = sum.value.wrapping_add(own.value);
        }
    }
    Ok(Table { name: "vm_event_states", items: Ok(sums) })
}

/// One count of the whole machine, under any of its names.
///
/// # Errors
/// This kernel has no such count, or it is not in the dump.
pub fn total(s: &Session, wanted: &[&'static str]) -> Result<u64> {
    let mut why = None;
    for table in tables(s)? {
        match table.items {
            Ok(items) => {
                if let Some(item) = items.iter().find(|item| wanted.contains(&item.name.as_str())) {
                    return Ok(item.count());
                }
            }
            Err(e) => why = why.or(Some(e)),
        }
    }
    let first = wanted.first().copied().unwrap_or_default();
    Err(why.unwrap_or(KernelError::NoEnumeration(first)))
}

/// The counts of a zone.
///
/// # Errors
/// They are not known, or not in the dump.
pub fn of_zone(s: &Session, zone: VirtAddr) -> Result<Vec<Item>> {
    own(s, &s.bind::<ZoneStruct>().vm_stat, zone, ZONE)
}

/// The counts of a node (4.8).
///
/// # Errors
/// As of [`of_zone`].
pub fn of_node(s: &Session, node: VirtAddr) -> Result<Vec<Item>> {
    own(s, &s.bind::<NodeStruct>().vm_stat, node, NODE)
}

fn own(s: &Session, field: &Field, at: VirtAddr, of: (&[&str], &'static str)) -> Result<Vec<Item>> {
    let mut names = names(s, of)?;
    // an array of a type that is shorter than the enumeration is no array of it
    let room = field.size()? / 8;
    names.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    read(s, field.at(at)?, &names)
}

/// One of several counts.
#[must_use]
pub fn item<'i>(items: &'i [Item], name: &str) -> Option<&'i Item> {
    items.iter().find(|item| item.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    const ZONE_ITEMS: &[(&str, i32)] = &[
        ("NR_FREE_PAGES", 0),
        ("NR_ZONE_LRU_BASE", 1),
        ("NR_ZONE_INACTIVE_ANON", 1),
        ("NR_MLOCK", 2),
        ("NR_VM_ZONE_STAT_ITEMS", 3),
    ];

    #[test]
    fn items_are_named_by_their_enumerators_and_less_than_none_is_none() {
        let mut k = Kernel::new();
        k.enumeration("zone_stat_item", ZONE_ITEMS);
        k.enumeration("node_stat_item", &[("NR_SLAB_RECLAIMABLE_B", 0), ("NR_VM_NODE_STAT_ITEMS", 1)]);
        let (zone, node) = (k.variable("vm_zone_stat", 24), k.variable("vm_node_stat", 8));
        k.word(zone, 700).word(zone + 8, 8).word(zone + 16, u64::MAX).word(node, 44);
        let s = session(&k);
        let all = tables(&s).unwrap();
        let shown: Vec<(&str, Vec<(String, i64)>)> = all
            .iter()
            .map(|t| (t.name, t.items.as_ref().unwrap().iter().map(|i| (i.name.clone(), i.value)).collect()))
            .collect();
        let item = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            shown,
            [
                (
                    "vm_zone_stat",
                    vec![item("NR_FREE_PAGES", 700), item("NR_ZONE_INACTIVE_ANON", 8), item("NR_MLOCK", -1)]
                ),
                ("vm_node_stat", vec![item("NR_SLAB_RECLAIMABLE_B", 44)]),
            ]
        );
        assert_eq!(total(&s, &["NR_MLOCK"]).unwrap(), 0);
        assert_eq!(total(&s, &["NR_SLAB_RECLAIMABLE", "NR_SLAB_RECLAIMABLE_B"]).unwrap(), 44);
        assert!(total(&s, &["NR_BOUNCE"]).is_err(), "a count that this kernel does not have is not 0");
        k.exclude(node);
        let s = session(&k);
        assert!(total(&s, &["NR_SLAB_RECLAIMABLE_B"]).unwrap_err().is_loss());
    }

    #[test]
    fn before_4_8_one_array_has_them_all() {
        let mut k = Kernel::new();
        k.enumeration("zone_stat_item", ZONE_ITEMS);
        let all = k.variable("vm_stat", 24);
        k.word(all + 16, 9);
        assert_eq!(total(&session(&k), &["NR_MLOCK"]).unwrap(), 9);
    }

    #[test]
    fn events_are_a_sum_of_all_cpus() {
        let mut k = Kernel::new();
        k.cpus(2);
        k.enumeration("vm_event_item", &[("PGPGIN", 0), ("PGFAULT", 1), ("NR_VM_EVENT_ITEMS", 2)]);
        let own = k.per_cpu("vm_event_states", 16);
        let counts = [k.on_cpu(own, 0) + 8, k.on_cpu(own, 1) + 8];
        k.word(counts[0], 5).word(counts[1], 7);
        let all = events(&session(&k)).unwrap().items.unwrap();
        assert_eq!(all, [("PGPGIN", 0), ("PGFAULT", 12)].map(|(n, value)| Item { name: n.into(), value }));
    }
}
