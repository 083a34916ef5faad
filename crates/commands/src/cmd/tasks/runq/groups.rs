//! `runq -g`: tasks by the groups that they are in ([`kernel::sched::group`]).

use super::{MAX_DEPTH, entry_line, told};
use crate::show::tasks::{self, unknown};
use crate::{CommandError, Cx};
use base::VirtAddr;
use kernel::sched::group::{self, Group, Groups};
use kernel::sched::runq::{self, Of, Queue, Queued};
use kernel::{KernelError, Session};
use report::{Cell, Line, Record, Report};
use std::collections::{BTreeMap, BTreeSet};

/// Which of the classes of the scheduler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    RealTime,
    Fair,
}

impl Class {
    const fn tasks(self) -> &'static str {
        match self {
            Class::RealTime => "real-time tasks",
            Class::Fair => "tasks of the fair class",
        }
    }
    /// Columns by which what is in a group stands further right.
    const fn step(self) -> usize {
        match self {
            Class::RealTime => 6,
            Class::Fair => 3,
        }
    }
    fn queue(self, s: &Session, group: VirtAddr, cpu: u32) -> Result<Option<VirtAddr>, KernelError> {
        match self {
            Class::RealTime => group::realtime_queue(s, group, cpu),
            Class::Fair => group::fair_queue(s, group, cpu),
        }
    }
    fn read(self, s: &Session, queue: VirtAddr) -> Result<Queue<Queued>, KernelError> {
        match self {
            Class::RealTime => runq::realtime(s, queue),
            Class::Fair => runq::fair(s, queue),
        }
    }
    fn is_throttled(self, s: &Session, queue: VirtAddr) -> Result<bool, KernelError> {
        match self {
            Class::RealTime => runq::is_realtime_throttled(s, queue),
            Class::Fair => runq::is_fair_throttled(s, queue),
        }
    }
}

pub(super) fn show(cx: &Cx<'_>, s: &Session, cpus: &[u32], report: &mut Report) -> Result<(), CommandError> {
    let groups = group::groups(s).map_err(CommandError::failed)?;
    let (has_fair, has_realtime) = group::has_groups(s);
    if !has_fair && !has_realtime {
        return Err(CommandError::failed(KernelError::NotBuilt("CONFIG_FAIR_GROUP_SCHED")));
    }
    if let Some(e) = groups.problems.first() {
        report.lacking(e.is_loss(), format!("runq: other groups may be missing: {e}"));
    }
    let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.all.iter().enumerate() {
        if let Some(parent) = group.parent {
            children.entry(parent).or_default().push(index);
        }
    }
    let name = |cpu: u32| Line::of("CPU ").field("cpu", cpu);
    let offline = |cpu, row: &mut Record| row.line(name(cpu).text(" [OFFLINE]"));
    let rows = tasks::cpu_rows(cx, s, cpus, &offline, &mut |cpu, row| {
        row.line(name(cpu));
        row.line(super::current(s, cpu, "  CURRENT: "));
        match runq::of_cpu(s, cpu) {
            Ok(own) => {
                let tree = |class| Tree { s, cpu, class, groups: &groups, children: &children };
                match &own.rt {
                    Ok(at) if has_realtime || has_tasks(s, *at) => tree(Class::RealTime).show(*at, row),
                    Ok(_) => {}
                    Err(e) if e.is_of_all() => {}
                    Err(e) => told(std::slice::from_ref(e), (cpu, Class::RealTime.tasks()), row),
                }
                match &own.fair {
                    Ok(at) => tree(Class::Fair).show(*at, row),
                    Err(e) => return Err(CommandError::failed(e)),
                }
            }
            Err(e) if e.is_of_all() => return Err(CommandError::failed(e)),
            Err(e) => row.lacking(e.is_loss(), format!("runq: the queues of CPU {cpu} are not known: {e}")),
        }
        Ok(())
    })?;
    report.list("cpus", rows);
    Ok(())
}

