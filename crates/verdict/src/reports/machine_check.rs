//! Machine checks: what the records in the log say of the hardware, in words.
//!
//! The kernel prints a record of each bank that has an error (`print_mce` in arch/x86/kernel/cpu/mce/core.c):
//! `CPU 1: Machine Check Exception: 5 Bank 4: be00000000000135`, then `RIP`, then `TSC` with `ADDR`, `MISC` where
//! they are not zero, then `PROCESSOR 0:306f2`. The status has flags in its upper half and the architectural error
//! code in its lowest 16 bits; both are in Intel's manual (volume 3, "Machine-check architecture") and in AMD's
//! (volume 2, "Machine check architecture"), which agree but for what is marked here. Model-specific codes are not told.
//!
//! The firmware's records (`cper_estatus_print` in drivers/firmware/efi/cper.c) have a section for each error: `Error 0, type:
//! fatal`, then `section_type: PCIe error` and what is known of the device or of the memory, one fact a line.

use crate::model::{How, Statement};

const MAX_RECORDS: usize = 4;
/// The lines that one record takes, with those of other CPUs among them.
const MAX_LINES: usize = 8;

/// Who made the processor, as `PROCESSOR` numbers it (`X86_VENDOR_INTEL` and so on).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Vendor {
    Intel,
    Amd,
    Other,
}

/// A bank's record.
#[derive(PartialEq, Eq, Debug)]
struct Record<'l> {
    cpu: &'l str,
    bank: &'l str,
    status: u64,
    addr: Option<u64>,
    /// The instruction, where it is the one that met the error.
    ip: Option<&'l str>,
    vendor: Vendor,
}

/// What the log's records say, the last ones of several.
pub(crate) fn told(lines: &[&str]) -> Vec<Statement> {
    let mut said: Vec<String> = Vec::new();
    for text in sections(lines).chain(records(lines).map(|record| words(&record))) {
        if !said.contains(&text) {
            said.push(text);
        }
    }
    let surplus = said.len().saturating_sub(MAX_RECORDS);
    said.drain(..surplus);
    said.into_iter().map(|text| Statement::new(How::Log, text, &["log".into()])).collect()
}

fn records<'l>(lines: &'l [&'l str]) -> impl Iterator<Item = Record<'l>> {
    lines.iter().enumerate().filter_map(|(n, line)| {
        let rest = body(line)?.strip_prefix("CPU ")?;
        let (cpu, rest) = rest.split_once(": Machine Check")?;
        let (bank, status) = rest.split_once(" Bank ")?.1.split_once(": ")?;
        let status = hex(status)?;
        // up to the next record
        let own = lines.get(n + 1..).unwrap_or_default().iter().take(MAX_LINES).filter_map(|l| body(l));
        let own: Vec<&str> = own.take_while(|l| !l.starts_with("CPU ")).collect();
        let after = |word: &str| own.iter().find_map(|l| l.strip_prefix(word));
        let addr = after("TSC ").and_then(|l| hex(l.split_once("ADDR ")?.1));
        let ip = own.iter().find_map(|l| arch::oops_forms().find_map(|form| form.machine_check_place(l)));
        let vendor = match after("PROCESSOR ").and_then(|l| l.split(':').next()) {
            Some("0") => Vendor::Intel,
            Some("2" | "9") => Vendor::Amd,
            _ => Vendor::Other,
        };
        Some(Record { cpu, bank, status, addr, ip, vendor })
    })
}

/// The lines that a section of a firmware's record takes.
const MAX_SECTION: usize = 32;
/// What a section says of where the error is: the kernel's word and ours.
const WHERE: &[(&str, &str)] = &[
    ("device_id: ", "device "),
    ("port_type: ", ""),
    ("error_type: ", ""),
    ("physical_address: ", "physical address "),
    ("DIMM location: ", "DIMM "),
];

/// The uncorrected errors of the firmware's records.
fn sections<'l>(lines: &'l [&'l str]) -> impl Iterator<Item = String> {
    lines.iter().enumerate().filter_map(|(n, line)| {
        let (error, severity) = body(line)?.trim_start().split_once(", type: ")?;
        error.strip_prefix("Error ").filter(|_| ["fatal", "recoverable"].contains(&severity))?;
        let own = lines.get(n + 1..)?.iter().take(MAX_SECTION).filter_map(|l| body(l)).map(str::trim_start);
        let own: Vec<&str> = own.take_while(|l| !l.starts_with("Error ")).collect();
        let kind = own.iter().find_map(|l| l.strip_prefix("section_type: ")).unwrap_or("error");
        let mut out = format!("{severity} {kind}");
        for (theirs, ours) in WHERE {
            if let Some(said) = own.iter().find_map(|l| l.strip_prefix(theirs)) {
                // `4, root port`: the number says nothing more
                let said = said.split_once(", ").map_or(said, |(_, name)| name);
                out = format!("{out}, {ours}{said}");
            }
        }
        Some(out)
    })
}

/// A line of the kernel's about hardware, without its prefixes.
fn body(line: &str) -> Option<&str> {
    Some(line.split_once("[Hardware Error]: ")?.1.trim_end())
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split_whitespace().next()?, 16).ok()
}

fn words(r: &Record<'_>) -> String {
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
    if let Some(ip) = r.ip {
        out = format!("{out}; at {ip}");
    }
    out
}

