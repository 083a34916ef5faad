//! The cache of names: dentries below the root of each super block (fs/dcache.c).
//!
//! Shape decides what links a directory's dentries: `d_subdirs` and `d_child` (until 3.18 `d_u.d_child`, 946e51f2bf37), since 6.8
//! `d_children` and `d_sib` (da549bdd15c2). Readers of directories have dentries of their own there, which are no names.

use crate::containers::hlist::Hlists;
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::fs::inode;
use crate::fs::path;
use crate::sched::cpu::per_cpu;
use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

bind! {
    /// `struct dentry`
    struct Links("dentry") {
        parent: "d_parent",
        inode: "d_inode",
        sb: "d_sb",
        count: "d_lockref.count" | "d_count", // 3.12 (98474236f72e)
        children: "d_subdirs" | "d_children",
        child: "d_child" | "d_u.d_child",
        sibling: "d_sib",
    }
}
bind! {
    /// `struct super_block`
    struct SuperRoot("super_block") { link: "s_list", root: "s_root", id: "s_id" }
}

/// More dentries than a machine has.
const MAX_DENTRIES: usize = 1 << 27;

/// A super block: a file system that is in use.
#[derive(Clone, Debug)]
pub struct Super {
    /// The `super_block`.
    pub at: VirtAddr,
    /// The kind of file system.
    pub kind: Result<String>,
    /// The name of what it is on: `vda1`, or its kind where it is on no device.
    pub id: Result<String>,
    /// Its root; null where it has none.
    pub root: Result<VirtAddr>,
}

/// The super blocks, and why there may be others.
///
/// # Errors
/// The kernel's symbols or types do not know them.
pub fn supers(s: &Session) -> Result<(Vec<Super>, Vec<KernelError>)> {
    let (b, mem) = (s.bind::<SuperRoot>(), s.mem());
    b.root.offset()?;
    let mut all = Vec::new();
    let problems = both_ways(mem, s.need_symbol("super_blocks")?, &mut |link| {
        let at = b.link.container(link)?;
        all.push(Super {
            at,
            kind: inode::kind_of(s, at),
            id: b.id.text(mem, at),
            root: b.root.ptr(mem, at),
        });
        Ok(())
    });
    Ok((all, problems))
}

/// A name in the cache.
#[derive(Clone, Debug)]
pub struct Dentry {
    /// The `dentry`.
    pub at: VirtAddr,
    /// Its place in what was asked for: `0` for the dentry that is above all others.
    pub depth: usize,
    /// Its own name.
    pub name: Result<String>,
    /// Its inode; null where there is no file of this name.
    pub inode: Result<VirtAddr>,
    /// How many use it; 0 for one that may be given back.
    pub count: Result<i64>,
}

impl Dentry {
    /// True where it is known that there is no file of this name.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.inode.as_ref().is_ok_and(|inode| inode.is_null())
    }
}

/// Tells `each` a dentry and all below it, a directory before what is in it; false ends the walk. Why there may be others is told
/// at the end.
pub fn walk(s: &Session, top: VirtAddr, each: &mut dyn FnMut(&Dentry) -> bool) -> Vec<KernelError> {
    let mut walk = Walk::new(s);
    walk.seen.insert(top);
    let mut open = vec![(top, 0_usize)];
    while let Some((at, depth)) = open.pop() {
        if !each(&dentry(s, at, depth)) {
            break;
        }
        let below = walk.children(at);
        open.extend(below.into_iter().rev().map(|at| (at, depth + 1)));
    }
    walk.problems
}

struct Walk<'s> {
    s: &'s Session,
    seen: FxHashSet<VirtAddr>,
    problems: Vec<KernelError>,
}

impl<'s> Walk<'s> {
    fn new(s: &'s Session) -> Self {
        Self { s, seen: FxHashSet::default(), problems: Vec::new() }
    }

