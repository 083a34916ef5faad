//! The objects that a verdict's pointers lead to, where an allocator has written down who allocated and freed them: SLUB
//! with `slub_debug=U`, and KFENCE.

use crate::code::roles;
use crate::model::{Access, Condition, Known, Past};
use base::VirtAddr;
use kernel::Session;
use kernel::mm::kfence::{self, Guarded};
use kernel::mm::slub;
use kernel::mm::track::{Track, When};

/// How many objects are told.
const MAX_OBJECTS: usize = 4;

/// An object of one of the allocators.
pub(crate) enum Met {
    Slab(slub::Object),
    Guarded(Guarded),
}

/// The object at an address. What the slab allocator's lists say of an object in KFENCE's pool is not so.
pub(crate) fn at(s: &Session, value: u64) -> Option<Met> {
    let at = VirtAddr(value);
    if kfence::is_in_pool(s, at) {
        return kfence::object_at(s, at).map(Met::Guarded);
    }
    slub::object_at(s, at).map(Met::Slab)
}

impl Met {
    /// `in a free object of slab cache kmalloc-96 (ff…40+0x8), allocated by f+0x1, freed by g+0x2`
    pub(crate) fn described(&self, s: &Session) -> String {
        let mut out = match self {
            Met::Slab(o) => slab_words(o),
            Met::Guarded(g) => guarded_words(g),
        };
        for (word, track) in self.tracks() {
            if let Some(by) = asker(s, track) {
                let before = if self.is_earlier(word) { " before" } else { "" };
                out = format!("{out}, {word}{before} by {}", crate::explain::pointer::function(s, by));
            }
        }
        for wrong in self.damage() {
            out = format!("{out}, {wrong}");
        }
        out
    }

    fn tracks(&self) -> impl Iterator<Item = (&'static str, &Track)> {
        let (allocated, freed) = match self {
            Met::Slab(o) => (&o.allocated, &o.freed),
            Met::Guarded(g) => (&g.allocated, &g.freed),
        };
        let allocated = allocated.as_ref().map(|t| ("allocated", t));
        allocated.into_iter().chain(freed.as_ref().map(|t| ("freed", t)))
    }

    /// SLUB keeps who freed the object that was there before.
    fn is_earlier(&self, word: &str) -> bool {
        word == "freed" && matches!(self, Met::Slab(o) if o.state == slub::State::Allocated)
    }

    /// What of it is not in the dump.
    fn unread(&self) -> &[&'static str] {
        match self {
            Met::Slab(o) => &o.unread,
            Met::Guarded(g) => &g.unread,
        }
    }

    fn damage(&self) -> Vec<String> {
        match self {
            Met::Slab(o) => o.damage.clone(),
            Met::Guarded(g) => g.overwritten.map(|wrong| beside(g, wrong)).into_iter().collect(),
        }
    }

    /// True where the object is not as it should be for somebody who has a pointer to it.
    fn is_suspect(&self) -> bool {
        let used = match self {
            Met::Slab(o) => o.state != slub::State::Free,
            Met::Guarded(g) => {
                g.state == kfence::State::Allocated && matches!(g.place, kfence::Place::Inside(_))
            }
        };
        !used || !self.damage().is_empty()
    }

    const fn begin(&self) -> u64 {
        match self {
            Met::Slab(o) => o.at.0,
            Met::Guarded(g) => g.at.0,
        }
    }

    /// What it is, without the place of a pointer in it.
    fn known(&self, s: &Session, pointer: u64) -> Known {
        let (text, commands) = match self {
            Met::Slab(o) => {
                let state = match o.state {
                    slub::State::Unknown => "an",
                    slub::State::Allocated => "an allocated",
                    slub::State::Free => "a free",
                };
                (
                    format!("{:016x}: {state} object of slab cache {}, {} bytes", o.at.0, o.cache, o.size),
                    vec![
                        format!("rd {:x} {}", o.at.0, o.size.div_ceil(8)),
                        format!("struct kmem_cache {:x}", o.cache_at.0),
                    ],
                )
            }
            Met::Guarded(g) => (
                format!("{:016x}: {}, {} bytes", g.at.0, name(g), g.size),
                vec![format!("struct kfence_metadata {:x}", g.metadata.0)],
            ),
        };
        let unread = self.unread().iter().map(|what| format!("{what} is not in the dump"));
        let text = [text].into_iter().chain(self.damage()).chain(self.beside(pointer)).chain(unread);
        let text = text.collect::<Vec<_>>().join(", ");
        let mut past: Vec<Past> = self.tracks().map(|(word, track)| past(s, word, track)).collect();
        for told in past.iter_mut().filter(|p| p.text.starts_with("freed") && self.is_earlier("freed")) {
            told.text.push_str(", before it was allocated");
        }
        Known {
            at: self.begin(),
            text,
            suspect: self.is_suspect(),
            past,
            lost: !self.unread().is_empty(),
            commands,
        }
    }

