//! Memory: address spaces beside `/proc/PID/maps` and `/proc/PID/status`, the kernel's own beside `/proc/meminfo`,
//! `/proc/zoneinfo` and `/proc/slabinfo`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Differences, different_maps, hex, restless};
use crate::{Answers, Case};

/// A mapping: where it is, its permissions, its place in the file.
type Mapping = (u64, u64, String, u64);

/// The mappings of every process that the guest shows, and how large its address space is.
///
/// # Errors
/// crashlens did not answer.
pub fn spaces(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let restless = restless(&case.truth);
    let mut wanted: BTreeMap<(i64, u64), (Mapping, String)> = BTreeMap::new();
    for (pid, line) in of_processes(case, "process.maps") {
        if let Some((mapping, file)) = said(line).filter(|_| !restless.contains(&pid)) {
            wanted.insert((pid, mapping.0), (mapping, file));
        }
    }
    let pids: BTreeSet<i64> = wanted.keys().map(|(pid, _)| *pid).collect();
    let mut found = BTreeMap::new();
    let mut sizes = BTreeMap::new();
    for task in answers.list("foreach user gleader vm", "tasks")? {
        let spaces = task.get("address_spaces").and_then(Value::as_array);
        for space in spaces.into_iter().flatten() {
            let pid = space.get("pid").and_then(Value::as_i64).unwrap_or_default();
            if !pids.contains(&pid) {
                continue;
            }
            sizes.insert(pid, space.get("total_kib").and_then(Value::as_u64).unwrap_or_default());
            for mapping in space.get("mappings").and_then(Value::as_array).into_iter().flatten() {
                let (mapping, file) = answered(mapping);
                found.insert((pid, mapping.0), (mapping, file));
            }
        }
    }
    let mut differences = different_maps(&found, &wanted);
    let totals = of_processes(case, "process.status").filter_map(|(pid, line)| {
        let kib = line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse().ok()?;
        pids.contains(&pid).then_some((pid, kib))
    });
    differences.extend(different_maps(&sizes, &totals.collect()));
    Ok(differences)
}

/// Lines of a section that has a part for each process.
fn of_processes<'c>(case: &'c Case, section: &str) -> impl Iterator<Item = (i64, &'c str)> {
    let mut pid = 0;
    let lines = case.truth.sections.get(section).into_iter().flatten();
    lines.filter_map(move |line| match line.strip_prefix("@ ") {
        Some(head) => {
            pid = head.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
            None
        }
        None => Some((pid, line.as_str())),
    })
}

/// `00400000-00401000 r--p 00000000 00:02 6      /bin/busybox`; what is no file has no name here.
fn said(line: &str) -> Option<(Mapping, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [range, flags, offset, ..] = words.as_slice() else { return None };
    let (start, end) = range.split_once('-')?;
    let path = words.get(5).filter(|path| path.starts_with('/')).copied().unwrap_or_default();
    Some(((hex(start), hex(end), (*flags).to_owned(), hex(offset)), path.to_owned()))
}

fn answered(mapping: &Value) -> (Mapping, String) {
    let number = |member: &str| mapping.get(member).and_then(Value::as_str).map_or(0, hex);
    let flags = number("flags");
    let letter = |bit: u64, letter: char| if flags & bit == 0 { '-' } else { letter };
    // VM_MAYSHARE
    let shared = if flags & 0x80 == 0 { 'p' } else { 's' };
    let letters = [letter(1, 'r'), letter(2, 'w'), letter(4, 'x'), shared].iter().collect();
    let file = mapping.get("file").and_then(Value::as_str).unwrap_or_default();
    let offset = mapping.get("page_offset").and_then(Value::as_u64).unwrap_or_default() * 4096;
    // memory that is of no file has its place in the address space there
    let offset = if file.is_empty() { 0 } else { offset };
    ((number("start"), number("end"), letters, offset), file.to_owned())
}

