//! What can go wrong between a question about the kernel and its answer.

use base::{Fault, VirtAddr};
use debuginfo::types::TypeError;
use std::path::PathBuf;

/// An answer that cannot be had, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// Memory that is not in the dump or not mapped.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A type that cannot be read.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// No source of types knows this struct.
    #[error(
        "struct {0} is not known: no types are at hand (BTF in the dump, or a vmlinux with debug information)"
    )]
    NoType(&'static str),
    /// No source of types knows this enumeration, or none of its names that is asked for.
    #[error("enum {0} is not known: no types are at hand that have it (BTF in the dump, or a vmlinux)")]
    NoEnumeration(&'static str),
    /// The struct is known, the member is not, under none of the names it ever had.
    #[error("struct {of} has no member {member} in this kernel")]
    NoMember {
        /// The struct.
        of: &'static str,
        /// The member's names over the years.
        member: &'static str,
    },
    /// The dump has no types, and what could be inferred of the struct lacks the member.
    #[error(
        "member {member} of struct {of} could not be inferred from the dump, which has no types; its vmlinux tells it"
    )]
    NotInferred {
        /// The struct.
        of: &'static str,
        /// The member.
        member: &'static str,
    },
    /// Memory or the other members contradict where the struct's debug information has a member, and memory does not show
    /// its place.
    #[error(
        "where struct {of} has member {member} is not known: its debug information is wrong, as memory or other members show"
    )]
    Contradicted {
        /// The struct.
        of: &'static str,
        /// The member.
        member: &'static str,
    },
    /// A kernel symbol that this answer needs.
    #[error("symbol {0} is not in this kernel's symbol table")]
    NoSymbol(String),
    /// A symbol that this answer needs, where the session's symbols lack some or all.
    #[error("symbol {name} is not known: {why}")]
    SymbolsLack {
        /// The symbol.
        name: String,
        /// What the symbols lack.
        why: String,
        /// True where the dump lost them; false where the kernel's own table has none such.
        is_lost: bool,
    },
    /// What the user asked not to read.
    #[error("{what} were not looked for, as {option} asks")]
    SwitchedOff {
        /// What.
        what: &'static str,
        /// The option that says so.
        option: &'static str,
    },
    /// A kernel list, tree or ring that contradicts itself.
    #[error("{what} at {at:#x} is damaged: {why}")]
    Damaged {
        /// Which structure.
        what: &'static str,
        /// Where.
        at: VirtAddr,
        /// The contradiction.
        why: String,
    },
    /// What a task had and gave up when it died.
    #[error("task {pid} has no {what} any more: it is dead, or about to be")]
    GivenUp {
        /// The task.
        pid: i32,
        /// What.
        what: &'static str,
    },
    /// What this kernel was built without.
    #[error("this kernel was built without {0}")]
    NotBuilt(&'static str),
    /// A CPU that the kernel does not have.
    #[error("cpu {0} is not a possible cpu of this kernel")]
    NoCpu(u32),
    /// The dump or a debug file cannot be used.
    #[error("{0}")]
    Open(String),
    /// Physical memory without a kernel that can be read.
    #[error("{dump}: no kernel was found in this dump: {why}")]
    NoKernel {
        /// The dump.
        dump: String,
        /// What was tried.
        why: String,
    },
    /// A machine whose kernels are not read.
    #[error(
        "{dump}: this dump is of the architecture {machine} ({by}); {}",
        readable(.machine)
    )]
    Machine {
        /// The dump.
        dump: String,
        /// `arm64`, `riscv64`, `s390x` ...
        machine: String,
        /// What says so.
        by: String,
    },
    /// The user stopped the work; the next command may do it again.
    #[error("stopped while {0}")]
    Stopped(&'static str),
    /// A module's file of another build.
    #[error(
        "{path}: {what} {file} is not that of the module in the dump, {dump}: this file belongs to another build"
    )]
    WrongModule {
        /// The file.
        path: PathBuf,
        /// What differs: `build id`, `srcversion`, `the place of symbol`.
        what: &'static str,
        /// Its own.
        file: String,
        /// The dump's.
        dump: String,
    },
    /// A debug file of another build.
    #[error(
        "{path}: build id {file} does not match the dump's kernel ({dump}): this file belongs to another build; \
         give the right one, or --force to use it all the same"
    )]
    WrongBuild {
        /// The file.
        path: PathBuf,
        /// Its id, in hex.
        file: String,
        /// The dump's id, in hex.
        dump: String,
    },
}

/// A result of this crate.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;

/// Why kernels of a machine are not read.
fn readable(machine: &str) -> String {
    if arch::is_left_out(machine) {
        return format!("this build of crashlens has no {machine}");
    }
    let names: Vec<&str> = arch::ARCHES.iter().map(|arch| arch::kernel_name(arch.name())).collect();
    format!("crashlens reads kernels of {} only", names.join(" and "))
}

impl KernelError {
    /// The error for a machine whose kernels are not read; `machine` as `uname -m` prints it.
    pub(crate) fn foreign(dump: String, machine: &str, by: &str) -> Self {
        Self::Machine { dump, machine: arch::kernel_name(machine).to_owned(), by: by.to_owned() }
    }

    /// True where the dump lacks what was to be read, as opposed to what is damaged or leads nowhere.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_missing())
    }

    /// True where the dump lost what was to be read: it is damaged, cut or lacks a page of the kernel. What this kernel does
    /// not have, and what a filter leaves out, is no loss.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_loss(),
            Self::Damaged { .. } => true,
            Self::SymbolsLack { is_lost, .. } => *is_lost,
            _ => false,
        }
    }

    /// True where this kernel has no such symbol or names none of its kind: nothing of it is lost.
    #[must_use]
    pub const fn is_of_the_kernel(&self) -> bool {
        matches!(self, Self::NoSymbol(_) | Self::SymbolsLack { is_lost: false, .. })
    }

    /// True where the types are what lacks: they have no such struct or member, or do not tell where it is.
    #[must_use]
    pub const fn is_untyped(&self) -> bool {
        matches!(self, Self::NoType(_) | Self::NoMember { .. } | Self::NotInferred { .. })
    }

    /// True for what holds for every object of a kind in this kernel, and not for the one that was asked for.
    #[must_use]
    pub const fn is_of_all(&self) -> bool {
        self.is_untyped() || self.is_of_the_kernel()
    }

    /// True where the dump itself is good and only a kernel that can be read is not there.
    #[must_use]
    pub const fn is_without_kernel(&self) -> bool {
        matches!(self, Self::NoKernel { .. } | Self::Machine { .. })
    }
}
