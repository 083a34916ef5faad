//! Groups of tasks that share a part of the CPUs' time (`struct task_group`, kernel/sched/sched.h): those of cgroups, and
//! those that the kernel makes for each session (kernel/sched/autogroup.c).

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::sched::cpu;
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::Type;
use rustc_hash::FxHashSet;

bind! {
    /// `struct task_group`
    struct TaskGroup("task_group") {
        fair: "cfs_rq", // a per-CPU pointer since 7.2 (b8fea7af0e40), an array of pointers before
        realtime: "rt_rq",
        parent: "parent",
        siblings: "siblings",
        children: "children",
        cgroup: "css.cgroup",
        autogroup: "autogroup",
    }
}
bind! {
    /// `struct cgroup`
    pub(super) struct Cgroup("cgroup") {
        node: "kn",  // 3.15 (2bd59d48ebfb)
        name: "name", // 3.10 (65dff759d294) to 3.14
    }
}
bind! {
    /// `struct cgroup_name`
    struct CgroupName("cgroup_name") { text: "name" }
}
bind! {
    /// `struct kernfs_node`
    pub(super) struct KernfsNode("kernfs_node") {
        name: "name",
        parent: "__parent" | "parent", // 6.15 (633488947ef6)
    }
}
bind! {
    /// `struct autogroup`
    struct Autogroup("autogroup") { id: "id" }
}

/// More groups than any machine has.
const MAX_GROUPS: usize = 1 << 18;
/// Cgroups are not as deep.
pub(super) const MAX_DEPTH: usize = 256;
/// `NAME_MAX` and its NUL.
pub(super) const MAX_NAME: usize = 256;

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// The `task_group`.
    pub at: VirtAddr,
    /// The group that it is in: an index among all; none for the root.
    pub parent: Option<usize>,
    /// The cgroup's name, without those that it is in; `autogroup-N` for one of a session; none for what has no name.
    pub name: Option<Result<String>>,
}

/// All groups, each behind the one that it is in, and why there may be more.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The groups; the root is the first.
    pub all: Vec<Group>,
    /// What could not be read.
    pub problems: Vec<KernelError>,
}

/// Reads the groups.
///
/// # Errors
/// The kernel was built without them, or they are not known.
pub fn groups(s: &Session) -> Result<Groups> {
    let root = s.symbol("root_task_group").or_else(|| s.symbol("init_task_group"));
    let root = match (root, s.no_symbol("root_task_group")) {
        (Some(root), _) => root,
        (None, KernelError::NoSymbol(_)) => return Err(KernelError::NotBuilt("CONFIG_CGROUP_SCHED")),
        (None, e) => return Err(e),
    };
    let b = s.bind::<TaskGroup>();
    if let Err(e @ (KernelError::NoType(_) | KernelError::NotInferred { .. })) = b.children.offset() {
        return Err(e);
    }
    b.children.offset()?;
    let mut out = Groups::default();
    let mut seen = FxHashSet::default();
    seen.insert(root);
    out.all.push(Group { at: root, parent: None, name: name(s, root) });
    below(s, (0, root), &mut seen, &mut out, 0);
    Ok(out)
}

/// Adds what is in a group, and what is in that.
fn below(
    s: &Session,
    (parent, at): (usize, VirtAddr),
    seen: &mut FxHashSet<VirtAddr>,
    out: &mut Groups,
    depth: usize,
) {
    let (mem, b) = (s.mem(), s.bind::<TaskGroup>());
    let damaged = |at, why: &str| KernelError::Damaged { what: "task_group", at, why: why.to_owned() };
    if depth > MAX_DEPTH {
        return out.problems.push(damaged(at, "it is in more groups than there can be"));
    }
    let head = match b.children.at(at) {
        Ok(head) => head,
        Err(e) => return out.problems.push(e),
    };
    let mut children = Vec::new();
    let problems = both_ways(mem, head, &mut |link| {
        let child = b.siblings.container(link)?;
        if b.parent.ptr(mem, child)? != at {
            return Err(damaged(child, "it is listed in a group that is not its parent"));
        }
        if seen.len() >= MAX_GROUPS || !seen.insert(child) {
            return Err(damaged(child, "it is in two groups, or there are too many"));
        }
        children.push(child);
        Ok(())
    });
    out.problems.extend(problems);
    for child in children {
        let index = out.all.len();
        out.all.push(Group { at: child, parent: Some(parent), name: name(s, child) });
        below(s, (index, child), seen, out, depth.saturating_add(1));
    }
}

