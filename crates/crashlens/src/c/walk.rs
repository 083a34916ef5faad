//! Walks of the kernel's lists, trees and tables: what was found, and why there may be more.

use super::ty::{offset, type_named};
use super::value::Value;
use crate::Error;
use crate::handle::Handle;
use base::VirtAddr;
use debuginfo::types::TypeRef;
use kernel::containers::{hlist, idr, list, maple, rbtree, xarray};
use kernel::{KernelError, Session};

/// What a list, tree or table holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Walk {
    /// Its entries in its own order: pointers.
    pub entries: Vec<Entry>,
    /// Why there may be more, or why an entry may be none; empty where the walk came to its end.
    pub problems: Vec<String>,
}

/// An entry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its index, where what holds it has indices (XArrays, IDRs, maple trees); else its place, from 0 on.
    pub index: u64,
    /// A pointer to it. Of tables: what is stored, which may be a number.
    pub value: Value,
}

/// The type of the entries, and where each has its node.
type Member<'a> = (&'a str, &'a str);

impl Walk {
    pub(crate) fn list(
        dump: &Handle,
        s: &Session,
        head: VirtAddr,
        member: Member<'_>,
    ) -> Result<Self, Error> {
        let mut nodes = Vec::new();
        let problems = list::both_ways(s.mem(), head, &mut |at| {
            dump.cancel().check().map_err(|_| KernelError::Stopped("walking a list"))?;
            nodes.push(at);
            Ok(())
        });
        Self::of_nodes(dump, s, nodes, member, &problems)
    }

    pub(crate) fn hlist(
        dump: &Handle,
        s: &Session,
        head: VirtAddr,
        member: Member<'_>,
    ) -> Result<Self, Error> {
        let (nodes, problem) = hlist::nodes(s.mem(), head);
        Self::of_nodes(dump, s, nodes, member, problem.as_slice())
    }

    pub(crate) fn rbtree(
        dump: &Handle,
        s: &Session,
        root: VirtAddr,
        member: Member<'_>,
    ) -> Result<Self, Error> {
        // rb_root.rb_node is its only member; rb_root_cached begins with an rb_root
        let top = s.mem().ptr(root)?;
        let layout = rbtree::Layout::of(&s.bind::<rbtree::RbNode>());
        let found = rbtree::nodes(s.mem(), layout, top, rbtree::Order::Linear);
        let nodes = found.all.iter().map(|node| node.at).collect();
        Self::of_nodes(dump, s, nodes, member, &found.problems)
    }

    pub(crate) fn xarray(dump: &Handle, s: &Session, at: VirtAddr, of: Option<&str>) -> Result<Self, Error> {
        let found = xarray::entries(s.mem(), xarray::Layout::of(s)?, xarray::head(s, at)?);
        Self::of_table(dump, s, found.all.iter().map(|entry| (entry.index, entry.value)), of, &found.problems)
    }

    pub(crate) fn idr(dump: &Handle, s: &Session, at: VirtAddr, of: Option<&str>) -> Result<Self, Error> {
        let found = idr::entries(s, at)?;
        Self::of_table(dump, s, found.all.iter().map(|entry| (entry.index, entry.value)), of, &found.problems)
    }

    pub(crate) fn maple(dump: &Handle, s: &Session, at: VirtAddr, of: Option<&str>) -> Result<Self, Error> {
        let found = maple::entries(s, at)?;
        let entries = found.all.iter().map(|entry| (entry.first, entry.value.0));
        Self::of_table(dump, s, entries, of, found.problem.as_slice())
    }

    fn of_nodes(
        dump: &Handle,
        s: &Session,
        nodes: Vec<VirtAddr>,
        (of, member): Member<'_>,
        problems: &[KernelError],
    ) -> Result<Self, Error> {
        let ty = type_named(s, of)?;
        let offset = offset(s, ty, member)?;
        let starts = nodes.into_iter().map(|node| node.sub(offset).0);
        Ok(Self::new(dump, s, (0..).zip(starts), ty, problems))
    }

    fn of_table(
        dump: &Handle,
        s: &Session,
        entries: impl Iterator<Item = (u64, u64)>,
        of: Option<&str>,
        problems: &[KernelError],
    ) -> Result<Self, Error> {
        let ty = of.map_or(Ok(TypeRef::VOID), |of| type_named(s, of))?;
        Ok(Self::new(dump, s, entries, ty, problems))
    }

    fn new(
        dump: &Handle,
        s: &Session,
        entries: impl Iterator<Item = (u64, u64)>,
        ty: TypeRef,
        problems: &[KernelError],
    ) -> Self {
        let entry = |(index, at)| Entry {
            index,
            value: Value::new(dump, cexpr::Value::pointer(s.types(), ty, VirtAddr(at))),
        };
        Self {
            entries: entries.map(entry).collect(),
            problems: problems.iter().map(ToString::to_string).collect(),
        }
    }

    /// The entries of a walk that came to its end.
    ///
    /// # Errors
    /// It did not.
    pub fn whole(self) -> Result<Vec<Entry>, Error> {
        match self.problems.is_empty() {
            true => Ok(self.entries),
            false => Err(Error::Walk(self.problems.join("; "))),
        }
    }
}