/// True for a real-time queue that is not known to be empty.
fn has_tasks(s: &Session, queue: VirtAddr) -> bool {
    runq::realtime(s, queue).map_or_else(|e| !e.is_of_all(), |q| !q.all.is_empty() || !q.problems.is_empty())
}

/// The groups of one class on one CPU.
struct Tree<'a> {
    s: &'a Session,
    cpu: u32,
    class: Class,
    groups: &'a Groups,
    children: &'a BTreeMap<usize, Vec<usize>>,
}

/// What was gone through so far, and what is shown later.
#[derive(Default)]
struct Progress {
    /// Groups that were shown, by their index.
    shown: BTreeSet<usize>,
    /// Tasks that stand in the tree of a group that they are not in (7.3 has one tree for all), and whether they run.
    elsewhere: BTreeMap<u64, Vec<(Queued, bool)>>,
    problems: Vec<KernelError>,
}

impl Tree<'_> {
    /// All groups, in that of the root, whose queue is the CPU's own.
    fn show(&self, queue: VirtAddr, row: &mut Record) {
        let Some(root) = self.groups.all.first() else { return };
        let line = Line::of("  ROOT_TASK_GROUP: ").field("", root.at);
        let (key, name) = match self.class {
            Class::RealTime => ("rt", "  RT_RQ: "),
            Class::Fair => ("cfs", "  CFS_RQ: "),
        };
        row.line(line.text(name).field("", queue));
        let mut progress = Progress { shown: BTreeSet::from([0]), ..Progress::default() };
        let mut record = Record::new();
        record.hidden("task_group", root.at);
        record.hidden("queue", queue);
        self.inside(0, queue, 0, &mut progress, &mut record);
        row.record(key, record);
        // in a queue that is of no group that is known
        for (queued, _) in std::mem::take(&mut progress.elsewhere).into_values().flatten() {
            row.line(entry_line(self.s, &queued, 5));
        }
        told(&progress.problems, (self.cpu, self.class.tasks()), row);
    }

    /// What is in a group: tasks, and groups with theirs, or that it is nothing. False where nothing is known to be in it.
    fn inside(
        &self,
        index: usize,
        queue: VirtAddr,
        depth: usize,
        progress: &mut Progress,
        record: &mut Record,
    ) -> bool {
        let mut entries = Vec::new();
        let known = progress.problems.len();
        if depth > MAX_DEPTH {
            let why = format!("more than {MAX_DEPTH} groups are in each other");
            progress.problems.push(KernelError::Damaged { what: "run queue", at: queue, why });
            return false;
        }
        if self.class == Class::Fair {
            match runq::fair_current(self.s, queue) {
                Ok(Some(current)) => self.entry(&current, true, (queue, depth), progress, &mut entries),
                Ok(None) => {}
                Err(e) => progress.problems.push(e),
            }
        }
        match self.class.read(self.s, queue) {
            Ok(read) => {
                progress.problems.extend(read.problems);
                for queued in &read.all {
                    self.entry(queued, false, (queue, depth), progress, &mut entries);
                }
            }
            Err(e) => progress.problems.push(e),
        }
        for (queued, is_current) in progress.elsewhere.remove(&queue.0).unwrap_or_default() {
            entries.push(self.task(&queued, is_current, depth));
        }
        self.taken_out(index, depth, progress, &mut entries);
        let is_empty = entries.is_empty();
        record.list("entries", entries);
        // of a queue that cannot be read it is not known
        if is_empty && known == progress.problems.len() {
            record.text(format!("{}[no tasks queued]", " ".repeat(5 + self.class.step() * depth)));
        }
        !is_empty
    }

    /// Adds a task or a group that stands in a queue.
    fn entry(
        &self,
        queued: &Queued,
        is_current: bool,
        (queue, depth): (VirtAddr, usize),
        progress: &mut Progress,
        entries: &mut Vec<Record>,
    ) {
        match &queued.of {
            Of::Group(own) => {
                if let Some(record) = self.group(*own, queued.level, depth + 1, progress) {
                    entries.push(record);
                }
            }
            Of::Task(_) => match queued.own_queue.filter(|own| *own != queue && !own.is_null()) {
                Some(own) => progress.elsewhere.entry(own.0).or_default().push((queued.clone(), is_current)),
                None => entries.push(self.task(queued, is_current, depth)),
            },
            Of::Server => entries.push(self.task(queued, is_current, depth)),
        }
    }

    fn task(&self, queued: &Queued, is_current: bool, depth: usize) -> Record {
        let line = entry_line(self.s, queued, 5 + self.class.step() * depth);
        let mut record = Record::of(if is_current { line.text(" [CURRENT]") } else { line });
        if is_current {
            record.hidden("current", true);
        }
        if queued.is_delayed {
            record.hidden("sched_delayed", true);
        }
        record
    }

    /// A group with what is in it; none for one that was shown.
    fn group(
        &self,
        queue: VirtAddr,
        level: Option<u32>,
        depth: usize,
        progress: &mut Progress,
    ) -> Option<Record> {
        let is_it =
            |group: &Group| self.class.queue(self.s, group.at, self.cpu).is_ok_and(|own| own == Some(queue));
        let Some(index) = self.groups.all.iter().position(is_it) else {
            let why = "it stands in a queue and is of no group that is known".to_owned();
            progress.problems.push(KernelError::Damaged { what: "run queue", at: queue, why });
            return None;
        };
        if !progress.shown.insert(index) {
            let why = "it stands in two queues".to_owned();
            progress.problems.push(KernelError::Damaged { what: "run queue", at: queue, why });
            return None;
        }
        let mut record = Record::of(self.head(index, queue, level, depth));
        self.inside(index, queue, depth, progress, &mut record);
        Some(record)
    }

    /// `TASK_GROUP: ffff88012b880800  CFS_RQ: ffff88012c5d1000  <libvirt> (THROTTLED)`
    fn head(&self, index: usize, queue: VirtAddr, level: Option<u32>, depth: usize) -> Line {
        let group = self.groups.all.get(index);
        let line = match self.class {
            Class::Fair => Line::of(" ".repeat(2 + 3 * depth)),
            Class::RealTime => {
                let line = Line::of(" ".repeat(5 + 6 * depth.saturating_sub(1))).text("[");
                line.field("prio", level).right(3).text("] ")
            }
        };
        let line = line.text("TASK_GROUP: ").field("task_group", group.map(|group| group.at));
        let line = line.text(match self.class {
            Class::Fair => "  CFS_RQ: ",
            Class::RealTime => "  RT_RQ: ",
        });
        let line = line.field("queue", queue);
        let line = match group.and_then(|group| group.name.clone()) {
            None => line,
            Some(Ok(name)) => line.text("  <").field("name", name).text(">"),
            Some(Err(e)) => line.text("  ").field("name", unknown("?", &e)),
        };
        match self.class.is_throttled(self.s, queue) {
            Ok(true) => line.text(" (").field("throttled", Cell::shown(true, "THROTTLED")).text(")"),
            Ok(false) => line,
            Err(e) if e.is_of_all() => line,
            Err(e) => line.text(" (throttled: ").field("throttled", unknown("?", &e)).text(")"),
        }
    }

    /// Groups that were taken out of their parent's queue, or of which only those in them were: what is in them waits.
    fn taken_out(&self, parent: usize, depth: usize, progress: &mut Progress, entries: &mut Vec<Record>) {
        for &index in self.children.get(&parent).into_iter().flatten() {
            let Some(group) = self.groups.all.get(index).filter(|_| !progress.shown.contains(&index)) else {
                continue;
            };
            let queue = match self.class.queue(self.s, group.at, self.cpu) {
                Ok(Some(queue)) => queue,
                Ok(None) => continue,
                Err(e) if e.is_of_all() => continue,
                Err(e) => {
                    progress.problems.push(e);
                    continue;
                }
            };
            progress.shown.insert(index);
            let mut record = Record::of(self.head(index, queue, None, depth + 1));
            if self.inside(index, queue, depth + 1, progress, &mut record) {
                entries.push(record);
            }
        }
    }
}
