//! The slabs and objects of a cache, as `kmem -S` shows them.

use super::slabs::{cache_row, heading};
use crate::show::tasks::{self, or_why, unknown};
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::mm::slub::{self, SheafOf};
use kernel::mm::slub_cache::{self, Cache, Counts, Listed, OfCpu, OfNode};
use kernel::mm::{slab, zone};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};

/// What is needed for each slab.
struct Shown<'a> {
    s: &'a Session,
    cache: &'a Cache,
    nodes: kernel::Result<Vec<zone::Node>>,
    /// Objects are shown from so many bytes before them on: their red zone, where "set redzone on" asks for it.
    before: u64,
}

impl<'a> Shown<'a> {
    fn of(cx: &Cx<'_>, s: &'a Session, cache: &'a Cache) -> Result<Self, CommandError> {
        let before = match cx.settings.redzone {
            true => slub_cache::red_zone_bytes(s, cache.at).map_err(CommandError::failed)?,
            false => 0,
        };
        Ok(Self { s, cache, nodes: zone::nodes(s), before })
    }
}

/// All that CPUs and nodes keep of a cache.
pub(super) fn all(
    cx: &Cx<'_>,
    s: &Session,
    cache: &Cache,
    cpus: Option<&[u32]>,
    row: &mut Record,
) -> Result<(), CommandError> {
    let shown = Shown::of(cx, s, cache)?;
    let is_asked = |cpu: u32| cpus.is_none_or(|cpus| cpus.contains(&cpu));
    let mut rows = Vec::new();
    for cpu in cache.cpus.iter().filter(|cpu| is_asked(cpu.cpu)) {
        cx.cancel.check()?;
        let mut one = Record::new();
        one.hidden("cpu", cpu.cpu);
        if tasks::is_hidden(cx, s, cpu.cpu) {
            one.text(format!("CPU {} [OFFLINE]", cpu.cpu));
        } else {
            shown.of_cpu(cpu, &mut one);
        }
        rows.push(one);
    }
    row.list("cpus", rows);
    shown.sheaves(&is_asked, row);
    let mut rows = Vec::new();
    for node in &cache.nodes {
        cx.cancel.check()?;
        let mut one = Record::new();
        shown.of_node(node, &mut one);
        rows.push(one);
    }
    row.list("nodes", rows);
    if let Some(e) = &cache.problem {
        row.lacking(e.is_loss(), format!("kmem: not all of the cache can be read: {e}"));
    }
    row.blank();
    Ok(())
}

/// How many objects of a slab are in use. What the chain of the CPU that has the slab holds is free, though the slab counts it
/// as in use.
fn in_use<'c>(slab: &Counts, holder: Option<&'c OfCpu>) -> Result<u64, &'c KernelError> {
    let chained = holder.map_or(Ok(0), |cpu| cpu.chain.as_ref().map(|chain| chain.len() as u64));
    chained.map(|chained| slab.inuse.saturating_sub(chained))
}

