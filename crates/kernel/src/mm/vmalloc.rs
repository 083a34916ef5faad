//! The areas of `vmalloc` and its like (mm/vmalloc.c): which one an address lies in, how large it is, who asked for it.
//!
//! The areas in use are in one red-black tree (`vmap_area_root`), since 6.9 (d093602919ad) in one for each of several
//! nodes (`vmap_nodes`). Behind what was asked for a page is left out, unless VM_NO_GUARD is set.
//!
//! **Invariant:** an area counts only where its `vm_struct` names the address that it begins at.

use crate::containers::rbtree;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{VirtAddr, VirtRead};

bind! {
    /// `struct vmap_area`
    struct VmapArea("vmap_area") { start: "va_start", end: "va_end", node: "rb_node", vm: "vm" }
}
bind! {
    /// `struct vm_struct`
    struct VmStruct("vm_struct") { at: "addr", size_of: "size", flags: "flags", caller: "caller", asked: "requested_size" }
}
bind! {
    /// `struct vmap_node`
    struct VmapNode("vmap_node") { busy: "busy.root" }
}
bind! {
    /// `struct rb_node`
    struct RbNode("rb_node") { left: "rb_left", right: "rb_right" }
}

/// A tree of all areas that an address space holds is not as deep.
const MAX_DEPTH: usize = 128;
/// More nodes than any kernel makes.
const MAX_NODES: u64 = 1024;
/// `VM_NO_GUARD`
const NO_GUARD: u64 = 0x40;

/// An area in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Area {
    /// `struct vmap_area`
    pub at: VirtAddr,
    /// `struct vm_struct`
    pub vm: VirtAddr,
    /// Where it begins.
    pub start: VirtAddr,
    /// Where it ends, with the page left out behind it.
    pub end: VirtAddr,
    /// Its size, without the page left out behind it; what was asked for, where that is written down.
    pub size: u64,
    /// The return address to who asked for it.
    pub caller: Option<VirtAddr>,
}

/// Where the structs have what.
#[derive(Clone, Copy, Debug)]
struct Layout {
    start: u64,
    end: u64,
    node: u64,
    left: u64,
    right: u64,
}

impl Layout {
    fn of(s: &Session) -> Option<Self> {
        let (area, node) = (s.bind::<VmapArea>(), s.bind::<RbNode>());
        Some(Self {
            start: area.start.offset().ok()?,
            end: area.end.offset().ok()?,
            node: area.node.offset().ok()?,
            left: node.left.offset().ok()?,
            right: node.right.offset().ok()?,
        })
    }

    /// The area of a tree that holds an address.
    fn find(&self, mem: &dyn VirtRead, root: VirtAddr, at: VirtAddr) -> Option<VirtAddr> {
        let mut here = mem.ptr(root).ok()?;
        for _ in 0..MAX_DEPTH {
            if here.is_null() {
                return None;
            }
            let area = here.sub(self.node);
            let (start, end) = (mem.ptr(area.add(self.start)).ok()?, mem.ptr(area.add(self.end)).ok()?);
            let next = match () {
                () if at < start => self.left,
                () if at >= end => self.right,
                () => return Some(area),
            };
            here = mem.ptr(here.add(next)).ok()?;
        }
        None
    }
}

/// The trees' roots.
///
/// # Errors
/// Where they are, or how many there are, is not in the dump.
fn roots(s: &Session) -> Result<Vec<VirtAddr>> {
    if let Some(root) = s.optional_symbol("vmap_area_root")? {
        return Ok(vec![root]);
    }
    let mem = s.mem();
    let b = s.bind::<VmapNode>();
    let (Some(size), Ok(busy)) = (b.size, b.busy.offset()) else { return Ok(Vec::new()) };
    let nodes: Vec<VirtAddr> = match s.optional_symbol("vmap_nodes")? {
        Some(nodes) => {
            let nodes = mem.ptr(nodes)?;
            let count = match s.optional_symbol("nr_vmap_nodes")? {
                Some(count) => u64::from(mem.u32(count)?),
                None => 1,
            };
            (0..count.min(MAX_NODES)).map(|n| nodes.add(n * size)).collect()
        }
        // in a kernel for one CPU the compiler sees that the pointer never changes, and keeps only what it points to;
        // of other variables of this name no tree leads to an area that is one
        None => s.named("vmlinux:single").into_iter().map(|symbol| symbol.addr).collect(),
    };
    Ok(nodes.into_iter().map(|node| node.add(busy)).collect())
}

/// The area in use that an address lies in, the page left out behind it included.
#[must_use]
pub fn area_at(s: &Session, at: VirtAddr) -> Option<Area> {
    let mem = s.mem();
    let layout = Layout::of(s)?;
    roots(s).ok()?.into_iter().find_map(|root| area_of(s, &layout, layout.find(mem, root, at)?))
}