/// What does not change while the guest prints: all of memory, huge pages, swap, what may be promised; and the zones.
///
/// # Errors
/// crashlens did not answer.
pub fn kernel(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut differences = Differences::new();
    let info = answers.data("kmem -i")?;
    let pages = |path: &str| info.pointer(path).and_then(Value::as_u64);
    let said = |name: &str| {
        let lines = case.truth.sections.get("meminfo").into_iter().flatten();
        let value = lines.filter_map(|line| line.split_once(':')).find(|(key, _)| *key == name);
        value.and_then(|(_, text)| text.split_whitespace().next()?.parse::<u64>().ok())
    };
    let huge = said("Hugepagesize").map_or(0, |kib| kib / 4);
    let lasting = [
        ("/memory/total", said("MemTotal").map(|kib| kib / 4)),
        ("/swap/total", said("SwapTotal").map(|kib| kib / 4)),
        ("/commit/limit", said("CommitLimit").map(|kib| kib / 4)),
        ("/huge_pages/total", said("HugePages_Total").map(|pages| pages * huge)),
    ];
    for (path, wanted) in lasting {
        if wanted.is_some() && pages(path) != wanted {
            differences.push(format!("{path}: {:?}, the guest says {wanted:?}", pages(path)));
        }
    }
    // what changes: within 16 MiB of what the guest said, and 32 MiB where it loaded a crash kernel after that
    let cmdline = case.truth.sections.get("cmdline").into_iter().flatten();
    let loaded = cmdline.flat_map(|line| line.split_whitespace()).any(|word| word == "kdump=1");
    let most = if loaded { 12_288 } else { 4096 };
    for (path, name) in
        [("/memory/buffers", "Buffers"), ("/memory/cached", "Cached"), ("/memory/slab", "Slab")]
    {
        let Some(wanted) = said(name).map(|kib| kib / 4) else { continue };
        if pages(path).is_none_or(|found| found.abs_diff(wanted) > most) {
            differences.push(format!("{path}: {:?}, the guest says {wanted}", pages(path)));
        }
    }
    let free = answers.data("kmem -f")?;
    let of = |member: &str| free.get(member).and_then(Value::as_u64);
    let found = of("found_pages").or(of("free_pages"));
    // what a CPU has not yet added to the count is in the lists
    if found.zip(of("free_pages")).is_none_or(|(found, counted)| found.abs_diff(counted) > 512) {
        differences.push(format!("free pages: {found:?} are in lists, {:?} are counted", of("free_pages")));
    }
    differences.extend(zones(case, answers)?);
    Ok(differences)
}

/// Sizes and watermarks of each zone.
fn zones(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let names =
        [("min", "min"), ("low", "low"), ("high", "high"), ("spanned", "size"), ("managed", "managed")];
    let mut wanted: BTreeMap<(u64, String), BTreeMap<&str, u64>> = BTreeMap::new();
    let mut zone = (0, String::new());
    for line in case.truth.sections.get("zoneinfo").into_iter().flatten() {
        if let Some((node, name)) = line.strip_prefix("Node ").and_then(|rest| rest.split_once(", zone")) {
            zone = (node.parse().unwrap_or_default(), name.trim().to_owned());
        }
        let mut words = line.split_whitespace();
        let known = words.next().and_then(|word| names.iter().find(|(said, _)| *said == word));
        if let (Some((_, member)), Some(value)) = (known, words.next().and_then(|word| word.parse().ok())) {
            // `high:` of a CPU's lists ends with a colon
            wanted.entry(zone.clone()).or_default().insert(member, value);
        }
    }
    wanted.retain(|_, zone| zone.get("size").is_some_and(|size| *size > 0));
    let mut found = BTreeMap::new();
    for zone in answers.list("kmem -z", "zones")? {
        let number = |member: &str| zone.get(member).and_then(Value::as_u64);
        let name = zone.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let members = names.iter().filter_map(|(_, member)| Some((*member, number(member)?)));
        if number("size").is_some_and(|size| size > 0) {
            found.insert((number("node").unwrap_or_default(), name), members.collect::<BTreeMap<_, _>>());
        }
    }
    Ok(different_maps(&found, &wanted))
}

/// Each slab cache by its name, with the sizes of its objects and slabs, and about as many objects as the guest said.
///
/// # Errors
/// crashlens did not answer.
pub fn slabs(case: &Case, answers: &Answers) -> Result<Differences, String> {
    let mut wanted: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for line in case.truth.sections.get("slabinfo").into_iter().flatten() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |n: usize| words.get(n).and_then(|word| word.parse::<u64>().ok());
        if let (Some(all), Some(size), Some(pages)) = (number(2), number(3), number(5)) {
            let name = words.first().copied().unwrap_or_default().to_owned();
            counted.insert(name.clone(), all);
            wanted.insert(name, (size, pages * 4096));
        }
    }
    if wanted.is_empty() {
        return Ok(Differences::new()); // a kernel without /proc/slabinfo
    }
    let mut found = BTreeMap::new();
    let mut differences = Differences::new();
    for cache in answers.list("kmem -s", "caches")? {
        let number = |member: &str| cache.get(member).and_then(Value::as_u64).unwrap_or_default();
        let name = cache.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        found.insert(name.clone(), (number("slot_size"), number("slab_size")));
        let (total, allocated) = (number("total"), cache.get("allocated").and_then(Value::as_u64));
        if allocated.is_none_or(|allocated| allocated > total) {
            differences.push(format!("{name}: {allocated:?} of {total} objects are in use"));
        }
        // caches grow and shrink until the death
        let said = counted.get(&name).copied().unwrap_or_default();
        if total.abs_diff(said) > 2000 + said / 4 {
            differences.push(format!("{name}: {total} objects, the guest says {said}"));
        }
    }
    differences.extend(different_maps(&found, &wanted));
    Ok(differences)
}