impl Shown<'_> {
    fn of_cpu(&self, cpu: &OfCpu, row: &mut Record) {
        let number = cpu.cpu;
        row.line(Line::heading(format!("CPU {number} KMEM_CACHE_CPU:")));
        let at = cpu.at.as_ref().map_or_else(|e| unknown("?", e), |at| Cell::Addr(at.0));
        row.line(Line::new().text("  ").field("kmem_cache_cpu", at).zeros(16));
        row.line(Line::heading(format!("CPU {number} SLAB:")));
        match &cpu.slab {
            Ok(None) => row.text("  (empty)"),
            Ok(Some(counts)) => {
                let mut one = Record::new();
                self.slab(counts, in_use(counts, Some(cpu)), None, true, &mut one);
                if let Err(e) = &cpu.chain {
                    one.lacking(e.is_loss(), format!("kmem: free objects of CPU {number}: {e}"));
                }
                row.record("slab", one);
            }
            Err(e) => row.lacking(e.is_loss(), format!("kmem: the slab of CPU {number}: {e}")),
        }
        if let Some(partial) = &cpu.partial {
            row.line(Line::heading(format!("CPU {number} PARTIAL:")));
            self.listed(partial, None, true, "partial", row);
        }
    }

    fn sheaves(&self, is_asked: &dyn Fn(u32) -> bool, row: &mut Record) {
        let sheaves = self.cache.sheaves.iter().filter(|sheaf| match sheaf.of {
            SheafOf::Cpu(cpu, _) => is_asked(cpu),
            SheafOf::Node(_) => true,
        });
        let mut rows = Vec::new();
        for sheaf in sheaves {
            let (of, place) = match sheaf.of {
                SheafOf::Cpu(cpu, name) => (format!("CPU {cpu} {name}"), name),
                SheafOf::Node(node) => (format!("NODE {node} full"), "full"),
            };
            let count = match &sheaf.objects {
                Ok(objects) => Cell::from(objects.len()),
                Err(e) => unknown("?", e),
            };
            let line = Line::new().text("  ").field("sheaf", Cell::Addr(sheaf.at.0)).zeros(16).text("  ");
            let line = line.field("objects", count).right(7).text("  ");
            let mut one = Record::of(line.text(of));
            one.hidden("place", place);
            match sheaf.of {
                SheafOf::Cpu(cpu, _) => one.hidden("cpu", cpu),
                SheafOf::Node(node) => one.hidden("node", node),
            }
            rows.push(one);
        }
        if !rows.is_empty() {
            row.line(Line::heading("  SHEAF             OBJECTS  OF"));
        }
        row.list("sheaves", rows);
    }

    fn of_node(&self, node: &OfNode, row: &mut Record) {
        row.line(Line::heading("KMEM_CACHE_NODE   NODE  SLABS  PARTIAL  PER-CPU"));
        let line = Line::new().field("kmem_cache_node", Cell::Addr(node.at.0)).zeros(16).text("  ");
        let line = line.field("node", node.node).right(4).text("  ");
        let slabs = or_why(node.slabs.as_ref().copied());
        let line = line.field("slabs", slabs).right(5).text("  ");
        let partial = match &node.partial.problem {
            None => Cell::from(node.partial.all.len()),
            Some(e) => Cell::at_least(node.partial.all.len(), e.to_string()).lost_if(e.is_loss()),
        };
        let line = line.field("partial_slabs", partial).right(7).text("  ");
        row.line(line.field("of_cpus", self.slabs_of_cpus(node.node)).right(7));
        row.line(Line::heading(format!("NODE {} PARTIAL:", node.node)));
        // where CPUs have no slabs of their own, these are all whose objects can be shown (7.0)
        self.listed(&node.partial, Some(node.node), self.cache.cpus.is_empty(), "partial", row);
        row.line(Line::heading(format!("NODE {} FULL:", node.node)));
        match &node.full {
            Some(full) => self.listed(full, Some(node.node), false, "full", row),
            None => row.text("  (not tracked)"),
        }
    }

    fn listed(&self, listed: &Listed, node: Option<u64>, objects: bool, key: &'static str, row: &mut Record) {
        if listed.all.is_empty() && listed.problem.is_none() {
            row.text("  (empty)");
        }
        let mut rows = Vec::new();
        for (n, slab) in listed.all.iter().enumerate() {
            let mut one = Record::new();
            if !objects && n == 0 {
                one.line(slab_heading());
            }
            self.slab(slab, Ok(slab.inuse), node, objects, &mut one);
            rows.push(one);
        }
        row.list(key, rows);
        if let Some(e) = &listed.problem {
            row.lacking(e.is_loss(), format!("kmem: the list is not whole: {e}"));
        }
    }

    /// The node that a page is of, by the frames of the nodes.
    fn node_of(&self, page: VirtAddr) -> kernel::Result<Option<u64>> {
        zone::node_of(self.s, self.nodes.as_ref().map_err(Clone::clone)?, page)
    }

    /// How many slabs of a node CPUs have.
    fn slabs_of_cpus(&self, node: u64) -> Cell {
        let (mut count, mut problem) = (0_u64, None);
        for cpu in &self.cache.cpus {
            let own = match &cpu.slab {
                Ok(Some(slab)) => self.node_of(slab.at),
                Ok(None) => continue,
                Err(e) => Err(e.clone()),
            };
            match own {
                Ok(of) => count += u64::from(of == Some(node)),
                Err(e) => problem = problem.or(Some(e)),
            }
        }
        match problem {
            None => Cell::from(count),
            Some(e) => Cell::at_least(count, e.to_string()).lost_if(e.is_loss()),
        }
    }

    /// A slab, of whose objects so many are in use, and its objects where they are asked for.
    fn slab(
        &self,
        slab: &Counts,
        inuse: Result<u64, &KernelError>,
        node: Option<u64>,
        objects: bool,
        row: &mut Record,
    ) {
        if objects {
            row.line(slab_heading());
        }
        let memory = slab::data_of(self.s, slab.at);
        let line = Line::new().text("  ").field("slab", Cell::Addr(slab.at.0)).zeros(16).text("  ");
        let memory =
            tasks::known(memory.map(|at| Cell::Addr(at.0)), "where the slab's memory is is not known");
        let line = line.field("memory", memory).right(16).text("  ");
        let node = match node.map_or_else(|| self.node_of(slab.at), |node| Ok(Some(node))) {
            Ok(node) => tasks::known(node, "more than one node has this page among its frames"),
            Err(e) => unknown("?", &e),
        };
        let line =
            line.field("node", node).right(4).text("  ").field("total", slab.objects).right(5).text("  ");
        let cell = |count: Result<u64, &KernelError>| or_why(count);
        let line = line.field("allocated", cell(inuse)).right(9).text("  ");
        let free = inuse.map(|inuse| slab.objects.saturating_sub(inuse));
        row.line(line.field("free", cell(free)).right(4));
        if objects {
            self.objects(slab.at, None, row);
        }
    }

    /// The objects of a slab, or the one that holds an address.
    fn objects(&self, slab: VirtAddr, only: Option<VirtAddr>, row: &mut Record) {
        let slots = match self.cache.slots(self.s, slab) {
            Ok(slots) => slots,
            Err(e) => {
                row.lacking(e.is_loss(), format!("kmem: objects of the slab: {e}"));
                return;
            }
        };
        row.line(Line::heading("  FREE / [ALLOCATED]"));
        let size = slub_cache::slot_bytes(self.s, self.cache.at).unwrap_or(u64::MAX);
        let is_meant = |at: VirtAddr| only.is_none_or(|only| only.0.wrapping_sub(at.0) < size);
        let mut unknown = 0_usize;
        let mut rows = Vec::new();
        for slot in slots.into_iter().filter(|slot| is_meant(slot.at)) {
            let (before, behind) = match slot.is_free {
                Some(true) => ("   ", ""),
                Some(false) => ("  [", "]"),
                None => ("  ?", "?"),
            };
            unknown += usize::from(slot.is_free.is_none());
            let line = Line::of(before)
                .field("object", Cell::Addr(slot.at.0.wrapping_sub(self.before)))
                .zeros(16)
                .text(behind);
            let line = match (slot.cpu, slot.sheaf) {
                (Some(cpu), _) => line.text("  (cpu ").field("cpu_cache", cpu).text(" cache)"),
                (None, Some(SheafOf::Cpu(cpu, name))) => {
                    line.text("  (cpu ").field("cpu_cache", cpu).text(format!(" sheaf {name})"))
                }
                (None, Some(SheafOf::Node(node))) => {
                    line.text("  (node ").field("node_cache", node).text(" sheaf)")
                }
                (None, None) => line,
            };
            let mut one = Record::of(line);
            let state =
                tasks::known(slot.is_free, "a chain or array of free objects cannot be read to its end");
            one.hidden("free", state.lost_if(true));
            rows.push(one);
        }
        row.list("objects", rows);
        if unknown > 0 {
            let why = "a chain or array of free objects cannot be read to its end";
            row.missing(format!(
                "kmem: whether {unknown} objects (? before and behind them) are free is not known: {why}"
            ));
        }
    }
}