    /// Where a pointer is that leads beside an object.
    fn beside(&self, pointer: u64) -> Option<String> {
        let Met::Guarded(g) = self else { return None };
        match g.place {
            kfence::Place::Inside(_) => None,
            kfence::Place::Before(n) => Some(format!("{pointer:016x} is {} before it", bytes(n))),
            kfence::Place::Behind(0) => Some(format!("{pointer:016x} is directly behind it")),
            kfence::Place::Behind(n) => Some(format!("{pointer:016x} is {} behind its end", bytes(n))),
        }
    }
}

/// `1 byte`, `2 bytes`
fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

fn slab_words(o: &slub::Object) -> String {
    let mut out = match o.state {
        slub::State::Unknown => format!("in an object of slab cache {}", o.cache),
        slub::State::Allocated => format!("in an allocated object of slab cache {}", o.cache),
        slub::State::Free => format!("in a free object of slab cache {}", o.cache),
    };
    if o.offset > 0 {
        out = format!("{out} ({:x}+{:#x})", o.at.0, o.offset);
    }
    out
}

/// `freed KFENCE object #7 of slab cache kmalloc-32`
fn name(g: &Guarded) -> String {
    let state = match g.state {
        kfence::State::Unused => "unused ",
        kfence::State::Allocated => "allocated ",
        kfence::State::Freeing => "freed (after RCU's readers) ",
        kfence::State::Freed => "freed ",
    };
    let cache = match &g.cache {
        Some(cache) if g.state != kfence::State::Unused => format!(" of slab cache {cache}"),
        _ => String::new(),
    };
    format!("{state}KFENCE object #{}{cache}", g.number)
}

fn guarded_words(g: &Guarded) -> String {
    let name = name(g);
    let object = format!("{name} ({}, {:x})", bytes(g.size), g.at.0);
    match g.place {
        // what lies around it in its page is nobody's
        _ if g.state == kfence::State::Unused => format!("in the page of {name}"),
        kfence::Place::Inside(0) => format!("the {object}"),
        kfence::Place::Inside(n) => format!("{} into the {object}", bytes(n)),
        kfence::Place::Before(n) => format!("{} before the {object}", bytes(n)),
        kfence::Place::Behind(0) => format!("directly behind the {object}"),
        kfence::Place::Behind(n) => format!("{} behind the end of the {object}", bytes(n)),
    }
}

/// `overwritten behind its end at +0x22: 78`
fn beside(g: &Guarded, (offset, byte): (i64, u8)) -> String {
    if offset < 0 {
        return format!("overwritten {} bytes before its begin: {byte:02x}", offset.unsigned_abs());
    }
    let behind = offset.unsigned_abs().saturating_sub(g.size);
    format!("overwritten {behind} bytes behind its end: {byte:02x}")
}

/// The stack of a track from who asked for memory on: without the allocator's own functions.
fn stack_of(s: &Session, track: &Track) -> Vec<VirtAddr> {
    let own = |at: &VirtAddr| {
        s.locate(at.sub(1)).is_some_and(|l| l.symbol.module.is_none() && is_allocator(l.symbol.name))
    };
    let from = match track.by {
        Some(by) => track.stack.iter().position(|at| *at == by),
        None => track.stack.iter().position(|at| !own(at)),
    };
    match (from, track.by) {
        (Some(from), _) => track.stack.get(from..).unwrap_or_default().to_vec(),
        (None, Some(by)) => [by].into_iter().chain(track.stack.iter().copied()).collect(),
        (None, None) => track.stack.clone(),
    }
}

/// True for the functions of allocators that a stack of KFENCE's begins with.
fn is_allocator(name: &str) -> bool {
    let inner = name.trim_start_matches('_');
    roles::is_allocating(name) || ["kfence_", "kfree", "kmem_cache_"].iter().any(|f| inner.starts_with(f))
}

/// The return address to who asked for memory or gave it back.
fn asker(s: &Session, track: &Track) -> Option<VirtAddr> {
    stack_of(s, track).first().copied()
}

fn past(s: &Session, word: &str, track: &Track) -> Past {
    let cpu = track.cpu.map(|cpu| format!(", CPU {cpu}")).unwrap_or_default();
    let text = format!("{word} in PID {}{cpu}{}", track.pid, when(s, track.when));
    let stack = stack_of(s, track);
    Past { text, stack: stack.into_iter().map(|at| frame(s, at)).collect() }
}

/// `f+0x1 [m]` of a return address.
fn frame(s: &Session, at: VirtAddr) -> String {
    match s.locate(at.sub(1)) {
        Some(l) => {
            let module = l.symbol.module.map(|m| format!(" [{m}]")).unwrap_or_default();
            format!("{}+{:#x}{module}", l.symbol.name, l.offset + 1)
        }
        None => format!("{:x}", at.0),
    }
}

