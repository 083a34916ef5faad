//! The kinds of death.

/// Declares [`Class`] with the name and the words of each kind in one place.
macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident, $slug:literal, $words:literal;)*) => {
        /// The kind of death.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Class { $($(#[$doc])* $name,)* }

        impl Class {
            /// Every kind.
            pub const ALL: &'static [Class] = &[$(Class::$name,)*];

            /// A stable name, for signatures and JSON.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Class::$name => $slug,)* }
            }

            /// In a few words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Class::$name => $words,)* }
            }
        }
    };
}

classes! {
    /// `BUG()`, `BUG_ON()`.
    Bug, "bug", "kernel BUG: assertion failed";
    /// A page fault near address 0.
    NullPointer, "null-pointer", "NULL pointer dereference";
    /// A page fault at a user address, not by way of the user-access functions.
    UserAddress, "user-address", "access to a user address";
    /// Execution where no code is.
    WildJump, "wild-jump", "jump to where no code is";
    /// A write to a read-only page.
    ReadOnlyWrite, "read-only-write", "write to read-only memory";
    /// Any other page fault in the kernel.
    PageFault, "page-fault", "page fault";
    /// A general protection fault, mostly of a non-canonical address.
    GeneralProtection, "general-protection", "general protection fault";
    /// An invalid instruction that is no BUG.
    InvalidOpcode, "invalid-opcode", "invalid opcode";
    /// A division by zero or with an overflow.
    Divide, "divide-error", "divide error";
    /// Another exception of the processor in the kernel.
    Exception, "exception", "exception of the processor";
    /// A call to a function of another type, or to where no call may lead.
    Cfi, "control-flow", "control flow integrity violated";
    /// A double fault: mostly a stack that cannot be used.
    DoubleFault, "double-fault", "double fault";
    /// The stack's guard page was hit, or its end overwritten.
    StackOverflow, "stack-overflow", "kernel stack overflow";
    /// The stack protector's canary was overwritten.
    StackProtector, "stack-protector", "stack protector: stack frame found overwritten on return";
    /// A warning that was made fatal.
    Warning, "warning", "warning, made fatal";
    /// A list's pointers contradict each other.
    ListCorruption, "list-corruption", "list corruption";
    /// A slab object was found damaged.
    SlabCorruption, "slab-corruption", "slab corruption";
    /// A page or page table in a state that cannot be.
    PageCorruption, "page-corruption", "page corruption";
    /// A reference counter went astray.
    Refcount, "refcount", "reference count error";
    /// KASAN, KFENCE, KCSAN, KMSAN.
    Sanitizer, "sanitizer", "memory error found by a sanitizer";
    /// UBSAN.
    Ubsan, "ubsan", "undefined behaviour found by UBSAN";
    /// `usercopy`, FORTIFY.
    Overflow, "buffer-overflow", "buffer overflow";
    /// A lock used as it must not be: bad magic, unlocked by another, taken twice.
    LockMisuse, "lock-misuse", "misuse of a lock";
    /// A CPU did not schedule for long.
    SoftLockup, "soft-lockup", "soft lockup";
    /// A CPU took no interrupts for long.
    HardLockup, "hard-lockup", "hard lockup";
    /// A task did not run for long.
    HungTask, "hung-task", "hung task";
    /// Tasks or CPUs wait for each other in a circle.
    Deadlock, "deadlock", "deadlock";
    /// RCU waited for long.
    RcuStall, "rcu-stall", "RCU stall";
    /// Sleeping where that is forbidden.
    Atomic, "atomic-sleep", "sleep in atomic context";
    /// Out of memory, and fatal.
    OutOfMemory, "out-of-memory", "out of memory";
    /// The first process ended.
    InitKilled, "init-killed", "init ended";
    /// No root file system, or no first process on it.
    NoRoot, "no-root", "no root file system";
    /// The hardware reported an error.
    MachineCheck, "machine-check", "machine check: a hardware error";
    /// A non-maskable interrupt that the kernel was told to die of.
    Nmi, "nmi", "non-maskable interrupt";
    /// A hardware watchdog was about to bite.
    Watchdog, "watchdog", "hardware watchdog";
    /// `panic()` by other code.
    Panic, "panic", "panic";
    /// Somebody asked for it.
    Sysrq, "sysrq", "crash by request";
    /// No crash: the dump is of a living system.
    Alive, "alive", "no crash: a dump of a living system";
    /// Not known.
    Unknown, "unknown", "undetermined";
}

impl Class {
    /// True where an instruction is to blame, whose registers are worth a look.
    #[must_use]
    pub const fn has_instruction(self) -> bool {
        matches!(
            self,
            Class::Bug
                | Class::NullPointer
                | Class::UserAddress
                | Class::WildJump
                | Class::ReadOnlyWrite
                | Class::PageFault
                | Class::GeneralProtection
                | Class::InvalidOpcode
                | Class::Divide
                | Class::Exception
                | Class::Cfi
                | Class::Warning
                | Class::ListCorruption
                | Class::Overflow
                | Class::Refcount
                | Class::StackOverflow
                | Class::DoubleFault
        )
    }

    /// True for the letter of a taint that an event of this kind sets itself.
    #[must_use]
    pub const fn sets_taint(self, letter: char) -> bool {
        match letter {
            'L' => matches!(self, Class::SoftLockup),
            'W' => matches!(self, Class::Warning | Class::Refcount | Class::Overflow | Class::Atomic),
            'B' => matches!(self, Class::SlabCorruption | Class::PageCorruption | Class::Sanitizer),
            'M' => matches!(self, Class::MachineCheck),
            'D' => self.has_instruction(),
            _ => false,
        }
    }

    /// True where nothing failed and somebody or something waits without end.
    #[must_use]
    pub const fn is_stall(self) -> bool {
        matches!(
            self,
            Class::SoftLockup | Class::HardLockup | Class::HungTask | Class::Deadlock | Class::RcuStall
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_documentation_names_them_all() {
        let page = include_str!("../../../../../docs/VERDICT.md");
        for class in Class::ALL {
            assert!(page.contains(&format!("`{}`", class.slug())), "{class:?}");
        }
    }

    #[test]
    fn names_are_one_word_and_each_its_own() {
        let slugs: HashSet<&str> = Class::ALL.iter().map(|c| c.slug()).collect();
        assert_eq!(slugs.len(), Class::ALL.len());
        assert!(slugs.iter().all(|s| s.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
