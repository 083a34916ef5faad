//! The kernel's own account of its death, as it printed it on the console.
//!
//! A report starts at a headline (`kernel BUG at`, `BUG:`, `Oops:`, `Kernel panic`) and holds the lines of
//! arch/x86/kernel/dumpstack.c and process_64.c, or of arch/arm64/kernel/process.c. The words of 5.10 to 7.x are understood; what is not there is left
//! out, never guessed.

use std::collections::BTreeMap;

use serde::Serialize;

/// One report: an oops, or the state printed by `panic()`.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(crate) struct Report {
    /// The lines that say what happened, before the state.
    pub headlines: Vec<String>,
    /// CPU it happened on.
    pub cpu: Option<u32>,
    /// Task it happened in.
    pub pid: Option<i64>,
    /// Its name.
    pub comm: Option<String>,
    /// `Not tainted` or the letters.
    pub taint: Option<String>,
    /// Where, in the kernel.
    pub rip: Option<Place>,
    /// Where the link register pointed, on arm64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<Place>,
    /// Kernel registers by upper-case name (`RAX` … `R15`, `RSP`, `EFLAGS`, `CR2`, `GS` …; `X0` … `X29`, `SP`,
    /// `PSTATE`), hexadecimal.
    pub registers: BTreeMap<String, String>,
    /// The call trace, innermost first, with the `?` lines.
    pub trace: Vec<Frame>,
    /// Where user space was, as printed after the trace.
    pub user_rip: Option<String>,
    /// User registers.
    pub user_registers: BTreeMap<String, String>,
}

/// `symbol+0xoffset/0xsize [module]`.
#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Place {
    /// Symbol, or a bare address where there is none.
    pub symbol: String,
    /// Bytes from its start.
    pub offset: u64,
    /// Its size.
    pub size: u64,
    /// Module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// A line of the call trace.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// False for the lines with `?`.
    pub reliable: bool,
    /// The stack named above it: `TASK`, `IRQ`, `NMI` …
    pub stack: Option<String>,
}

impl Place {
    /// Parses `symbol+0xoffset/0xsize [module]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (symbol, rest) = words.next()?.split_once("+0x")?;
        let (offset, size) = rest.split_once("/0x")?;
        // A module may be followed by its build-id: `[virtio_ring 0123…]`.
        let module =
            words.next().and_then(|word| word.strip_prefix('[')).map(|word| word.trim_end_matches(']'));
        Some(Self {
            symbol: symbol.to_owned(),
            offset: u64::from_str_radix(offset, 16).ok()?,
            size: u64::from_str_radix(size, 16).ok()?,
            module: module.map(str::to_owned),
        })
    }
}

/// Finds the reports in the messages of a console (time stamps already taken off).
pub(crate) fn reports<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Report> {
    let mut parser = Parser::default();
    for line in lines {
        parser.line(line);
    }
    parser.finish()
}

/// The reason in the last `Kernel panic - not syncing: reason`.
pub(crate) fn panic_reason<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    lines
        .filter(|line| line.starts_with("Kernel panic - not syncing: "))
        .last()
        .map(|line| line.trim_start_matches("Kernel panic - not syncing: ").to_owned())
}

/// The KASLR offset in `Kernel Offset: 0x… from 0x…`.
pub(crate) fn kernel_offset<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<u64> {
    lines.find_map(|line| {
        let text = line.strip_prefix("Kernel Offset: 0x")?;
        u64::from_str_radix(text.split_whitespace().next()?, 16).ok()
    })
}

#[derive(Default)]
struct Parser {
    done: Vec<Report>,
    current: Option<Report>,
    /// Headlines seen since the last report.
    headlines: Vec<String>,
    in_trace: bool,
    stack: Option<String>,
    user: bool,
}

const HEADLINES: &[&str] = &[
    "kernel BUG at ",
    "BUG: ",
    "Oops: ",
    "invalid opcode: ",
    "Kernel panic - ",
    "WARNING: ",
    "general protection fault",
    "stack segment",
    "divide error",
    "Internal error: ",
    "Unable to handle kernel ",
    "Out of memory and ",
];

