//! What is mounted where (fs/namespace.c): the mounts of a mount namespace, in a tree since 6.8 (2eea9ce4310d), in a list
//! before.

use crate::containers::list::both_ways;
use crate::containers::rbtree::{self, Order, RbNode};
use crate::error::{KernelError, Result};
use crate::fs::inode;
use crate::fs::path::{self, Mount};
use crate::plausible::not_zeros;
use crate::sched::nsproxy::{self, NsProxy};
use crate::sched::task::Task;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct mnt_namespace` (fs/mount.h)
    struct MntNamespace("mnt_namespace") {
        list: "list",
        tree: "mounts.rb_node", // a number before 6.8
        count: "nr_mounts" | "mounts", // 4.9 (d29216842a85)
    }
}

/// In `mnt_flags`: a reader's place in the list, and no mount (`MNT_CURSOR`, 5.8 9f6c61f96f2d to 6.7).
const CURSOR: u64 = 0x1000_0000;

/// Something that is mounted.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// Its `struct mount`.
    pub at: VirtAddr,
    /// The `struct vfsmount` in it.
    pub vfsmount: VirtAddr,
    /// Its super block.
    pub sb: Result<VirtAddr>,
    /// The kind of file system.
    pub kind: Result<String>,
    /// The device, or what stands for one.
    pub device: Result<String>,
    /// Where it is mounted.
    pub path: Result<String>,
}

/// The mounts of a namespace, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    /// The mounts, in the kernel's order.
    pub all: Vec<Mounted>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// The mount namespace of a task.
///
/// # Errors
/// It is not in the dump, or the task has given its namespaces up.
pub fn of_task(s: &Session, task: &Task) -> Result<VirtAddr> {
    let (own, proxy) = (&s.bind::<NsProxy>().mnt, nsproxy::of(s, task)?);
    match not_zeros(s.mem(), "nsproxy", own.at(proxy)?, own.ptr(s.mem(), proxy)?.0)? {
        0 => Err(KernelError::GivenUp { pid: task.pid, what: "mount namespace" }),
        at => Ok(VirtAddr(at)),
    }
}

/// The mounts of a namespace.
///
/// # Errors
/// The kernel's types do not know them, or the namespace is not in the dump.
pub fn mounts(s: &Session, namespace: VirtAddr) -> Result<Mounts> {
    let (b, mount, mem) = (s.bind::<MntNamespace>(), s.bind::<Mount>(), s.mem());
    let mut out = Mounts::default();
    let mut found = Vec::new();
    if b.list.exists() {
        out.problems = both_ways(mem, b.list.at(namespace)?, &mut |link| {
            found.push(mount.link.container(link)?);
            Ok(())
        });
    } else {
        let root = b.tree.ptr(mem, namespace)?;
        let layout = rbtree::Layout::of(&s.bind::<RbNode>());
        let nodes = rbtree::nodes(mem, layout, root, Order::Linear);
        out.problems = nodes.problems;
        for node in nodes.all {
            found.push(mount.node.container(node.at)?);
        }
    }
    for at in found {
        match mounted(s, at) {
            Ok(one) => out.all.extend(one),
            Err(e) => out.problems.push(e),
        }
    }
    let count = b.count.exists().then(|| b.count.num(mem, namespace)).and_then(Result::ok);
    let is_short = count.is_some_and(|count| count & 0xffff_ffff > out.all.len() as u64);
    if out.problems.is_empty() && (is_short || out.all.is_empty()) {
        let why = format!("it counts {} mounts, and {} are there", count.unwrap_or(1), out.all.len());
        out.problems.push(KernelError::Damaged { what: "mnt_namespace", at: namespace, why });
    }
    Ok(out)
}

/// One mount; none of a reader's place in the list.
fn mounted(s: &Session, at: VirtAddr) -> Result<Option<Mounted>> {
    let (b, mem) = (s.bind::<Mount>(), s.mem());
    let sb = b.sb.ptr(mem, at);
    if sb.as_ref().is_ok_and(|sb| sb.is_null()) && b.flags.num(mem, at)? & CURSOR != 0 {
        return Ok(None);
    }
    let sb = sb.and_then(|sb| match s.arch().is_kernel(sb) {
        true => Ok(sb),
        false => {
            Err(KernelError::Damaged { what: "mount", at, why: format!("its super block is at {sb:#x}") })
        }
    });
    let vfsmount = b.mnt.at(at)?;
    Ok(Some(Mounted {
        at,
        vfsmount,
        kind: sb.clone().and_then(|sb| inode::kind_of(s, sb)),
        device: b.device.string(mem, at, 4096),
        path: b.root.ptr(mem, at).and_then(|root| path::path(s, root, vfsmount)),
        sb,
    }))
}