/// A group's name; none where it has none.
fn name(s: &Session, group: VirtAddr) -> Option<Result<String>> {
    let (mem, b) = (s.mem(), s.bind::<TaskGroup>());
    let own = match b.cgroup.ptr(mem, group) {
        Ok(cgroup) if cgroup.is_null() => None,
        Ok(cgroup) => cgroup_name(s, cgroup).transpose(),
        Err(KernelError::NoMember { .. }) => None,
        Err(e) => Some(Err(e)),
    };
    own.or_else(|| {
        let auto = b.autogroup.ptr(mem, group).ok().filter(|at| !at.is_null())?;
        Some(s.bind::<Autogroup>().id.num(mem, auto).map(|id| format!("autogroup-{id}")))
    })
}

/// The last part of a cgroup's path, `/` for the topmost one; none where this kernel names none.
fn cgroup_name(s: &Session, cgroup: VirtAddr) -> Result<Option<String>> {
    let (mem, b, node) = (s.mem(), s.bind::<Cgroup>(), s.bind::<KernfsNode>());
    if b.node.exists() {
        let kn = b.node.ptr(mem, cgroup)?;
        if kn.is_null() {
            return Ok(None);
        }
        if node.parent.ptr(mem, kn)?.is_null() {
            return Ok(Some("/".to_owned()));
        }
        return node.name.string(mem, kn, MAX_NAME).map(Some);
    }
    if b.name.exists() {
        let named = b.name.ptr(mem, cgroup)?;
        let at = s.bind::<CgroupName>().text.at(named)?;
        let raw = mem.cstr(at, MAX_NAME)?;
        return Ok(Some(String::from_utf8_lossy(&raw).into_owned()));
    }
    Ok(None)
}

/// A CPU's fair queue of a group; none where it has none.
///
/// # Errors
/// It is not in the dump, or the kernel has no fair groups.
pub fn fair_queue(s: &Session, group: VirtAddr, cpu: u32) -> Result<Option<VirtAddr>> {
    let b = s.bind::<TaskGroup>();
    let table = b.fair.ptr(s.mem(), group)?;
    if table.is_null() {
        return Ok(None);
    }
    // the queue itself, of which each CPU has one, or a table of where they are
    if is_pointer_to_struct(s, b.fair.ty()?) {
        return Ok(Some(table.add(cpu::per_cpu_offset(s, cpu)?)));
    }
    of_table(s, table, cpu)
}

/// A CPU's real-time queue of a group; none where it has none.
///
/// # Errors
/// It is not in the dump, or the kernel has no real-time groups.
pub fn realtime_queue(s: &Session, group: VirtAddr, cpu: u32) -> Result<Option<VirtAddr>> {
    let table = s.bind::<TaskGroup>().realtime.ptr(s.mem(), group)?;
    if table.is_null() { Ok(None) } else { of_table(s, table, cpu) }
}

/// True where the kernel has groups of tasks of the fair class, and of real-time ones.
#[must_use]
pub fn has_groups(s: &Session) -> (bool, bool) {
    let b = s.bind::<TaskGroup>();
    (b.fair.exists(), b.realtime.exists())
}

fn of_table(s: &Session, table: VirtAddr, cpu: u32) -> Result<Option<VirtAddr>> {
    let at = s.mem().ptr(table.add(u64::from(cpu) * 8))?;
    Ok(Some(at).filter(|at| !at.is_null()))
}

fn is_pointer_to_struct(s: &Session, ty: debuginfo::types::TypeRef) -> bool {
    let resolve = |at| s.types().resolve(at).ok().map(|(_, ty)| ty);
    let Some(Type::Pointer { to }) = resolve(ty).as_deref().cloned() else { return false };
    matches!(resolve(to).as_deref(), Some(Type::Compound { .. }))
}
