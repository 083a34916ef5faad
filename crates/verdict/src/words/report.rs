//! Reports of the kernel's checkers and of the hardware, in words.

use crate::model::{ErrorFact, FirmwareFault, MachineCheck, Report, StackUser, Vendor};
use crate::words::pointer::poison;
use crate::words::{bytes, joined};
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Object(at, met) => {
                write!(f, "object {at:016x}")?;
                met.iter().try_for_each(|met| write!(f, ": {met}"))
            }
            Report::Guard { function, at, value, text } => {
                write!(f, "the guard of {function}'s frame, at {at:016x}, is {value:016x}")?;
                text.iter().try_for_each(|text| write!(f, ", the text {text:?}"))
            }
            Report::FreedTwice(at) => write!(f, "object {at:016x} was free already when it was freed here"),
            Report::Overwritten { count, offset, found, text } => {
                write!(f, "{} overwritten at +{offset:#x}", bytes(*count))?;
                text.iter().try_for_each(|text| write!(f, " with {text:?}"))?;
                write!(f, ": {found}")
            }
            Report::OverwrittenAt { from, to, found } => {
                write!(f, "overwritten from {from:x} to {to:x}: {found}")
            }
            Report::Track { freed: true, by } => write!(f, "freed in {by}"),
            Report::Track { freed: false, by } => write!(f, "allocated in {by}"),
            Report::Guarded { name, size, cache } => {
                write!(f, "{name}: an object of {size} bytes, slab cache {cache}")
            }
            Report::Stack(who, stack) => write!(f, "{who}: {}", stack.join(" < ")),
            Report::BadPage(why) => write!(f, "the page has a {why}"),
            Report::Page(page, mapping) => {
                write!(f, "page {page}")?;
                mapping.iter().try_for_each(|at| write!(f, "; the mapping is {}", poison(*at)))
            }
            Report::PageFlags(flags) => write!(f, "its flags {flags}"),
            Report::Address(said) => write!(f, "the address {said}"),
            Report::Variables(all) => write!(f, "the frame's variables: {}", joined(all, ", ")),
            Report::By { freed, function, module, task } => {
                let word = if *freed { "freed" } else { "allocated" };
                write!(f, "{word} by {function}")?;
                module.iter().try_for_each(|module| write!(f, " [{module}]"))?;
                write!(f, ", task {task}")
            }
            Report::StackUsers(users) => write!(f, "the stack: {}", joined(users, ", ")),
            Report::MachineCheck(record) => f.write_str(&self::record(record)),
            Report::Firmware(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for FirmwareFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.severity, self.section.as_deref().unwrap_or("error"))?;
        self.facts.iter().try_for_each(|(fact, said)| match fact {
            ErrorFact::Device => write!(f, ", device {said}"),
            ErrorFact::Kind => write!(f, ", {said}"),
            ErrorFact::Address => write!(f, ", physical address {said}"),
            ErrorFact::Dimm => write!(f, ", DIMM {said}"),
        })
    }
}

impl fmt::Display for StackUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        self.module.iter().try_for_each(|module| write!(f, " [{module}]"))?;
        write!(f, " {} bytes", self.bytes)?;
        match self.calls {
            1 => Ok(()),
            n => write!(f, " in {n} calls"),
        }
    }
}

/// A record of a machine check: what its status says.
///
/// The status has flags in its upper half and the architectural error code in its lowest 16 bits; both are in Intel's
/// manual (volume 3, "Machine-check architecture") and in AMD's (volume 2, "Machine check architecture"), which agree but
/// for what is marked here. Model-specific codes are not told.
fn record(r: &MachineCheck) -> String {
    let bit = |n: u32| r.status >> n & 1 == 1;
    let mut out = format!("CPU {}, bank {}, status {:x}", r.cpu, r.bank, r.status);
    if !bit(63) {
        return out + ": not valid";
    }
    let mut flags = vec![if bit(61) { "uncorrected" } else { "corrected" }];
    flags.extend(bit(57).then_some("processor context corrupt"));
    flags.extend((r.vendor == Vendor::Amd && bit(44)).then_some("deferred"));
    flags.extend((r.vendor == Vendor::Amd && bit(43)).then_some("poisoned data was used"));
    flags.extend(
        (r.vendor == Vendor::Intel && bit(61) && !bit(57) && bit(56) && bit(55))
            .then_some("recovery was possible"),
    );
    flags.extend(bit(62).then_some("an earlier error was overwritten"));
    out = format!("{out}: {}, {}", code(r), flags.join(", "));
    if let Some(addr) = r.addr.filter(|_| bit(58)) {
        out = format!("{out}; address {addr:x}");
    }
    if let Some(ip) = &r.ip {
        out = format!("{out}; at {ip}");
    }
    out
}

/// The architectural error code.
fn code(r: &MachineCheck) -> String {
    let intel = r.vendor == Vendor::Intel;
    // Intel's bit 12 says how corrected errors were counted
    let code = r.status & if intel { 0xefff } else { 0xffff };
    let level = |n: u64| match (n & 3, intel) {
        (0, true) => "level 0",
        (0, false) => "core",
        (1, _) => "level 1",
        (2, _) => "level 2",
        _ => "any level",
    };
    let kind = |n: u64| match n & 3 {
        0 => "instruction ",
        1 => "data ",
        _ => "",
    };
    match code {
        0 => "no error code".into(),
        0x0001 if intel => "unclassified error".into(),
        0x0002 if intel => "parity error in the microcode's ROM".into(),
        0x0003 if intel => "error signalled from outside".into(),
        0x0004 if intel => "functional redundancy check failed".into(),
        0x0005 if intel => "internal parity error".into(),
        0x0400 if intel => "internal timer error: no instruction retired for too long".into(),
        0x0e0b if intel => "error of input or output".into(),
        0x0400..=0x07ff => "internal error".into(),
        0x000c..=0x000f => format!("error in the caches' hierarchy, {}", level(code)),
        0x0010..=0x001f => format!("{}TLB error, {}", kind(code >> 2), level(code)),
        0x0080..=0x00ff if intel => memory(code, "memory controller"),
        0x0280..=0x02ff if intel => memory(code, "memory used as a cache"),
        0x0100..=0x01ff => {
            format!("{}cache error, {}, {}", kind(code >> 2), level(code), request(code >> 4))
        }
        0x0800..=0x0fff => {
            let who = match code >> 9 & 3 {
                0 => "this processor asked",
                1 => "this processor answered",
                2 => "this processor looked on",
                _ => "whoever asked",
            };
            let what = match code >> 2 & 3 {
                0 => "memory",
                2 => "input or output",
                _ => "other access",
            };
            let late = if code >> 8 & 1 == 1 { ", no answer in time" } else { "" };
            format!("bus or interconnect error, {what}, {}, {who}{late}", request(code >> 4))
        }
        other => format!("error code {other:#x}"),
    }
}

/// `MMM` and `CCCC` of Intel's codes.
fn memory(code: u64, of: &str) -> String {
    let what = match code >> 4 & 7 {
        1 => "read",
        2 => "write",
        3 => "address or command",
        4 => "scrubbing",
        _ => "error",
    };
    let channel = match code & 0xf {
        0xf => String::new(),
        n => format!(", channel {n}"),
    };
    format!("{of}: {what}{channel}")
}

/// `RRRR`.
fn request(n: u64) -> &'static str {
    match n & 0xf {
        1 => "read",
        2 => "write",
        3 => "data read",
        4 => "data write",
        5 => "instruction fetch",
        6 => "prefetch",
        7 => "eviction",
        8 => "snoop",
        _ => "any request",
    }
}
