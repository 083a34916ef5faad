//! The user's settings: crash's variables, each with its effect or with the reason why it has none.

use crate::{Aliases, Origin};
use base::VirtAddr;
use kernel::Session;
use std::collections::BTreeMap;

/// The program that shows long output.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Scroll {
    /// None.
    Off,
    /// `$PAGER`, or less.
    #[default]
    On,
    /// `less`, whatever `$PAGER` says.
    Less,
    /// `more`.
    More,
    /// What `$CRASHPAGER` says.
    CrashPager,
}

/// What `list` showed last: where it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The file, as debug information names it.
    pub file: String,
    /// The first line.
    pub first: u32,
    /// The last line.
    pub last: u32,
}

/// The keys of the line editor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Edit {
    /// As vi.
    Vi,
    /// As emacs.
    #[default]
    Emacs,
}

/// Where error messages go when a command's output is redirected.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ErrorsTo {
    /// On standard error: a pipe or a file gets the answer alone.
    #[default]
    Default,
    /// Into the pipe or file.
    Redirect,
    /// Only into this file.
    File(String),
}

/// What the user can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Output scrolling.
    pub scroll: Scroll,
    /// 10 or 16: the base of numbers that commands print without `-x` or `-d`.
    pub radix: u8,
    /// The most array elements that an expression or a struct shows; `None` shows all.
    pub print_max: Option<u64>,
    /// One array element a line.
    pub print_array: bool,
    /// 0, or more: each command says on standard error how long it took.
    pub debug: u32,
    /// Answers take what is at hand: no debug file is fetched.
    pub at_hand: bool,
    /// No banner; no prompt while an input file runs.
    pub silent: bool,
    /// The work is bounded in time or memory: what takes long keeps what it knows on the way.
    pub limited: bool,
    /// A session begins: `sys` shows the task that commands are about too.
    pub begins: bool,
    /// Answers are crash's, byte for byte, also where more is known.
    pub crash_compat: bool,
    /// The line editor's keys.
    pub edit: Edit,
    /// Excluded pages read as zeros.
    pub zero_excluded: bool,
    /// A character array ends at its first NUL.
    pub null_stop: bool,
    /// Address in a module whose types are looked in first, with the symbol there.
    pub scope: Option<(VirtAddr, String)>,
    /// Bytes that the kernel's code has behind a `ud2` (`dis -b`): none since 2.6.20.
    pub behind_ud2: u64,
    /// Show what belongs to offline CPUs.
    pub offline: bool,
    /// `kmem` shows objects from their left red zone on.
    pub redzone: bool,
    /// Commands may read and write files that their arguments name; false where others than the user choose the arguments.
    pub files: bool,
    /// Where error messages go.
    pub error: ErrorsTo,
    /// The source lines that `list` showed last.
    pub listed: Option<Listed>,
    /// The kernel file, for `set -v`.
    pub namelist: Option<String>,
    /// The dump, for `set -v`.
    pub dumpfile: Option<String>,
    /// Only the commands that [`Settings::is_minimal`] names.
    pub minimal: bool,
    /// The context that was not chosen is the idle task of CPU 0, not the panic task.
    pub no_panic: bool,
    /// `bt -O`: every word of a stack that could be a return address is a frame.
    pub old_bt: bool,
    /// The task that commands without an operand are about; the panic task where `None`.
    pub context: Option<VirtAddr>,
    /// The frame chosen with `frame`: the task, and the frame's place in its backtrace.
    pub frame: Option<(VirtAddr, usize)>,
    /// The values that `p` printed, oldest first: `$1` is the first.
    pub history: Vec<cexpr::Value>,
    /// The values of `$NAME`, as `set $NAME = ...` and `x` made them.
    pub convenience: BTreeMap<String, cexpr::Value>,
    /// How `x` showed last.
    pub examined: crate::engine::gdb::How,
    /// Where `x` goes on.
    pub examine_next: Option<VirtAddr>,
    /// The aliases.
    pub aliases: Aliases,
    /// The macros.
    pub macros: crate::Macros,
    /// Set by `exit`: the front end ends after this command.
    pub quit: bool,
    /// Set by `verdict` where the dump does not tell: a program started for it alone ends with 3.
    pub undetermined: bool,
    /// What was said of the types' worth.
    pub types_told: Vec<String>,
    /// The kind of file whose lines are being run, where one is.
    pub reading: Option<Origin>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scroll: Scroll::On,
            radix: 10,
            print_max: Some(256),
            print_array: false,
            debug: 0,
            at_hand: false,
            silent: false,
            limited: false,
            begins: false,
            crash_compat: false,
            edit: Edit::default(),
            zero_excluded: false,
            null_stop: false,
            scope: None,
            behind_ud2: 0,
            offline: true,
            redzone: true,
            files: true,
            error: ErrorsTo::Default,
            listed: None,
            namelist: None,
            dumpfile: None,
            minimal: false,
            no_panic: false,
            old_bt: false,
            context: None,
            frame: None,
            history: Vec::new(),
            convenience: BTreeMap::new(),
            examined: crate::engine::gdb::How::default(),
            examine_next: None,
            aliases: Aliases::default(),
            macros: crate::Macros::default(),
            quit: false,
            undetermined: false,
            types_told: Vec::new(),
            reading: None,
        }
    }
}