/// How long before the end by the kernel's tick count, or when by the log's clock.
fn when(s: &Session, when: When) -> String {
    match when {
        When::Jiffies(then) => {
            let now = s.symbol("jiffies").or_else(|| s.symbol("jiffies_64"));
            let now = now.and_then(|at| s.mem().u64(at).ok());
            match now.and_then(|now| now.checked_sub(then)) {
                Some(1) => ", 1 tick before the end".into(),
                Some(ticks) => format!(", {ticks} ticks before the end"),
                None => String::new(),
            }
        }
        When::Clock(ns) => format!(", at {}.{:06} s", ns / 1_000_000_000, ns % 1_000_000_000 / 1000),
        When::Unknown => String::new(),
    }
}

/// The objects that a verdict's pointers lead to and whose past is known; what is not as it should be first.
pub(crate) fn of(
    s: &Session,
    access: Option<&Access>,
    condition: Option<&Condition>,
    reported: Option<u64>,
) -> Vec<Known> {
    // what was accessed says more than what it belongs to
    let mut pointers: Vec<u64> = access.iter().filter_map(|a| a.at).collect();
    pointers.extend(reported);
    let rows = access.iter().flat_map(|a| &a.operands);
    let rows = rows.chain(condition.iter().flat_map(|c| &c.operands));
    let kernels = |at: &u64| s.arch().is_kernel(VirtAddr(*at));
    pointers.extend(rows.filter_map(|row| row.number.filter(kernels)));
    let mut out: Vec<Known> = Vec::new();
    for value in pointers.into_iter().take(16) {
        let Some(met) = at(s, value).filter(|met| out.iter().all(|o| o.at != met.begin())) else { continue };
        if met.tracks().next().is_some() || !met.unread().is_empty() {
            out.push(met.known(s, value));
        }
    }
    out.sort_by_key(|o| !o.suspect);
    out.truncate(MAX_OBJECTS);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(state: kfence::State, place: kfence::Place) -> Guarded {
        Guarded {
            number: 7,
            metadata: VirtAddr(0),
            at: VirtAddr(0xffff_8880_0000_1fe0),
            size: 32,
            cache: Some("kmalloc-32".into()),
            state,
            place,
            allocated: None,
            freed: None,
            overwritten: None,
            unread: Vec::new(),
        }
    }

    #[test]
    fn places_from_a_guarded_object() {
        use kfence::{Place, State};
        let words = |state, place| guarded_words(&guarded(state, place));
        let object = "KFENCE object #7 of slab cache kmalloc-32 (32 bytes, ffff888000001fe0)";
        assert_eq!(words(State::Freed, Place::Inside(0)), format!("the freed {object}"));
        assert_eq!(words(State::Freed, Place::Inside(8)), format!("8 bytes into the freed {object}"));
        assert_eq!(
            words(State::Allocated, Place::Behind(0)),
            format!("directly behind the allocated {object}")
        );
        assert_eq!(
            words(State::Allocated, Place::Behind(1)),
            format!("1 byte behind the end of the allocated {object}")
        );
        assert_eq!(
            words(State::Allocated, Place::Before(2)),
            format!("2 bytes before the allocated {object}")
        );
        assert_eq!(words(State::Unused, Place::Inside(0)), "in the page of unused KFENCE object #7");
    }

    #[test]
    fn what_was_written_beside_an_object() {
        let g = guarded(kfence::State::Allocated, kfence::Place::Inside(0));
        assert_eq!(beside(&g, (-3, 0)), "overwritten 3 bytes before its begin: 00");
        assert_eq!(beside(&g, (34, 0x78)), "overwritten 2 bytes behind its end: 78");
        let behind = Met::Guarded(guarded(kfence::State::Allocated, kfence::Place::Behind(40)));
        assert_eq!(
            behind.beside(0xffff_8880_0000_2028).as_deref(),
            Some("ffff888000002028 is 40 bytes behind its end")
        );
        let met = Met::Guarded(Guarded { overwritten: Some((34, 0x78)), ..g.clone() });
        assert!(met.is_suspect() && !Met::Guarded(g).is_suspect());
        assert!(Met::Guarded(guarded(kfence::State::Allocated, kfence::Place::Behind(0))).is_suspect());
        assert!(Met::Guarded(guarded(kfence::State::Freed, kfence::Place::Inside(0))).is_suspect());
    }

    #[test]
    fn a_stack_begins_with_who_asked() {
        for name in [
            "__kfence_alloc",
            "kfence_guarded_free",
            "__kmalloc_cache_noprof",
            "kfree",
            "kfree_sensitive",
            "__kmem_cache_free",
        ] {
            assert!(is_allocator(name), "{name}");
        }
        assert!(!is_allocator("record_drop") && !is_allocator("krealloc_it"));
    }
}