fn slab_heading() -> Line {
    Line::heading("  SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE")
}

/// The cache, the slab and the object that hold an address; all objects of the slab, where it is that of a slab, or they are
/// asked for.
pub(super) fn at(
    cx: &Cx<'_>,
    s: &Session,
    at: VirtAddr,
    whole: bool,
    report: &mut Report,
) -> Result<(), CommandError> {
    let (inside, object) = match slab::data_of(s, at) {
        Some(data) => (data, None),
        None => (at, Some(at)),
    };
    let only = object.filter(|_| !whole);
    // an address in the array of pages is one of a page
    let Some((slab, cache_at)) = slab::slab_of(s, inside) else {
        return Err(CommandError::failed(format_args!(
            "address is not allocated in slab subsystem: {:x}",
            at.0
        )));
    };
    let mut row = Record::new();
    row.line(heading());
    let cache = slub_cache::read(s, cache_at);
    if cache_row(s, cache_at, cache.as_ref(), &mut row)?
        && let Ok(cache) = &cache
    {
        let shown = Shown::of(cx, s, cache)?;
        let counts = slub_cache::counts(s, cache_at, slab);
        match counts {
            Ok(counts) => {
                row.line(slab_heading());
                let own = cache.cpus.iter().find(|cpu| matches!(&cpu.slab, Ok(Some(own)) if own.at == slab));
                shown.slab(&counts, in_use(&counts, own), None, false, &mut row);
                shown.objects(slab, only, &mut row);
            }
            Err(e) => row.lacking_or_error(e.is_loss(), format!("kmem: the slab: {e}")),
        }
    }
    if let Some(object) = object.and_then(|at| slub::object_at(s, at)) {
        object.damage.iter().for_each(|damage| row.warning(format!("kmem: {:x}: {damage}", object.at.0)));
    }
    report.list("found", vec![row]);
    Ok(())
}
