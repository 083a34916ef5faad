//! The objects that a verdict's pointers lead to, where an allocator has written down who allocated and freed them: SLUB
//! with `slub_debug=U`, and KFENCE.

use crate::code::roles;
use crate::model::{Access, Allocator, Condition, Known, Met, Past, PastEvent};
use base::VirtAddr;
use kernel::Session;
use kernel::mm::kfence;
use kernel::mm::slub;
use kernel::mm::track::{Track, When};

/// How many objects are told.
const MAX_OBJECTS: usize = 4;

/// The object at an address. What the slab allocator's lists say of an object in KFENCE's pool is not so.
pub(crate) fn at(s: &Session, value: u64) -> Option<Met> {
    let at = VirtAddr(value);
    let of = if kfence::is_in_pool(s, at) {
        Allocator::Guarded(kfence::object_at(s, at)?)
    } else {
        Allocator::Slab(slub::object_at(s, at)?)
    };
    let by = |track: Option<&Track>| Some(crate::explain::pointer::function(s, asker(s, track?)?));
    let (allocated, freed) = tracks(&of);
    let (allocated, freed) = (by(allocated), by(freed));
    Some(Met { of, allocated, freed })
}

/// Who allocated and who freed an object.
const fn tracks(of: &Allocator) -> (Option<&Track>, Option<&Track>) {
    match of {
        Allocator::Slab(o) => (o.allocated.as_ref(), o.freed.as_ref()),
        Allocator::Guarded(g) => (g.allocated.as_ref(), g.freed.as_ref()),
    }
}

/// What is told of an object and its past.
fn known(s: &Session, met: Met, pointer: u64) -> Known {
    let commands = match &met.of {
        Allocator::Slab(o) => vec![
            format!("rd {:x} {}", o.at.0, o.size.div_ceil(8)),
            format!("struct kmem_cache {:x}", o.cache_at.0),
        ],
        Allocator::Guarded(g) => vec![format!("struct kfence_metadata {:x}", g.metadata.0)],
    };
    let (allocated, freed) = tracks(&met.of);
    let allocated = allocated.map(|track| past(s, PastEvent::Allocated, track));
    let event = if met.freed_before() { PastEvent::FreedBefore } else { PastEvent::Freed };
    let freed = freed.map(|track| past(s, event, track));
    let past = allocated.into_iter().chain(freed).collect();
    Known { met, pointer, past, commands }
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

fn past(s: &Session, event: PastEvent, track: &Track) -> Past {
    let (ticks, clock) = match track.when {
        When::Jiffies(then) => (ticks_since(s, then), None),
        When::Clock(ns) => (None, Some(ns)),
        When::Unknown => (None, None),
    };
    let stack = stack_of(s, track).into_iter().map(|at| frame(s, at)).collect();
    let hz = kernel::machine::hardware::hz(s).ok();
    Past { event, pid: track.pid, cpu: track.cpu, ticks, hz, clock, stack }
}

/// How long before the end by the kernel's tick count.
fn ticks_since(s: &Session, then: u64) -> Option<u64> {
    let now = s.symbol("jiffies").or_else(|| s.symbol("jiffies_64"))?;
    s.mem().u64(now).ok()?.checked_sub(then)
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
    pointers.extend(rows.filter_map(|row| row.number().filter(kernels)));
    let mut out: Vec<Known> = Vec::new();
    for value in pointers.into_iter().take(16) {
        let Some(met) = at(s, value).filter(|met| out.iter().all(|o| o.met.begin() != met.begin())) else {
            continue;
        };
        let is_tracked = matches!(tracks(&met.of), (Some(_), _) | (_, Some(_)));
        if is_tracked || !met.unread().is_empty() {
            out.push(known(s, met, value));
        }
    }
    out.sort_by_key(|o| !o.met.is_suspect());
    out.truncate(MAX_OBJECTS);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