impl Settings {
    /// Whether numbers are hexadecimal, with a command's `-x` and `-d`.
    pub(crate) const fn is_hex(&self, hex: bool, decimal: bool) -> bool {
        hex || (self.radix == 16 && !decimal)
    }

    /// Whether a command is one of the few of a minimal session (crash's, and those that tell of it or end it).
    #[must_use]
    pub fn is_minimal(command: &str) -> bool {
        let crash = ["log", "dis", "rd", "sym", "eval", "set", "help", "exit"];
        crash.contains(&command) || ["vtop", "ptov", "alias", "quit", "q"].contains(&command)
    }
}

/// What setting a variable does.
#[derive(Clone, Copy)]
pub enum Effect {
    /// Takes a text, or says what is wrong with it.
    Set(fn(&mut Settings, &str) -> Result<(), String>),
    /// The same, where the text is about the dump.
    InDump(fn(&mut Settings, &Session, &str) -> Result<(), String>),
    /// It cannot be set; why.
    Fixed(&'static str),
}

/// One variable of `set`.
#[derive(Clone, Copy)]
pub struct Variable {
    /// Its name, as in crash.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its value as `set -v` shows it.
    pub get: fn(&Settings) -> String,
    /// What setting it does.
    pub effect: Effect,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The text address that types are looked for from first.
fn scope_at(s: &Session, at: VirtAddr, text: &str) -> Result<(VirtAddr, String), String> {
    let symbol = s.locate(at).filter(|_| s.is_text(at));
    let symbol = symbol.ok_or_else(|| format!("{text} is no text address of the kernel or a module"))?;
    if symbol.symbol.module.is_none() {
        return Err(format!(
            "{text} is in the kernel itself, whose types are looked in first anyway; `whatis -a` lists those of one \
             name that differ"
        ));
    }
    Ok((at, symbol.symbol.name.to_owned()))
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(format!("{text} is neither on nor off")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is not a number"))
}

macro_rules! switches {
    ($field:ident) => {
        Effect::Set(|s, text| {
            s.$field = switch(text)?;
            Ok(())
        })
    };
}

/// Every variable, in crash's order.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "scroll",
        takes: "on | off | less | more | CRASHPAGER",
        about: "output scrolling, and the program that does it",
        get: |s| {
            match s.scroll {
                Scroll::Off => "off (none)",
                Scroll::On => "on (PAGER or less)",
                Scroll::Less => "on (less)",
                Scroll::More => "on (more)",
                Scroll::CrashPager => "on (CRASHPAGER)",
            }
            .to_owned()
        },
        effect: Effect::Set(|s, text| {
            s.scroll = match text {
                "on" | "1" => Scroll::On,
                "off" | "0" => Scroll::Off,
                "less" => Scroll::Less,
                "more" => Scroll::More,
                "CRASHPAGER" if std::env::var_os("CRASHPAGER").is_some() => Scroll::CrashPager,
                "CRASHPAGER" => return Err("the environment has no CRASHPAGER".to_owned()),
                _ => return Err(format!("{text} is none of on, off, less, more, CRASHPAGER")),
            };
            Ok(())
        }),
    },
    Variable {
        name: "radix",
        takes: "10 | 16",
        about: "base of the numbers that commands print",
        get: |s| format!("{} ({})", s.radix, if s.radix == 16 { "hex" } else { "decimal" }),
        effect: Effect::Set(|s, text| {
            s.radix = match text {
                "10" | "dec" | "decimal" => 10,
                "16" | "hex" | "hexadecimal" => 16,
                _ => return Err(format!("{text} is neither 10 nor 16")),
            };
            Ok(())
        }),
    },
    Variable {
        name: "refresh",
        takes: "on | off",
        about: "refresh of the task list",
        get: |_| on_off(false),
        effect: Effect::Fixed("a dump does not change: there is nothing to refresh"),
    },
    Variable {
        name: "print_max",
        takes: "NUMBER | unlimited",
        about: "most array elements that are printed",
        get: |s| s.print_max.map_or_else(|| "unlimited".to_owned(), |n| n.to_string()),
        effect: Effect::Set(|s, text| {
            s.print_max = match text {
                "unlimited" => None,
                _ => Some(number(text)?),
            };
            Ok(())
        }),
    },
    Variable {
        name: "print_array",
        takes: "on | off",
        about: "one array element a line",
        get: |s| on_off(s.print_array),
        effect: switches!(print_array),
    },
    Variable {
        name: "console",
        takes: "DEVICE",
        about: "debug console",
        get: |_| "(not assigned)".to_owned(),
        effect: Effect::Fixed("there is no debug console; `set debug 1` writes to standard error"),
    },
    Variable {
        name: "debug",
        takes: "NUMBER",
        about: "above 0, the time of each command goes to standard error",
        get: |s| s.debug.to_string(),
        effect: Effect::Set(|s, text| {
            s.debug = u32::try_from(number(text)?).map_err(|_| format!("{text} is too large"))?;
            Ok(())
        }),
    },
    Variable {
        name: "core",
        takes: "on | off",
        about: "core dump at the next error",
        get: |_| on_off(false),
        effect: Effect::Fixed("errors are values here: no core is dumped"),
    },
    Variable {
        name: "hash",
        takes: "on | off",
        about: "verification of kernel lists",
        get: |_| on_off(true),
        effect: Effect::Fixed("lists are always checked for cycles"),
    },
    Variable {
        name: "silent",
        takes: "on | off",
        about: "no banner, no prompt while an input file runs, no scrolling",
        get: |s| on_off(s.silent),
        effect: Effect::Set(|s, text| {
            s.silent = switch(text)?;
            if s.silent {
                s.scroll = Scroll::Off;
            }
            Ok(())
        }),
    },
    Variable {
        name: "edit",
        takes: "vi | emacs",
        about: "keys of the line editor",
        get: |s| if s.edit == Edit::Vi { "vi" } else { "emacs" }.to_owned(),
        effect: Effect::Set(|s, text| {
            s.edit = match text {
                "vi" => Edit::Vi,
                "emacs" => Edit::Emacs,
                _ => return Err(format!("{text} is neither vi nor emacs")),
            };
            Ok(())
        }),
    },
    Variable {
        name: "namelist",
        takes: "FILE",
        about: "the kernel's file",
        get: |s| s.namelist.clone().unwrap_or_else(|| "(none)".to_owned()),
        effect: Effect::Fixed("the kernel's file is named on the command line"),
    },
    Variable {
        name: "dumpfile",
        takes: "FILE",
        about: "the dump",
        get: |s| s.dumpfile.clone().unwrap_or_else(|| "(none)".to_owned()),
        effect: Effect::Fixed("the dump is named on the command line"),
    },
    Variable {
        name: "unwind",
        takes: "on | off",
        about: "unwinding by tables",
        get: |_| on_off(true),
        effect: Effect::Fixed(
            "the best source for a frame is always used: ORC, DWARF CFI, frame pointers, scan",
        ),
    },
    Variable {
        name: "zero_excluded",
        takes: "on | off",
        about: "pages that the dump's filter left out read as zeros",
        get: |s| on_off(s.zero_excluded),
        effect: switches!(zero_excluded),
    },
    Variable {
        name: "null-stop",
        takes: "on | off",
        about: "character arrays end at their first NUL",
        get: |s| on_off(s.null_stop),
        effect: switches!(null_stop),
    },
    Variable {
        name: "gdb",
        takes: "on | off",
        about: "every line goes to gdb",
        get: |_| on_off(false),
        effect: Effect::Fixed("there is no gdb inside; p, whatis, dis and sym answer gdb's words"),
    },
    Variable {
        name: "scope",
        takes: "TEXT-ADDRESS | SYMBOL | 0",
        about: "the module whose types are looked in first",
        get: |s| match &s.scope {
            Some((at, symbol)) => format!("{at:x} ({symbol})"),
            None => "0 (not set)".to_owned(),
        },
        effect: Effect::InDump(|s, dump, text| {
            s.scope =
                match crate::engine::number::value(text, &|name| crate::engine::symbols::value(dump, name)) {
                    Ok(0) => None,
                    Ok(at) => Some(scope_at(dump, VirtAddr(at), text)?),
                    Err(e) => return Err(e.to_string()),
                };
            Ok(())
        }),
    },
    Variable {
        name: "offline",
        takes: "show | hide",
        about: "output of offline CPUs",
        get: |s| if s.offline { "show" } else { "hide" }.to_owned(),
        effect: Effect::Set(|s, text| {
            s.offline = match text {
                "show" => true,
                "hide" => false,
                _ => return Err(format!("{text} is neither show nor hide")),
            };
            Ok(())
        }),
    },
    Variable {
        name: "redzone",
        takes: "on | off",
        about: "kmem shows slab objects from their left red zone on",
        get: |s| on_off(s.redzone),
        effect: switches!(redzone),
    },
    Variable {
        name: "error",
        takes: "default | redirect | FILE",
        about: "where error messages go",
        get: |s| match &s.error {
            ErrorsTo::Default => "default".to_owned(),
            ErrorsTo::Redirect => "redirect".to_owned(),
            ErrorsTo::File(name) => name.clone(),
        },
        effect: Effect::Set(|s, text| {
            s.error = match text {
                "default" => ErrorsTo::Default,
                "redirect" => ErrorsTo::Redirect,
                name => ErrorsTo::File(name.to_owned()),
            };
            Ok(())
        }),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> &'static Variable {
        VARIABLES.iter().find(|v| v.name == name).unwrap()
    }

