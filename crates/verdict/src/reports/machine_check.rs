//! Machine checks: the records in the log.
//!
//! The kernel prints a record of each bank that has an error (`print_mce` in arch/x86/kernel/cpu/mce/core.c):
//! `CPU 1: Machine Check Exception: 5 Bank 4: be00000000000135`, then `RIP`, then `TSC` with `ADDR`, `MISC` where
//! they are not zero, then `PROCESSOR 0:306f2`.
//!
//! The firmware's records (`cper_estatus_print` in drivers/firmware/efi/cper.c) have a section for each error: `Error 0, type:
//! fatal`, then `section_type: PCIe error` and what is known of the device or of the memory, one fact a line.

use crate::model::{ErrorFact, FirmwareFault, MachineCheck, Report, Statement, Vendor};

const MAX_RECORDS: usize = 4;
/// The lines that one record takes, with those of other CPUs among them.
const MAX_LINES: usize = 8;

/// What the log's records say, the last ones of several.
pub(crate) fn statements(lines: &[&str]) -> Vec<Statement> {
    let mut said: Vec<Report> = Vec::new();
    for record in sections(lines).map(Report::Firmware).chain(records(lines).map(Report::MachineCheck)) {
        if !said.contains(&record) {
            said.push(record);
        }
    }
    let surplus = said.len().saturating_sub(MAX_RECORDS);
    said.drain(..surplus);
    said.into_iter().map(Statement::logged).collect()
}

fn records<'l>(lines: &'l [&'l str]) -> impl Iterator<Item = MachineCheck> {
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
        let (cpu, bank, ip) = (cpu.to_owned(), bank.to_owned(), ip.map(str::to_owned));
        Some(MachineCheck { cpu, bank, status, addr, ip, vendor })
    })
}

/// The lines that a section of a firmware's record takes.
const MAX_SECTION: usize = 32;
/// What a section says of where the error is, by the kernel's word for it.
const WHERE: &[(&str, ErrorFact)] = &[
    ("device_id: ", ErrorFact::Device),
    ("port_type: ", ErrorFact::Kind),
    ("error_type: ", ErrorFact::Kind),
    ("physical_address: ", ErrorFact::Address),
    ("DIMM location: ", ErrorFact::Dimm),
];

/// The uncorrected errors of the firmware's records.
fn sections<'l>(lines: &'l [&'l str]) -> impl Iterator<Item = FirmwareFault> {
    lines.iter().enumerate().filter_map(|(n, line)| {
        let (error, severity) = body(line)?.trim_start().split_once(", type: ")?;
        error.strip_prefix("Error ").filter(|_| ["fatal", "recoverable"].contains(&severity))?;
        let own = lines.get(n + 1..)?.iter().take(MAX_SECTION).filter_map(|l| body(l)).map(str::trim_start);
        let own: Vec<&str> = own.take_while(|l| !l.starts_with("Error ")).collect();
        let section = own.iter().find_map(|l| l.strip_prefix("section_type: ")).map(str::to_owned);
        let fact = |(word, fact): &(&str, ErrorFact)| {
            let said = own.iter().find_map(|l| l.strip_prefix(word))?;
            // `4, root port`: the number says nothing more
            Some((*fact, said.split_once(", ").map_or(said, |(_, name)| name).to_owned()))
        };
        let facts = WHERE.iter().filter_map(fact).collect();
        Some(FirmwareFault { severity: severity.to_owned(), section, facts })
    })
}

/// A line of the kernel's about hardware, without its prefixes.
fn body(line: &str) -> Option<&str> {
    Some(line.split_once("[Hardware Error]: ")?.1.trim_end())
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split_whitespace().next()?, 16).ok()
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
        assert_eq!(
            texts(&lines),
            [
                "fatal PCIe error, device 0000:00:03.0, root port",
                "recoverable memory error, multi-bit ECC, physical address 0x00000000deadb000"
            ]
        );
    }

    fn texts(lines: &[&str]) -> Vec<String> {
        statements(lines).into_iter().map(|s| s.text()).collect()
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
            let (cpu, bank) = ("0".to_owned(), "0".to_owned());
            let status = status | 1 << 63;
            let record = MachineCheck { cpu, bank, status, addr: None, ip: None, vendor };
            let said = Report::MachineCheck(record).to_string();
            let (_, said) = said.split_once(": ").unwrap();
            said.strip_suffix(", corrected").unwrap().to_owned()
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
