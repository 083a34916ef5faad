//! The events that this kernel can record (kernel/trace/trace_events.c): each with its number, its fields, and how it prints.
//!
//! `struct trace_event_call` was `ftrace_event_call` to 4.1 (2425bcb9240f), its class likewise. A tracepoint's event has its name
//! there since 3.15 (de7b2973903c). The fields of system calls stand elsewhere (kernel/trace/trace_syscalls.c).

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::plausible::not_one;
use crate::session::{Fact, Session};
use base::VirtAddr;
use rustc_hash::FxHashMap;

bind! {
    /// `struct trace_event_call`
    struct EventCall("trace_event_call" | "ftrace_event_call") {
        list: "list",
        class: "class",
        name: "name",
        tracepoint: "tp",
        flags: "flags",
        number: "event.type",
        format: "print_fmt",
        data: "data",
    }
}
bind! {
    /// `struct trace_event_class`
    struct EventClass("trace_event_class" | "ftrace_event_class") {
        system: "system",
        fields: "fields",
        get_fields: "get_fields",
    }
}
bind! {
    /// `struct ftrace_event_field`
    struct EventField("ftrace_event_field") {
        link: "link",
        name: "name",
        kind: "type",
        offset: "offset",
        bytes: "size",
        is_signed: "is_signed",
    }
}
bind! {
    /// `struct tracepoint`
    struct Tracepoint("tracepoint") { name: "name" }
}
bind! {
    /// `struct syscall_metadata`
    struct SyscallMetadata("syscall_metadata") { enter: "enter_fields" }
}

/// More fields than an event has.
const MAX_FIELDS: usize = 512;
/// The longest name and type.
const MAX_NAME: usize = 256;
/// The longest `print_fmt`.
const MAX_FORMAT: usize = 1 << 18;

/// A field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type, as C has it.
    pub kind: String,
    /// Where it begins.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// True for a signed number.
    pub is_signed: bool,
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number that its records begin with.
    pub number: u16,
    /// The group that it is of: `sched`, `ftrace` ...
    pub system: String,
    /// Its name.
    pub name: String,
    /// `"format", arguments`, as /sys/kernel/tracing/events has it.
    pub format: String,
    /// Its fields, without those that all events have, in the order in which a record has them.
    pub fields: Vec<Field>,
}

/// All kinds of events.
#[derive(Debug, Default)]
pub struct Events {
    /// By the group, each in the order in which they were registered.
    pub all: Vec<Event>,
    /// The fields that all events have.
    pub common: Vec<Field>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
    by_number: FxHashMap<u16, usize>,
}

impl Events {
    /// The kind of this number.
    #[must_use]
    pub fn of(&self, number: u16) -> Option<&Event> {
        self.all.get(*self.by_number.get(&number)?)
    }
}

impl Fact for Events {
    fn read(s: &Session) -> Self {
        let mut out = Self::default();
        if let Err(e) = out.fill(s) {
            out.problems.push(e);
        }
        out.by_number = out.all.iter().enumerate().map(|(n, event)| (event.number, n)).collect();
        out
    }
}

impl Session {
    /// The kinds of events that ftrace can record.
    pub fn trace_events(&self) -> &Events {
        self.fact()
    }
}

impl Events {
    fn fill(&mut self, s: &Session) -> Result<()> {
        let b = s.bind::<EventCall>();
        let head = s.need_symbol("ftrace_events")?;
        b.list.offset()?;
        let common = s.need_symbol("ftrace_common_fields")?;
        let (fields, problems) = fields(s, common);
        (self.common, self.problems) = (fields, problems);
        let mut damage = Vec::new();
        let problems = both_ways(s.mem(), head, &mut |link| {
            let call = b.list.container(link)?;
            match event(s, call) {
                Ok((event, lost)) => {
                    self.all.push(event);
                    damage.extend(lost);
                    Ok(())
                }
                // what is no event leads nowhere
                Err(e @ KernelError::Damaged { .. }) => Err(e),
                Err(e) => {
                    damage.push(e);
                    Ok(())
                }
            }
        });
        self.problems.extend(problems);
        self.problems.extend(damage);
        Ok(())
    }
}