impl Parser {
    fn line(&mut self, line: &str) {
        if line.starts_with("---[ end") {
            self.close();
        } else if let Some(rest) = line.strip_prefix("CPU: ").filter(|rest| rest.contains("PID: ")) {
            self.open(rest);
        } else if HEADLINES.iter().any(|start| line.starts_with(start))
            || line.contains(" invoked oom-killer: ")
        {
            self.close();
            self.headlines.push(line.to_owned());
        } else if line.starts_with("Modules linked in:") {
            self.in_trace = false;
        } else if line.trim_start().to_ascii_lowercase().starts_with("call trace:") {
            self.in_trace = self.current.is_some();
        } else if line.starts_with("RIP: ") {
            self.rip(line);
        } else if let Some(text) = line.strip_prefix("pc : ") {
            self.arm64(|report| &mut report.rip, text);
        } else if let Some(text) = line.strip_prefix("lr : ") {
            self.arm64(|report| &mut report.lr, text);
        } else if self.in_trace && self.trace_line(line) {
        } else if let Some(report) = &mut self.current {
            let to = if self.user { &mut report.user_registers } else { &mut report.registers };
            registers(line, to);
            arm64_registers(line, to);
        }
    }

    fn open(&mut self, rest: &str) {
        self.close();
        let word_after =
            |key: &str| rest.split_once(key).and_then(|(_, after)| after.split_whitespace().next());
        let comm = rest.split_once("Comm: ").map(|(_, after)| {
            let end =
                [" Kdump: ", " Tainted: ", " Not tainted "].iter().filter_map(|mark| after.find(mark)).min();
            after.get(..end.unwrap_or(after.len())).unwrap_or(after).to_owned()
        });
        let taint = if rest.contains("Not tainted") {
            Some("Not tainted".to_owned())
        } else {
            rest.split_once("Tainted: ").map(|(_, after)| {
                // Letters in columns, then the release.
                after
                    .split_whitespace()
                    .take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase()))
                    .collect()
            })
        };
        self.current = Some(Report {
            headlines: std::mem::take(&mut self.headlines),
            cpu: rest.split_whitespace().next().and_then(|word| word.parse().ok()),
            pid: word_after("PID: ").and_then(|word| word.parse().ok()),
            comm,
            taint,
            ..Report::default()
        });
    }

    fn rip(&mut self, line: &str) {
        let Some(report) = &mut self.current else { return };
        let text = line.trim_start_matches("RIP: ");
        if let Some(kernel) = text.strip_prefix("0010:") {
            if report.rip.is_none() {
                report.rip = Place::parse(kernel).or_else(|| {
                    Some(Place { symbol: kernel.split_whitespace().next()?.to_owned(), ..Place::default() })
                });
            }
            self.user = false;
        } else if let Some(user) = text.strip_prefix("0033:") {
            report.user_rip =
                user.split_whitespace().next().map(|at| format!("0x{}", at.trim_start_matches("0x")));
            self.user = true;
        }
    }

    /// `pc : place` and `lr : place`.
    fn arm64(&mut self, which: impl Fn(&mut Report) -> &mut Option<Place>, text: &str) {
        if let Some(report) = &mut self.current {
            let to = which(report);
            if to.is_none() {
                let bare = || text.split_whitespace().next().map(str::to_owned);
                *to = Place::parse(text).or_else(|| Some(Place { symbol: bare()?, ..Place::default() }));
            }
        }
    }

    /// A line inside a call trace; false if it is none.
    fn trace_line(&mut self, line: &str) -> bool {
        let text = line.trim();
        if let Some(mark) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            self.stack = match mark.strip_prefix('/') {
                Some(_) => None,
                None => Some(mark.to_owned()),
            };
            return true;
        }
        let (reliable, text) = match text.strip_prefix("? ") {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        match (Place::parse(text), &mut self.current) {
            (Some(place), Some(report)) => {
                report.trace.push(Frame { place, reliable, stack: self.stack.clone() });
                true
            }
            _ => false,
        }
    }

    fn close(&mut self) {
        self.done.extend(self.current.take());
        self.in_trace = false;
        self.stack = None;
        self.user = false;
    }

    fn finish(mut self) -> Vec<Report> {
        self.close();
        if !self.headlines.is_empty() {
            self.done.push(Report { headlines: std::mem::take(&mut self.headlines), ..Report::default() });
        }
        self.done
    }
}

/// Reads `NAME: value` pairs, as in `RAX: 00… RBX: 00…`, `FS: 00…(0000) GS:00…(0000)`, `CS: 0010 DS: 0000`.
fn registers(line: &str, into: &mut BTreeMap<String, String>) {
    const NAMES: &[&str] = &[
        "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", "R08", "R09", "R10", "R11", "R12", "R13",
        "R14", "R15", "EFLAGS", "ORIG_RAX", "FS", "GS", "knlGS", "CS", "DS", "ES", "CR0", "CR2", "CR3",
        "CR4", "PKRU",
    ];
    let mut name = None;
    for word in line.split_whitespace() {
        let (key, value) = match word.split_once(':') {
            Some((key, value)) if NAMES.contains(&key) => (Some(key), value),
            // `RSP: 0018:ff38…`: the segment stands before the value.
            Some((segment, value)) if name.is_some() && segment.len() == 4 => (name, value),
            _ => (name, word),
        };
        name = key;
        let digits = value.split('(').next().unwrap_or(value);
        if let Some(key) = key
            && let Ok(number) = u64::from_str_radix(digits, 16)
        {
            into.entry(key.to_owned()).or_insert_with(|| format!("{number:#x}"));
            name = None;
        }
    }
}

