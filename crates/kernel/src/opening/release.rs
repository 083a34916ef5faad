//! The kernel's release (`uname -r`) by those that know it: its name in memory (`init_uts_ns`), its banner, VMCOREINFO, the
//! header of the dump. Each can be damaged by itself: what most of them say counts, and the odd one is told.

use crate::opening::machine::Machine;
use base::{VirtAddr, VirtRead};

/// The kernel's own name.
pub(crate) const OWN_NAME: &str = "init_uts_ns";

/// Bytes of a name in `struct new_utsname`, and how many names come before the release.
const FIELD: usize = 65;
const BEFORE: usize = 2;
/// How much of `init_uts_ns` is read: a reference count, and the names.
const READ: usize = 96 + 6 * FIELD;

/// One that says what the release is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    /// Where that is.
    pub by: &'static str,
    /// What it says.
    pub release: String,
}

/// What came of asking all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voted {
    /// What most of them say; of equally many the kernel's own name.
    pub release: String,
    /// Who says it.
    pub by: Vec<&'static str>,
    /// Who says something else.
    pub odd: Vec<Witness>,
}

impl Voted {
    /// Counts the witnesses; of releases that equally many have the first one's counts.
    pub(crate) fn of(witnesses: &[Witness]) -> Option<Self> {
        let votes = |release: &str| witnesses.iter().filter(|w| w.release == release).count();
        let first = witnesses.iter().rev().max_by_key(|w| votes(&w.release))?;
        let (for_it, odd): (Vec<_>, Vec<_>) =
            witnesses.iter().cloned().partition(|w| w.release == first.release);
        Some(Self { release: first.release.clone(), by: for_it.iter().map(|w| w.by).collect(), odd })
    }

    /// True where no other release has as many witnesses.
    pub(crate) fn is_decided(&self) -> bool {
        let votes = |release: &str| self.odd.iter().filter(|w| w.release == release).count();
        self.odd.iter().all(|w| votes(&w.release) < self.by.len())
    }

    /// What there is to say where they differ.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let odd: Vec<_> = self.odd.iter().map(|w| format!("{} says {:?}", w.by, w.release)).collect();
        let (odd, by) = (odd.join(", "), self.by.join(", "));
        let damaged = match self.is_decided() {
            true => "that is used, what differs is damaged",
            false => "one of them is damaged",
        };
        let say = if self.by.len() == 1 { "says" } else { "say" };
        (!odd.is_empty())
            .then(|| format!("the kernel's release: {odd}, {by} {say} {:?}: {damaged}", self.release))
    }
}

/// What memory and headers say of the release. `symbol` finds variables of the kernel.
pub(crate) fn witnesses(machine: &Machine, symbol: impl Fn(&str) -> Option<VirtAddr>) -> Vec<Witness> {
    let own = symbol("init_uts_ns").and_then(|at| in_uts(&machine.mem.bytes(at, READ).ok()?));
    let banner = symbol("linux_banner").and_then(|at| machine.banner_release(at));
    let told = machine.info.get("OSRELEASE").map(str::to_owned).or_else(|| machine.dropped_release.clone());
    // QEMU writes "Unknown" for machines other than x86
    let header = machine.image.dump.facts().utsname.as_ref().map(|names| names.release.clone());
    let header = header.filter(|release| release.starts_with(|c: char| c.is_ascii_digit()));
    [(OWN_NAME, own), ("its banner", banner), ("VMCOREINFO's OSRELEASE", told), ("the dump's header", header)]
        .into_iter()
        .filter_map(|(by, release)| Some(Witness { by, release: release.filter(|r| !r.is_empty())? }))
        .collect()
}

/// The release in the bytes of `init_uts_ns`.
fn in_uts(bytes: &[u8]) -> Option<String> {
    let start = memchr::memmem::find(bytes, b"Linux\0")?.checked_add(BEFORE * FIELD)?;
    let field = bytes.get(start..start.checked_add(FIELD)?)?;
    Some(String::from_utf8_lossy(base::cstr(field)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voted(all: &[(&'static str, &str)]) -> Voted {
        let all: Vec<_> =
            all.iter().map(|&(by, release)| Witness { by, release: release.to_owned() }).collect();
        Voted::of(&all).unwrap()
    }

    #[test]
    fn most_count_and_the_kernel_s_own_name_among_equals() {
        let all = voted(&[("a", "6.1"), ("b", "6.1")]);
        assert!(all.words().is_none() && all.is_decided() && all.by == ["a", "b"]);
        let odd = voted(&[(OWN_NAME, "5.4"), ("its banner", "6.1"), ("VMCOREINFO", "6.1")]);
        assert_eq!((&*odd.release, odd.is_decided(), odd.odd.len()), ("6.1", true, 1));
        assert_eq!(
            odd.words().as_deref(),
            Some(
                "the kernel's release: init_uts_ns says \"5.4\", its banner, VMCOREINFO say \"6.1\": that is used, \
                 what differs is damaged"
            )
        );
        let tie = voted(&[(OWN_NAME, "6.1"), ("VMCOREINFO", "5.4")]);
        assert_eq!((&*tie.release, tie.is_decided()), ("6.1", false));
        assert!(tie.words().unwrap().ends_with("one of them is damaged"));
        let three = voted(&[(OWN_NAME, "1"), ("its banner", "2"), ("VMCOREINFO", "3")]);
        assert_eq!((&*three.release, three.is_decided()), ("1", false));
        assert_eq!(Voted::of(&[]), None);
    }

    #[test]
    fn a_release_is_read_behind_a_reference_count_too() {
        for before in [0, 4, 8] {
            let mut bytes = vec![0; READ];
            bytes[before..before + 5].copy_from_slice(b"Linux");
            let at = before + BEFORE * FIELD;
            bytes[at..at + 3].copy_from_slice(b"6.1");
            assert_eq!(in_uts(&bytes).as_deref(), Some("6.1"));
        }
        assert_eq!(in_uts(&[0; READ]), None);
    }
}