/// The event of a `trace_event_call`, and what is wrong with its fields.
fn event(s: &Session, call: VirtAddr) -> Result<(Event, Vec<KernelError>)> {
    let (b, class, mem) = (s.bind::<EventCall>(), s.bind::<EventClass>(), s.mem());
    let number = b.number.num(mem, call)?;
    let number = u16::try_from(number)
        .map_err(|_| not_one("trace_event_call", call, "event", &format!("its number is {number}")))?;
    let own = b.class.ptr(mem, call)?;
    let system = class.system.string(mem, own, MAX_NAME)?;
    let name = name(s, call)?;
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_name(&system) || !is_name(&name) {
        return Err(not_one("trace_event_call", call, "event", &format!("its name is {system:?}:{name:?}")));
    }
    let format = b.format.string(mem, call, MAX_FORMAT)?;
    let (fields, problems) = match place_of_fields(s, call, own) {
        Ok(head) => fields(s, head),
        Err(e) => (Vec::new(), vec![e]),
    };
    Ok((Event { number, system, name, format, fields }, problems))
}

fn name(s: &Session, call: VirtAddr) -> Result<String> {
    let (b, mem) = (s.bind::<EventCall>(), s.mem());
    let flag =
        |name: &str| s.types().find_enumerator(name).into_iter().find_map(|(_, n)| u64::try_from(n).ok());
    let at = if b.tracepoint.exists() {
        let of_tracepoint =
            flag("TRACE_EVENT_FL_TRACEPOINT").ok_or(KernelError::NoEnumeration("TRACE_EVENT_FL"))?;
        let custom = flag("TRACE_EVENT_FL_CUSTOM").unwrap_or(0);
        let flags = b.flags.num(mem, call)?;
        let at = b.tracepoint.ptr(mem, call)?;
        match flags & of_tracepoint != 0 && flags & custom == 0 {
            true => s.bind::<Tracepoint>().name.ptr(mem, at)?,
            false => at,
        }
    } else {
        b.name.ptr(mem, call)?
    };
    Ok(String::from_utf8_lossy(&mem.cstr(at, MAX_NAME)?).into_owned())
}

/// The list of an event's fields.
fn place_of_fields(s: &Session, call: VirtAddr, own: VirtAddr) -> Result<VirtAddr> {
    let (b, class, mem) = (s.bind::<EventCall>(), s.bind::<EventClass>(), s.mem());
    let by = class.get_fields.ptr(mem, own)?;
    if by.is_null() {
        return class.fields.at(own);
    }
    let function = s.locate(by).map(|found| found.symbol.name.to_owned()).unwrap_or_default();
    match function.as_str() {
        "syscall_get_enter_fields" => s.bind::<SyscallMetadata>().enter.at(b.data.ptr(mem, call)?),
        "syscall_get_exit_fields" => s.need_symbol("syscall_exit_fields"),
        _ => {
            let why = format!("its fields are told by {by:#x} {function}, which is not known");
            Err(KernelError::Damaged { what: "trace_event_class", at: own, why })
        }
    }
}

/// The fields of a list; the last one stands first in it.
fn fields(s: &Session, head: VirtAddr) -> (Vec<Field>, Vec<KernelError>) {
    let (b, mem) = (s.bind::<EventField>(), s.mem());
    let mut out = Vec::new();
    // one that was never made a list has no fields
    if mem.ptr(head).is_ok_and(VirtAddr::is_null) {
        return (out, Vec::new());
    }
    let problems = both_ways(mem, head, &mut |link| {
        let at = b.link.container(link)?;
        if out.len() >= MAX_FIELDS {
            return Err(not_one("ftrace_event_field", at, "field", "there are too many"));
        }
        let number = |field: &crate::bind::Field| {
            let n = field.num(mem, at)?;
            usize::try_from(n).ok().filter(|n| *n < 1 << 16).ok_or_else(|| {
                not_one("ftrace_event_field", at, "field", &format!("it is at {n:#x}, or has so many bytes"))
            })
        };
        out.push(Field {
            name: b.name.string(mem, at, MAX_NAME)?,
            kind: b.kind.string(mem, at, MAX_NAME)?,
            offset: number(&b.offset)?,
            size: number(&b.bytes)?,
            is_signed: b.is_signed.num(mem, at)? != 0,
        });
        Ok(())
    });
    out.reverse();
    (out, problems)
}