    #[test]
    fn what_is_set_is_what_is_got() {
        let table = [
            ("scroll", "off", "off (none)"),
            ("radix", "16", "16 (hex)"),
            ("print_max", "unlimited", "unlimited"),
            ("print_max", "10", "10"),
            ("print_array", "on", "on"),
            ("debug", "3", "3"),
            ("silent", "on", "on"),
            ("edit", "vi", "vi"),
            ("zero_excluded", "on", "on"),
            ("null-stop", "on", "on"),
            ("offline", "hide", "hide"),
            ("redzone", "off", "off"),
            ("error", "/tmp/e", "/tmp/e"),
        ];
        let scope = Settings {
            scope: Some((VirtAddr(0xffff_ffff_c000_1000), "virtqueue_add".into())),
            ..Settings::default()
        };
        assert_eq!((variable("scope").get)(&scope), "ffffffffc0001000 (virtqueue_add)");
        for (name, text, shown) in table {
            let mut settings = Settings::default();
            let Effect::Set(set) = variable(name).effect else { panic!("{name} cannot be set") };
            set(&mut settings, text).unwrap();
            assert_eq!((variable(name).get)(&settings), shown, "{name}");
            if name != "error" {
                assert!(set(&mut settings, "nonsense!").is_err(), "{name} takes nonsense");
            }
        }
    }
}