/// Reads `x29: ffff… x28: ffff…`, `sp : ffff…`, `pstate: 60000005 (…)`.
fn arm64_registers(line: &str, into: &mut BTreeMap<String, String>) {
    let line = line.replace(" :", ":");
    let words: Vec<&str> = line.split_whitespace().collect();
    for pair in words.windows(2) {
        let [name, value] = pair else { continue };
        let Some(name) = name.strip_suffix(':') else { continue };
        let numbered = name.strip_prefix('x').is_some_and(|number| number.parse::<u8>().is_ok());
        if let Ok(number) = u64::from_str_radix(value, 16)
            && (numbered || matches!(name, "sp" | "pstate"))
        {
            into.entry(name.to_uppercase()).or_insert_with(|| format!("{number:#x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUG: &str = "\
------------[ cut here ]------------
kernel BUG at drivers/virtio/virtio_ring.c:550!
invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 PID: 130 Comm: scatter Tainted: G           OE      6.1.0-1-cloud-amd64 #1  Debian 6.1.1-1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16 04/01/2014
RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]
Code: 00 48 89 ef <0f> 0b 8b 5c
RSP: 0018:ff38d7e3404c3688 EFLAGS: 00000087
RAX: 0000000000000a20 RBX: 0000000000000080 RCX: 0000000000000001
R13: 0000000000000002 R14: 0000000000000000 R15: ff1a4b5e0245c500
FS:  0000000024ae5380(0000) GS:ff1a4b5e1f000000(0000) knlGS:0000000000000000
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: 00007f5f5d604000 CR3: 00000000024ec000 CR4: 0000000000751eb0
PKRU: 55555554
Call Trace:
 <IRQ>
 virtqueue_add_sgs+0xb2/0xd0 [virtio_ring]
 </IRQ>
 <TASK>
 ? __blk_mq_alloc_requests+0x1b1/0x310
 do_syscall_64+0x5d/0x90
RIP: 0033:0x437fbd
Code: b8 ff
RSP: 002b:00007ffd2c82b7a8 EFLAGS: 00000246 ORIG_RAX: 0000000000000000
RAX: ffffffffffffffda RBX: 0000000000000003 RCX: 0000000000437fbd
 </TASK>
Modules linked in: ext4 virtio_ring(OE)
---[ end trace 0000000000000000 ]---
RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]
RAX: 0000000000000a20 RBX: 0000000000000080 RCX: 0000000000000001
Kernel panic - not syncing: Fatal exception
Kernel Offset: 0x14800000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
---[ end Kernel panic - not syncing: Fatal exception ]---";

    #[test]
    fn a_bug_report_is_read_whole() {
        let found = reports(BUG.lines());
        let report = &found[0];
        assert_eq!(report.headlines[0], "kernel BUG at drivers/virtio/virtio_ring.c:550!");
        assert_eq!((report.cpu, report.pid, report.comm.as_deref()), (Some(1), Some(130), Some("scatter")));
        assert_eq!(report.taint.as_deref(), Some("GOE"));
        let rip = report.rip.as_ref().unwrap();
        assert_eq!((rip.symbol.as_str(), rip.offset, rip.size), ("virtqueue_add_split", 0x3d4, 0x6f0));
        assert_eq!(rip.module.as_deref(), Some("virtio_ring"));
        for (name, value) in [
            ("RSP", "0xff38d7e3404c3688"),
            ("EFLAGS", "0x87"),
            ("RAX", "0xa20"),
            ("R15", "0xff1a4b5e0245c500"),
            ("FS", "0x24ae5380"),
            ("GS", "0xff1a4b5e1f000000"),
            ("knlGS", "0x0"),
            ("CS", "0x10"),
            ("CR4", "0x751eb0"),
            ("PKRU", "0x55555554"),
        ] {
            assert_eq!(report.registers.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(report.trace.len(), 3);
        assert_eq!(report.trace[0].stack.as_deref(), Some("IRQ"));
        assert!(!report.trace[1].reliable && report.trace[2].reliable);
        assert_eq!(report.trace[2].stack.as_deref(), Some("TASK"));
        assert_eq!(report.user_rip.as_deref(), Some("0x437fbd"));
        assert_eq!(report.user_registers["RAX"], "0xffffffffffffffda");
        assert_eq!(report.user_registers["ORIG_RAX"], "0x0");
        assert_eq!(panic_reason(BUG.lines()).as_deref(), Some("Fatal exception"));
        assert_eq!(kernel_offset(BUG.lines()), Some(0x1480_0000));
    }

    const ARM64: &str = "\
CPU: All CPU(s) started at EL1
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000
Mem abort info:
  ESR = 0x0000000096000006
Internal error: Oops: 0000000096000006 [#1] SMP
Modules linked in: dying(OE) virtio_blk
CPU: 1 PID: 261 Comm: sh Tainted: G           OE      6.1.0-57-cloud-arm64 #1  Debian 6.1.192-3
Hardware name: linux,dummy-virt (DT)
pstate: 00400005 (nzcv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : check_order+0xc/0x2c [dying]
lr : next_order+0x1c/0x30 [dying]
sp : ffff800008693a80
x29: ffff800008693a80 x28: ffff000002371040 x27: 0000000000000000
x8 : 0101010101010101 x7 : 0000000000008080 x6 : 0000000000008080
Call trace:
 check_order+0xc/0x2c [dying] (P)
 way_module+0x18/0x24 [dying]
Code: 9400010a aa1e03e9 d503201f aa0003e1 (b9400000)
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Oops: Fatal exception
Kernel Offset: 0x509210200000 from 0xffff800008000000";

    #[test]
    fn an_arm64_report_is_read_whole() {
        let found = reports(ARM64.lines());
        let report = &found[0];
        assert!(report.headlines[0].starts_with("Unable to handle kernel NULL"));
        assert_eq!((report.cpu, report.pid), (Some(1), Some(261)));
        let place = |place: &Option<Place>| place.as_ref().map(|p| (p.symbol.clone(), p.offset));
        assert_eq!(place(&report.rip), Some(("check_order".into(), 0xc)));
        assert_eq!(place(&report.lr), Some(("next_order".into(), 0x1c)));
        for (name, value) in [
            ("SP", "0xffff800008693a80"),
            ("X29", "0xffff800008693a80"),
            ("X8", "0x101010101010101"),
            ("X6", "0x8080"),
            ("PSTATE", "0x400005"),
        ] {
            assert_eq!(report.registers.get(name).map(String::as_str), Some(value), "{name}");
        }
        let trace: Vec<&str> = report.trace.iter().map(|frame| frame.place.symbol.as_str()).collect();
        assert_eq!(trace, ["check_order", "way_module"]);
        assert_eq!(kernel_offset(ARM64.lines()), Some(0x5092_1020_0000));
    }

    #[test]
    fn newer_words_are_understood() {
        let text = "\
Oops: invalid opcode: 0000 [#1] SMP NOPTI
CPU: 0 UID: 0 PID: 7 Comm: kworker/0:1 H Kdump: loaded Not tainted 6.12.1+deb12-cloud-amd64 #1  Debian 6.12.1-1
RIP: 0010:f+0x1/0x2 [virtio_ring 0123456789abcdef]";
        let found = reports(text.lines());
        assert_eq!(found[0].comm.as_deref(), Some("kworker/0:1 H"));
        assert_eq!(found[0].taint.as_deref(), Some("Not tainted"));
        assert_eq!(found[0].rip.as_ref().unwrap().module.as_deref(), Some("virtio_ring"));
    }

    #[test]
    fn a_panic_without_an_oops_has_a_trace_and_no_rip() {
        let text = "\
sysrq: Trigger a crash
Kernel panic - not syncing: sysrq triggered crash
CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1  Debian
Call Trace:
 <TASK>
 dump_stack_lvl+0x45/0x5e
 panic+0x118/0x2d8
RIP: 0033:0x4a5fa8
RSP: 002b:00007fff5a1a2f98 EFLAGS: 00000202 ORIG_RAX: 0000000000000001
 </TASK>";
        let found = reports(text.lines());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].headlines, ["Kernel panic - not syncing: sysrq triggered crash"]);
        assert!(found[0].rip.is_none() && found[0].registers.is_empty());
        assert_eq!(found[0].trace.len(), 2);
        assert_eq!(found[0].user_registers["RSP"], "0x7fff5a1a2f98");
    }

    #[test]
    fn rubbish_is_no_report() {
        assert!(reports(["CPUs: 2", "", "RIP: 0010:", "Call Trace:", " f+0x1/0x2"].into_iter()).is_empty());
        assert_eq!(Place::parse("f+0x/0x2"), None);
        assert_eq!(Place::parse(""), None);
    }
}