    /// The dentries in a directory's.
    fn children(&mut self, of: VirtAddr) -> Vec<VirtAddr> {
        let (s, b) = (self.s, self.s.bind::<Links>());
        let mem = s.mem();
        let mut out = Vec::new();
        let seen = &mut self.seen;
        let mut unread = Vec::new();
        let mut add = |at: VirtAddr| {
            // where the page that has it is lost, the list ends
            let parent = b.parent.ptr(mem, at)?;
            if parent != of {
                let why = format!("it is in the directory {of:#x}, and says {parent:#x}");
                return Err(KernelError::Damaged { what: "dentry", at, why });
            }
            if seen.len() >= MAX_DENTRIES || !seen.insert(at) {
                let why = "two directories have it, or there is no end".to_owned();
                return Err(KernelError::Damaged { what: "dentry", at, why });
            }
            match is_reader(s, at) {
                Ok(true) => {}
                Ok(false) => out.push(at),
                // whether it is a name is not known
                Err(e) => unread.push(e),
            }
            Ok(())
        };
        let head = match b.children.at(of) {
            Ok(head) => head,
            Err(e) => {
                self.problems.push(e);
                return Vec::new();
            }
        };
        if b.sibling.exists() {
            self.problems.extend(
                Hlists::new("d_children", MAX_DENTRIES)
                    .walk(s, head, &mut |node| add(b.sibling.container(node)?))
                    .err(),
            );
        } else {
            self.problems.extend(both_ways(mem, head, &mut |node| add(b.child.container(node)?)));
        }
        self.problems.extend(unread);
        out
    }
}

/// True for the place of a reader in a directory: it has a name that no file has, `/` or (to 4.6) `.`.
fn is_reader(s: &Session, at: VirtAddr) -> Result<bool> {
    let b = s.bind::<Links>();
    if !b.inode.ptr(s.mem(), at)?.is_null() {
        return Ok(false);
    }
    let name = path::name(s, at)?;
    Ok(name == "/" || name == ".")
}

fn dentry(s: &Session, at: VirtAddr, depth: usize) -> Dentry {
    let (b, mem) = (s.bind::<Links>(), s.mem());
    let count = b
        .count
        .num(mem, at)
        .map(|count| i64::from(u32::try_from(count & 0xffff_ffff).unwrap_or(0).cast_signed()));
    Dentry { at, depth, name: path::name(s, at), inode: b.inode.ptr(mem, at), count }
}

/// The super block of a dentry.
///
/// # Errors
/// The types do not know it, or it is not in the dump.
pub fn super_of(s: &Session, dentry: VirtAddr) -> Result<VirtAddr> {
    s.bind::<Links>().sb.ptr(s.mem(), dentry)
}

/// The dentry of a name in a directory, where it is in the cache.
///
/// # Errors
/// What is in the directory is not all known, and the name is not among it.
pub fn lookup(s: &Session, directory: VirtAddr, name: &str) -> Result<Option<VirtAddr>> {
    let mut walk = Walk::new(s);
    let found =
        walk.children(directory).into_iter().find(|at| path::name(s, *at).is_ok_and(|own| own == name));
    match (found, walk.problems.into_iter().next()) {
        (Some(at), _) => Ok(Some(at)),
        (None, Some(e)) => Err(e),
        (None, None) => Ok(None),
    }
}

/// How many dentries the kernel counts.
#[derive(Clone, Debug)]
pub struct Counted {
    /// All: sockets and pipes have dentries too, and they are in no directory.
    pub all: Result<u64>,
    /// Those that may be given back.
    pub unused: Result<u64>,
    /// Of them those of names that no file has; none before 5.0 (af0c9af1b3f6).
    pub negative: Option<Result<u64>>,
}

/// What the kernel counts, as `/proc/sys/fs/dentry-state` tells it: each CPU has a part.
#[must_use]
pub fn counted(s: &Session) -> Counted {
    let sum = |name: &str| -> Result<u64> {
        s.need_symbol(name)?;
        let mut all = 0_i64;
        for &cpu in &s.cpus().possible {
            all = all.wrapping_add(s.mem().u64(per_cpu(s, name, cpu)?)?.cast_signed());
        }
        // what one CPU made and another one gave back
        Ok(u64::try_from(all).unwrap_or(0))
    };
    let negative = match s.optional_symbol("nr_dentry_negative") {
        Ok(None) => None,
        Ok(Some(_)) => Some(sum("nr_dentry_negative")),
        Err(e) => Some(Err(e)),
    };
    Counted { all: sum("nr_dentry"), unused: sum("nr_dentry_unused"), negative }
}
