//! I/O ports and I/O memory: who has which (`struct resource`, kernel/resource.c).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct resource` (include/linux/ioport.h)
    struct ResourceStruct("resource") {
        start: "start",
        end: "end",
        name: "name",
        parent: "parent",
        sibling: "sibling",
        child: "child",
    }
}

/// More than a machine has.
const MAX_RESOURCES: usize = 1 << 20;
/// Deeper than any tree is.
const MAX_DEPTH: u64 = 64;

/// A range that somebody has.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `struct resource`
    pub at: VirtAddr,
    /// Its first port or address.
    pub start: Result<u64>,
    /// Its last.
    pub end: Result<u64>,
    /// Who has it.
    pub name: Result<String>,
    /// How many ranges it lies in; 0 for the root.
    pub depth: u64,
}

/// What there is, and why there may be more.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The root first, each before those in it.
    pub all: Vec<Resource>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// The I/O ports.
///
/// # Errors
/// The variable or its types are not known.
pub fn ports(s: &Session) -> Result<Resources> {
    tree(s, s.need_symbol("ioport_resource")?)
}

/// Memory, as the machine's addresses have it.
///
/// # Errors
/// The variable or its types are not known.
pub fn memory(s: &Session) -> Result<Resources> {
    tree(s, s.need_symbol("iomem_resource")?)
}

fn tree(s: &Session, root: VirtAddr) -> Result<Resources> {
    let (b, mem) = (s.bind::<ResourceStruct>(), s.mem());
    b.child.offset()?;
    let mut out = Resources::default();
    let mut seen = FxHashSet::default();
    // those behind a range wait while those in it are told
    let mut todo = vec![(root, VirtAddr(0), 0)];
    while let Some((at, parent, depth)) = todo.pop() {
        let damaged = |why: String| KernelError::Damaged { what: "resource", at, why };
        if !seen.insert(at) || seen.len() > MAX_RESOURCES || depth > MAX_DEPTH {
            out.problems.push(damaged("the tree comes to it twice, or has no end".to_owned()));
            continue;
        }
        match b.parent.ptr(mem, at) {
            Ok(own) if own != parent => {
                out.problems.push(damaged(format!("it is in {parent:#x}, and says {own:#x}")));
                continue;
            }
            Ok(_) => {}
            Err(e) => out.problems.push(e),
        }
        let name = b.name.ptr(mem, at).and_then(|name| match name.is_null() {
            true => Ok(String::new()),
            false => Ok(String::from_utf8_lossy(&mem.cstr(name, 256)?).into_owned()),
        });
        out.all.push(Resource { at, start: b.start.num(mem, at), end: b.end.num(mem, at), name, depth });
        let mut follow = |link: Result<VirtAddr>, parent: VirtAddr, depth: u64| match link {
            Ok(next) if next.is_null() => {}
            Ok(next) => todo.push((next, parent, depth)),
            Err(e) => out.problems.push(e),
        };
        if depth > 0 {
            follow(b.sibling.ptr(mem, at), parent, depth);
        }
        follow(b.child.ptr(mem, at), at, depth.saturating_add(1));
    }
    Ok(out)
}
