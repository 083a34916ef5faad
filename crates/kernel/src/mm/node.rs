//! NUMA nodes (`struct pglist_data`): an array of pointers, or one node on kernels built without NUMA.
//!
//! **Invariant:** a node that is not there ends nothing: machines have node 0 and node 2.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct pglist_data`
    struct NodeSpan("pglist_data") { start: "node_start_pfn", pages: "node_spanned_pages" }
}

/// More nodes than any kernel is built for (CONFIG_NODES_SHIFT is at most 10).
pub const MAX_NODES: u64 = 1024;

/// How many numbers of nodes there can be (`nr_node_ids`): arrays by node are no longer. `None` where that is not known.
#[must_use]
pub fn count(s: &Session) -> Option<u64> {
    counted(s).ok().flatten()
}

/// The same; an error where the number is in the kernel and not in the dump.
fn counted(s: &Session) -> Result<Option<u64>> {
    let Some(at) = s.optional_symbol("nr_node_ids")? else { return Ok(None) };
    match u64::from(s.mem().u32(at)?) {
        known @ 1..=MAX_NODES => Ok(Some(known)),
        other => {
            let why = format!("it says {other}, and there are 1 to {MAX_NODES} nodes");
            Err(KernelError::Damaged { what: "nr_node_ids", at, why })
        }
    }
}

/// The `pglist_data` of every node that there is, in the order of their numbers.
///
/// # Errors
/// When the array cannot be read, so that nodes would be missing.
pub fn nodes(s: &Session) -> Result<Vec<VirtAddr>> {
    Ok(numbered(s)?.into_iter().map(|(_, at)| at).collect())
}

/// The same, with their numbers.
///
/// # Errors
/// As of [`nodes`].
pub fn numbered(s: &Session) -> Result<Vec<(u64, VirtAddr)>> {
    let Some(table) = s.optional_symbol("node_data")? else {
        return Ok(vec![(0, s.need_symbol("contig_page_data")?)]);
    };
    // where the number is lost, so may be nodes: one that is not there ends nothing
    let known = counted(s)?;
    let mut out = Vec::new();
    for n in 0..known.unwrap_or(MAX_NODES) {
        let at = s.mem().ptr(table.add(n * 8));
        match (at, known) {
            (Ok(at), _) if !at.is_null() => out.push((n, at)),
            (Ok(_), Some(_)) => {}
            (Err(e), Some(_)) => return Err(e.into()),
            // how long the array is, is not known: it ends where it holds nothing
            (Err(e), None) if out.is_empty() => return Err(e.into()),
            (_, None) => break,
        }
    }
    if out.is_empty() {
        let why = "it holds no node, and each machine has one".to_owned();
        return Err(KernelError::Damaged { what: "node_data", at: table, why });
    }
    Ok(out)
}

/// Which frames are of which node.
#[derive(Clone, Debug)]
pub struct Spans(Vec<(u64, std::ops::Range<u64>)>);

/// From where to where the frames of each node reach.
///
/// # Errors
/// A node is not in the dump.
pub fn spans(s: &Session) -> Result<Spans> {
    let b = s.bind::<NodeSpan>();
    let span = |(n, at): (u64, VirtAddr)| {
        let start = b.start.num(s.mem(), at)?;
        Ok((n, start..start.saturating_add(b.pages.num(s.mem(), at)?)))
    };
    numbered(s)?.into_iter().map(span).collect::<Result<Vec<_>>>().map(Spans)
}

impl Spans {
    /// The nodes that there are.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(n, _)| *n)
    }
    /// The node that a frame is of; none where the frames of several nodes lie between one another there, or of none.
    #[must_use]
    pub fn of(&self, frame: u64) -> Option<u64> {
        let mut all = self.0.iter().filter(|(_, span)| span.contains(&frame)).map(|(n, _)| *n);
        all.next().filter(|_| all.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A machine with nodes of so many pages each; 0 is a node that is not there.
    fn machine(pages: &[u64], known: bool) -> Kernel {
        let mut k = Kernel::new();
        k.structure("pglist_data", 64, &[("node_present_pages", 8, "u64")]);
        let table = k.variable("node_data", pages.len() as u64 * 8);
        // what follows the array is no node
        let behind = k.variable("behind", 8);
        k.word(behind, 0x1234_5678);
        if known {
            let ids = k.variable("nr_node_ids", 4);
            k.half(ids, pages.len() as u32);
        }
        for (n, &pages) in (0..).zip(pages) {
            if pages > 0 {
                let node = k.object("pglist_data");
                k.set(node, "pglist_data", "node_present_pages", pages).word(table + n * 8, node);
            }
        }
        k
    }

    #[test]
    fn a_node_that_is_not_there_ends_nothing() {
        for (pages, known, want) in
            [(&[10, 0, 30, 0][..], true, 40), (&[0, 7], true, 7), (&[5, 6, 0, 0], false, 11)]
        {
            let s = session(&machine(pages, known));
            assert_eq!(crate::machine::system::memory_bytes(&s).unwrap(), want * 4096, "{pages:?}");
        }
    }

    #[test]
    fn a_node_that_cannot_be_read_is_no_node_of_nothing() {
        let mut k = machine(&[10, 20], true);
        let nodes = nodes(&session(&k)).unwrap();
        k.exclude(nodes[1].0);
        assert!(crate::machine::system::memory_bytes(&session(&k)).is_err());
    }
}