/// The architectural error code.
fn code(r: &Record<'_>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_s_records_name_the_device() {
        let lines = [
            "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1",
            "{1}[Hardware Error]: event severity: fatal",
            "{1}[Hardware Error]:  Error 0, type: fatal",
            "{1}[Hardware Error]:   section_type: PCIe error",
            "{1}[Hardware Error]:   port_type: 4, root port",
            "{1}[Hardware Error]:   version: 3.0",
            "{1}[Hardware Error]:   device_id: 0000:00:03.0",
            "{1}[Hardware Error]:  Error 1, type: corrected",
            "{1}[Hardware Error]:   section_type: PCIe error",
            "{1}[Hardware Error]:   device_id: 0000:00:04.0",
            "{1}[Hardware Error]:  Error 2, type: recoverable",
            "{1}[Hardware Error]:   section_type: memory error",
            "{1}[Hardware Error]:   physical_address: 0x00000000deadb000",
            "{1}[Hardware Error]:   error_type: 3, multi-bit ECC",
            "Kernel panic - not syncing: Fatal hardware error!",
        ];
        let said: Vec<String> = told(&lines).into_iter().map(|s| s.text).collect();
        assert_eq!(
            said,
            [
                "fatal PCIe error, device 0000:00:03.0, root port",
                "recoverable memory error, multi-bit ECC, physical address 0x00000000deadb000"
            ]
        );
    }

    fn texts(lines: &[&str]) -> Vec<String> {
        told(lines).into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn a_record_in_words() {
        let lines = [
            "mce: [Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 4: be00000000000135",
            "mce: [Hardware Error]: RIP !INEXACT! 10:<ffffffffa6893f8f> {pv_native_safe_halt+0xf/0x20}",
            "mce: [Hardware Error]: TSC feb338a1d ADDR 1234000 MISC 8c ",
            "mce: [Hardware Error]: PROCESSOR 2:60fb1 TIME 1795406034 SOCKET 0 APIC 1 microcode 1000065",
            "mce: [Hardware Error]: Machine check: Processor Context Corrupt",
        ];
        let said = "CPU 1, bank 4, status be00000000000135: data cache error, level 1, data read, uncorrected, \
                    processor context corrupt; address 1234000";
        assert_eq!(texts(&lines), [said]);
    }

    #[test]
    fn several_records_of_one_log() {
        let lines = [
            "[Hardware Error]: CPU 2: Machine Check: 0 Bank 7: cc00010000010091",
            "[Hardware Error]: TSC 0 ADDR 7f0000000 MISC 15020a080200", // no exception, so no RIP
            "[Hardware Error]: PROCESSOR 0:306f2 TIME 1 SOCKET 0 APIC 4 microcode 3d",
            "[Hardware Error]: CPU 0: Machine Check Exception: 7 Bank 1: bd80000000100134",
            "[Hardware Error]: RIP 10:<ffffffff81234567> {copy_page+0x7/0x10}",
            "[Hardware Error]: TSC 5 ADDR 12345680 MISC 86 ",
            "[Hardware Error]: PROCESSOR 0:306f2 TIME 1 SOCKET 0 APIC 0 microcode 3d",
            "[Hardware Error]: CPU 0: Machine Check Exception: 7 Bank 1: bd80000000100134",
            "[Hardware Error]: RIP 10:<ffffffff81234567> {copy_page+0x7/0x10}",
            "[Hardware Error]: TSC 5 ADDR 12345680 MISC 86 ",
            "[Hardware Error]: PROCESSOR 0:306f2 TIME 1 SOCKET 0 APIC 0 microcode 3d",
        ];
        let said = [
            "CPU 2, bank 7, status cc00010000010091: memory controller: read, channel 1, corrected, an earlier \
             error was overwritten; address 7f0000000",
            "CPU 0, bank 1, status bd80000000100134: data cache error, level 0, data read, uncorrected, recovery \
             was possible; address 12345680; at copy_page+0x7/0x10",
        ];
        assert_eq!(texts(&lines), said);
    }

    #[test]
    fn codes_by_vendor() {
        let text = |status: u64, vendor: Vendor| {
            code(&Record { cpu: "0", bank: "0", status, addr: None, ip: None, vendor })
        };
        assert_eq!(
            text(0x0e0f, Vendor::Intel),
            "bus or interconnect error, other access, any request, whoever asked"
        );
        assert_eq!(text(0x1400, Vendor::Intel), "internal timer error: no instruction retired for too long");
        assert_eq!(text(0x0405, Vendor::Amd), "internal error");
        assert_eq!(text(0x0017, Vendor::Amd), "data TLB error, any level");
        assert_eq!(text(0x0093, Vendor::Amd), "error code 0x93");
        assert_eq!(text(0, Vendor::Other), "no error code");
    }

    #[test]
    fn what_is_no_record_says_nothing() {
        let lines = [
            "[Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 4: beyond",
            "[Hardware Error]: Machine check: Processor Context Corrupt",
            "CPU 1: Machine Check Exception: 5 Bank 4: be00000000000135",
            "[Hardware Error]: CPU 1: Machine Check: 0 Bank 3: 0000000000000135",
        ];
        assert_eq!(texts(&lines), ["CPU 1, bank 3, status 135: not valid"]);
    }
}