/// What a `vmap_area` says of itself, if it is one.
fn area_of(s: &Session, layout: &Layout, area: VirtAddr) -> Option<Area> {
    let mem = s.mem();
    let vm = s.bind::<VmapArea>().vm.ptr(mem, area).ok().filter(|vm| s.arch().is_kernel(*vm))?;
    let b = s.bind::<VmStruct>();
    let start = b.at.ptr(mem, vm).ok()?;
    if start != mem.ptr(area.add(layout.start)).ok()? {
        return None;
    }
    let whole = b.size_of.num(mem, vm).ok()?;
    let guard = if b.flags.num(mem, vm).ok()? & NO_GUARD == 0 { s.page_size() } else { 0 };
    let mapped = whole.checked_sub(guard)?;
    let asked = b.asked.num(mem, vm).ok().filter(|n| *n > 0 && *n <= mapped);
    let caller = b.caller.ptr(mem, vm).ok().filter(|by| s.is_text(*by));
    let end = mem.ptr(area.add(layout.end)).ok()?;
    Some(Area { at: area, vm, start, end, size: asked.unwrap_or(mapped), caller })
}

/// The areas in use.
#[derive(Clone, Debug, Default)]
pub struct Areas {
    /// By their addresses. What `vm_map_ram()` mapped has no `vm_struct`, and is not among them.
    pub all: Vec<Area>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// All areas in use.
///
/// # Errors
/// Where they are is not known.
pub fn areas(s: &Session) -> Result<Areas> {
    let b = s.bind::<VmapArea>();
    for field in [&b.start, &b.end, &b.node, &b.vm] {
        field.offset()?;
    }
    let layout = Layout::of(s).ok_or(KernelError::NoType("vmap_area"))?;
    let roots = roots(s)?;
    if roots.is_empty() {
        return Err(s.no_symbol("vmap_area_root"));
    }
    let mem = s.mem();
    let mut out = Areas::default();
    for root in roots {
        let top = match mem.ptr(root) {
            Ok(top) => top,
            Err(e) => {
                out.problems.push(e.into());
                continue;
            }
        };
        let children = rbtree::Layout { left: layout.left, right: layout.right };
        let nodes = rbtree::nodes(mem, children, top, rbtree::Order::Linear);
        out.problems.extend(nodes.problems);
        for node in nodes.all {
            let area = node.at.sub(layout.node);
            match b.vm.ptr(mem, area) {
                Ok(vm) if vm.is_null() => {}
                Ok(_) => match area_of(s, &layout, area) {
                    Some(area) => out.all.push(area),
                    None => out.problems.push(unconfirmed(area)),
                },
                Err(e) => out.problems.push(e),
            }
        }
    }
    out.all.sort_by_key(|area| area.start);
    Ok(out)
}

fn unconfirmed(at: VirtAddr) -> KernelError {
    KernelError::Damaged { what: "vmap_area", at, why: "its vm_struct is not that of its address".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Ram;

    /// Areas of 64 bytes: start, end, node (parent, right, left).
    const LAYOUT: Layout = Layout { start: 0, end: 8, node: 16, left: 16, right: 8 };
    const BASE: u64 = 0xffff_8880_0000_0000;

    /// Area `n`, with its children.
    fn area(ram: &mut Ram, n: u64, (start, end): (u64, u64), left: Option<u64>, right: Option<u64>) {
        let at = BASE + n * 64;
        let node = |n: Option<u64>| n.map_or(0, |n| BASE + n * 64 + 16);
        ram.word(at, start);
        ram.word(at + 8, end);
        ram.word(at + 24, node(right));
        ram.word(at + 32, node(left));
    }

    #[test]
    fn an_address_leads_to_the_area_that_holds_it() {
        let mut ram = Ram::new(BASE, 512);
        ram.word(BASE + 448, BASE + 64 + 16);
        area(&mut ram, 1, (0x5000, 0x7000), Some(2), Some(3));
        area(&mut ram, 2, (0x1000, 0x2000), None, None);
        area(&mut ram, 3, (0x9000, 0xa000), None, Some(4));
        area(&mut ram, 4, (0xb000, 0xc000), None, None);
        let find = |ram: &Ram, at: u64| {
            LAYOUT.find(ram, VirtAddr(BASE + 448), VirtAddr(at)).map(|a| (a.0 - BASE) / 64)
        };
        assert_eq!(find(&ram, 0x5000), Some(1));
        assert_eq!(find(&ram, 0x6fff), Some(1));
        assert_eq!(find(&ram, 0x1234), Some(2));
        assert_eq!(find(&ram, 0xbfff), Some(4));
        assert_eq!(find(&ram, 0x7000), None, "between two");
        assert_eq!(find(&ram, 0), None);
        // a tree that leads back to itself has an end
        area(&mut ram, 4, (0xb000, 0xc000), None, Some(3));
        assert_eq!(find(&ram, 0xd000), None);
    }
}
