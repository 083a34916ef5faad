//! The differences that are known: what, and why crashlens's answer stands. How narrowly each is told is in the files of
//! their kinds.

use super::{Beside, Hunk, machine, stacks, texts};

/// A difference that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// A few words.
    pub what: &'static str,
    /// Why it is so.
    pub why: &'static str,
    /// The answers it is about, by the beginnings of their lines.
    pub lines: &'static [&'static str],
    /// Takes away what it explains.
    pub explain: Explain,
}

/// Takes away what an entry explains.
pub type Explain = fn(&Beside<'_>, &mut Hunk<'_>);

impl Known {
    /// Whether it is about the answers to a line.
    #[must_use]
    pub fn is_about(&self, line: &str) -> bool {
        self.lines.iter().any(|start| line.starts_with(start))
    }
}

const fn known(
    what: &'static str,
    why: &'static str,
    lines: &'static [&'static str],
    explain: Explain,
) -> Known {
    Known { what, why, lines, explain }
}

const STACKS: &[&str] = &["bt", "foreach"];
const SYMBOLS: &[&str] = &["sym"];

/// All of them, in the order in which they are tried.
pub const KNOWN: &[Known] = &[
    known("no VMCOREINFO", "crash complains; its first answer follows", &["foreach"], stacks::no_vmcoreinfo),
    known(
        "the guest's own stack",
        "crashlens shows what the guest printed in /proc/PID/stack, crash something else",
        &["foreach bt -sx"],
        stacks::guests_own,
    ),
    known(
        "a traced stack",
        "code that was made at run time stands on it, or a tracer has its return addresses; the kernel's own records name \
         them, and crash reads neither. That crashlens's frames are right is held against the guest's /proc/PID/stack",
        &["bt", "foreach"],
        stacks::traced,
    ),
    known(
        "made code",
        "BPF programs and trampolines have their names in /proc/kallsyms; crash does not know them",
        SYMBOLS,
        texts::made_code,
    ),
    known(
        "two names of one address",
        "the kernel's table has both names; crashlens takes the one that the kernel itself prints",
        STACKS,
        stacks::other_name,
    ),
    known(
        "a call that does not return",
        "it is the last instruction of its function, so that the return address is the next function's first: crash \
         drops the frame, or shows the next function",
        STACKS,
        stacks::no_return,
    ),
    known(
        "the delay after the panic",
        "the registers of the dying CPU are in delay_tsc, where panic() waits; crash begins at panic()",
        STACKS,
        stacks::delay,
    ),
    known(
        "the word below saved registers",
        "the return address is in the word that crashlens shows; crash names the registers above it",
        STACKS,
        stacks::word_below,
    ),
    known(
        "the word above one that is left",
        "the note has the registers of a stopped CPU, and the stack the call that did not return; crash takes a word \
         below, which an earlier call left",
        STACKS,
        stacks::word_above,
    ),
    known("stacks of idle tasks", "-n idle asks to leave them out", &["bt -n idle"], stacks::idle),
    known(
        "registers of a CPU that ran",
        "crash shows the note's registers as those of an exception; crashlens has a frame at the same place",
        STACKS,
        stacks::running,
    ),
    known(
        "bogus registers",
        "crash takes words of an IRQ stack for registers and says itself that they may be bogus",
        STACKS,
        stacks::bogus,
    ),
    known(
        "a task in user mode",
        "the note says that the CPU ran a process; crash shows what its last interrupt left on the kernel's stack",
        STACKS,
        stacks::user_mode,
    ),
    known(
        "registers within registers",
        "the NMI's entry copies what it interrupted; crash takes the copies for registers again",
        &["bt -E"],
        stacks::overlapping,
    ),
    known(
        "no registers",
        "crash takes words for registers whose SS is no selector",
        &["bt -E"],
        texts::no_registers,
    ),
    known(
        "more stacks of exceptions",
        "crashlens looks at those of machine checks and VMM communication on every kernel",
        &["bt -E"],
        stacks::more_stacks,
    ),
    known(
        "lines of the source",
        "crashlens shows the line of the call, with the calls inlined there; crash that of the address behind it",
        &["foreach UN bt -l", "bt -l"],
        stacks::source_lines,
    ),
    known(
        "registers of user mode",
        "they are words of the frame that saved them; crash leaves most of them out",
        &["bt -f", "bt -F"],
        texts::words_of_entries,
    ),
    known(
        "names of words",
        "crash also names sections and compilers' labels",
        &["bt -f", "bt -F", "bt -r", "rd"],
        texts::names_of_words,
    ),
    known(
        "text of turned words",
        "crash turns the text with the numbers; crashlens shows it as it is in memory",
        &["rd -N"],
        texts::turned_text,
    ),
    known("the heading of pages", "crash prints it once in a session", &["vtop"], texts::page_heading),
    known(
        "nothing found",
        "crash is silent; crashlens says that the reference is nowhere",
        &["bt -R"],
        texts::nothing_found,
    ),
    known("paths", "crash shows the words of its command line", &["sys"], texts::file_names),
    known(
        "the root cause",
        "the first fatal message of the guest's console is the cause; crash has the final panic only",
        &["sys"],
        texts::root_cause,
    ),
    known(
        "crash's clock",
        "it reads jiffies of another start on 6.12 (minutes of uptime where the guest spoke last after seconds), and drops \
         the parts of a second elsewhere (less uptime than the guest's last message has)",
        &["sys", "ps", "foreach"],
        texts::uptime,
    ),
    known("crash's dates", "the error of its clock", &["log -T"], texts::dates),
    known("meanings of taints", "crashlens adds them below", &["sys -t"], texts::taint_words),
    known(
        "the line of no system call",
        "both lines of the table of lines are for the function's first address",
        &["sys -c"],
        texts::no_system_call,
    ),
    known("no buffers", "crashlens says so, crash says nothing", &["log -s"], texts::nothing_there),
    known(
        "a task that is its own parent",
        "the idle task's parent is itself; crash lists it as its own child",
        &["ps -c"],
        texts::own_child,
    ),
    known(
        "shares of memory",
        "crash counts the holes between the ranges of memory as memory",
        &["ps", "foreach"],
        texts::share_of_memory,
    ),
    known("a zombie's state", "the guest says Z", &["foreach set"], texts::zombie),
    known(
        "panic by SysRq",
        "crash says so only where it looked for the task",
        &["set", "foreach set"],
        texts::by_sysrq,
    ),
    known(
        "symbols left out",
        "crash has the first symbol of all not in its list, and shows none at the start of init's text",
        SYMBOLS,
        texts::left_out,
    ),
    known("absolute symbols", "crash leaves out what is no address", SYMBOLS, texts::absolute),
    known(
        "kinds of modules' symbols",
        "crash knows them from the modules' files only",
        SYMBOLS,
        texts::kinds,
    ),
    known(
        "names of one address",
        "they stand in any order; the kernel itself takes the one that crashlens takes",
        SYMBOLS,
        texts::same_address,
    ),
    known("sections and labels", "symbols of the linker's and the compiler's own", SYMBOLS, texts::labels),
    known(
        "an inlined call at the start",
        "crashlens shows the function's own line, crash the inlined one's",
        &["sym", "sys -c"],
        texts::inlined_first,
    ),
    known(
        "the end of a module",
        "crash names the last byte, crashlens the one behind",
        SYMBOLS,
        texts::last_byte,
    ),
    known(
        "an idle task's time",
        "the kernel does not note when an idle task comes on its CPU; crash takes the time since the machine started",
        &["runq -m"],
        machine::idle_since,
    ),
    known(
        "lines that nothing handles",
        "-u asks for those in use; /proc/interrupts has no others",
        &["irq -u"],
        machine::unhandled,
    ),
    known(
        "wheels of timers",
        "since 6.9 a CPU has three, as the variable's type says; crash knows two, by their old names",
        &["timer"],
        machine::wheels,
    ),
    known(
        "the time of a clock",
        "crash counts ticks: of another start on 6.12 (minutes where the guest spoke last after seconds), without what is less          than one elsewhere; and it centres numbers",
        &["timer -r"],
        machine::clock_now,
    ),
    known(
        "names in a process's memory",
        "/proc/PID/maps shows a shared memory segment's name with its slash",
        &["vm"],
        texts::name_in_maps,
    ),
    known(
        "resident huge pages",
        "the guest's /proc/sysvipc/shm has crashlens's number; crash multiplies it by a huge page's pages once more",
        &["ipcs -M"],
        texts::resident_of_huge_pages,
    ),
    known(
        "the order of a module's parts",
        "crash lists them by their kinds, crashlens by their addresses",
        SYMBOLS,
        texts::order_of_parts,
    ),
];
