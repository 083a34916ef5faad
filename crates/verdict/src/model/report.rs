//! What reports of the kernel's checkers and of the hardware say.

use super::Met;
use kernel::mm::poison::Poison;

/// A part of a report.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    /// The object that the slab allocator's report names, and what is known of it.
    Object(u64, Option<Box<Met>>),
    /// The guard of a stack's frame, as it was found.
    Guard {
        /// The function whose frame it is.
        function: String,
        /// Where it lies.
        at: u64,
        /// What is there.
        value: u64,
        /// That as a text.
        text: Option<String>,
    },
    /// An object was free already when it was freed.
    FreedTwice(u64),
    /// Bytes of it were overwritten.
    Overwritten {
        /// How many.
        count: u64,
        /// From this offset on.
        offset: u64,
        /// What was found, as the report has it.
        found: String,
        /// What is there in the dump, where that is a text.
        text: Option<String>,
    },
    /// Bytes were overwritten elsewhere.
    OverwrittenAt {
        /// From.
        from: u64,
        /// To.
        to: u64,
        /// What was found, as the report has it.
        found: String,
    },
    /// When it was allocated or freed, as the report has it.
    Track {
        /// Freed.
        freed: bool,
        /// By whom and when.
        by: String,
    },
    /// An object of KFENCE's.
    Guarded {
        /// Its number, with the words before it.
        name: String,
        /// Its size.
        size: String,
        /// Its slab cache.
        cache: String,
    },
    /// Who allocated or freed it, as the report has it, and the functions that led there.
    Stack(String, Vec<String>),
    /// Why a page is bad, as the report has it.
    BadPage(String),
    /// The page's counts, and the poison that its mapping is.
    Page(String, Option<Poison>),
    /// Its flags.
    PageFlags(String),
    /// What KASAN says of the address, as it has it, without its first words.
    Address(String),
    /// The variables of the frame that a bad address lies in, as the report has them: `[32, 40) 'data'`.
    Variables(Vec<String>),
    /// Who allocated or freed the object, by KASAN's report.
    By {
        /// Freed.
        freed: bool,
        /// The function.
        function: String,
        /// Its module.
        module: Option<String>,
        /// The task, as the report has it.
        task: String,
    },
    /// The functions that have most of a stack that ran over.
    StackUsers(Vec<StackUser>),
    /// A record of a machine check.
    MachineCheck(MachineCheck),
    /// An error in a record of the firmware's.
    Firmware(FirmwareFault),
}

/// A function that has much of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackUser {
    /// Its name.
    pub function: String,
    /// Its module.
    pub module: Option<String>,
    /// How many calls of it there are.
    pub calls: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// An error in a record of the firmware's, in its words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirmwareFault {
    /// `fatal`, `recoverable`
    pub severity: String,
    /// What its section is about: `PCIe error`.
    pub section: Option<String>,
    /// What else it says.
    pub facts: Vec<(ErrorFact, String)>,
}

/// What a fact of the firmware's is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorFact {
    /// The device.
    Device,
    /// The kind of port or error.
    Kind,
    /// The physical address.
    Address,
    /// The memory module.
    Dimm,
}

/// Who made the processor, as `PROCESSOR` numbers it (`X86_VENDOR_INTEL` and so on).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD, Hygon.
    Amd,
    /// Another.
    Other,
}

/// A bank's record of a machine check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineCheck {
    /// The CPU.
    pub cpu: String,
    /// The bank.
    pub bank: String,
    /// `MCi_STATUS`
    pub status: u64,
    /// `MCi_ADDR`
    pub addr: Option<u64>,
    /// The instruction, where it is the one that met the error.
    pub ip: Option<String>,
    /// Who made the processor.
    pub vendor: Vendor,
}
