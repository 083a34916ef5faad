//! The kernel's release (`uname -r`) and version (`uname -v`) by those that know them: its name in memory (`init_uts_ns`), its
//! banner, VMCOREINFO, the header of the dump. Each can be damaged by itself: what most of them say counts, and the odd one is
//! told.

use crate::opening::machine::Machine;
use base::{VirtAddr, VirtRead};

/// The kernel's own name.
pub(crate) const OWN_NAME: &str = "init_uts_ns";

/// Bytes of a name in `struct new_utsname`, and how many names come before the release and the version.
const FIELD: usize = 65;
const RELEASE: usize = 2;
const VERSION: usize = 3;
/// How much of `init_uts_ns` is read: a reference count, and the names.
const READ: usize = 96 + 6 * FIELD;

/// One that says what the release, or the version, is.
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
    /// Of what: `release` or `version`.
    pub of: &'static str,
    /// What most of them say; of equally many the kernel's own name.
    pub release: String,
    /// Who says it.
    pub by: Vec<&'static str>,
    /// Who says something else.
    pub odd: Vec<Witness>,
}

impl Voted {
    /// Counts the witnesses of the release; of what equally many have the first one's counts.
    pub(crate) fn of(witnesses: &[Witness]) -> Option<Self> {
        Self::named("release", witnesses)
    }

    /// The same of the version.
    pub(crate) fn of_version(witnesses: &[Witness]) -> Option<Self> {
        Self::named("version", witnesses)
    }

    fn named(of: &'static str, witnesses: &[Witness]) -> Option<Self> {
        let votes = |release: &str| witnesses.iter().filter(|w| w.release == release).count();
        let first = witnesses.iter().rev().max_by_key(|w| votes(&w.release))?;
        let (for_it, odd): (Vec<_>, Vec<_>) =
            witnesses.iter().cloned().partition(|w| w.release == first.release);
        Some(Self { of, release: first.release.clone(), by: for_it.iter().map(|w| w.by).collect(), odd })
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
            .then(|| format!("the kernel's {}: {odd}, {by} {say} {:?}: {damaged}", self.of, self.release))
    }
}

/// What memory and headers say of the release. `symbol` finds variables of the kernel.
pub(crate) fn witnesses(machine: &Machine, symbol: impl Fn(&str) -> Option<VirtAddr>) -> Vec<Witness> {
    let own = symbol("init_uts_ns").and_then(|at| in_uts(&machine.mem.bytes(at, READ).ok()?, RELEASE));
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

/// What memory and headers say of the version, the banner by its text and the log's by its own.
pub(crate) fn version_witnesses(
    machine: &Machine,
    symbol: impl Fn(&str) -> Option<VirtAddr>,
    logged: Option<&str>,
) -> Vec<Witness> {
    let own = symbol("init_uts_ns").and_then(|at| in_uts(&machine.mem.bytes(at, READ).ok()?, VERSION));
    let banner = symbol("linux_banner").and_then(|at| machine.mem.cstr(at, BANNER_MAX).ok());
    let banner = banner.map(|text| String::from_utf8_lossy(&text).into_owned());
    let header = machine.image.dump.facts().utsname.as_ref().map(|names| names.version.clone());
    let header = header.filter(|version| version.starts_with('#'));
    let of_banner = |text: &str| version_of(text).map(str::to_owned);
    let all = [
        (OWN_NAME, own),
        ("its banner", banner.as_deref().and_then(of_banner)),
        ("the dump's header", header),
        ("the log's banner", logged.and_then(of_banner)),
    ];
    all.into_iter()
        .filter_map(|(by, version)| Some(Witness { by, release: version.filter(|v| !v.is_empty())? }))
        .collect()
}

/// The longest banner.
const BANNER_MAX: usize = 512;

/// The version at the end of a banner: `Linux version RELEASE (WHO) (COMPILER) #1 SMP …`. Ubuntu has one thing more behind it, and
/// names of the kernel keep no more than their room.
fn version_of(banner: &str) -> Option<&str> {
    let rest = banner.trim_end().strip_prefix("Linux version ")?;
    let version = rest.get(rest.find(" #")?.checked_add(1)?..)?;
    let version = version.find(" (Ubuntu ").and_then(|end| version.get(..end)).unwrap_or(version);
    let end = version.char_indices().map(|(at, _)| at).find(|at| *at >= FIELD - 1).unwrap_or(version.len());
    version.get(..end)
}

/// A name in the bytes of `init_uts_ns`, by its place.
fn in_uts(bytes: &[u8], place: usize) -> Option<String> {
    let start = memchr::memmem::find(bytes, b"Linux\0")?.checked_add(place * FIELD)?;
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
            for (place, name) in [(RELEASE, b"6.1"), (VERSION, b"#12")] {
                let at = before + place * FIELD;
                bytes[at..at + 3].copy_from_slice(name);
            }
            assert_eq!(in_uts(&bytes, RELEASE).as_deref(), Some("6.1"));
            assert_eq!(in_uts(&bytes, VERSION).as_deref(), Some("#12"));
        }
        assert_eq!(in_uts(&[0; READ], RELEASE), None);
    }

    #[test]
    fn a_banner_ends_with_the_version() {
        let of = |end: &str| {
            let text =
                format!("Linux version 6.1.0 (a@b) (gcc (Debian 12.2.0-14) 12.2.0, GNU ld 2.40) {end}\n");
            version_of(&text).map(str::to_owned)
        };
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)";
        assert_eq!(of(debian).as_deref(), Some(debian));
        let ubuntu = "#97-Ubuntu SMP Mon Oct 2 21:09:21 UTC 2023";
        assert_eq!(of(&format!("{ubuntu} (Ubuntu 5.15.0-86.96-generic 5.15.122)")).as_deref(), Some(ubuntu));
        let long = format!("#1 SMP {}", "x".repeat(80));
        assert_eq!(of(&long).as_deref(), long.get(..64));
        assert_eq!((of(""), version_of("Linux 6.1 #1")), (None, None));
    }
}
