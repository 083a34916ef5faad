//! The command line: crash's start-up options and crashlens's own, one table for parsing, help, man
//! page and completion.

use crate::crash_options::CrashOptions;
use crate::limit::{self, Limit};
use clap::{ArgAction, Parser, ValueEnum};
use std::path::PathBuf;

/// Examples.
pub(crate) const AFTER: &str = "\
Examples:
  crashlens vmcore                     open a dump; debug files are found by build id, or done without
  crashlens vmcore vmlinux             with a kernel file, in either order
  crashlens bt vmcore -a               one command, and out
  crashlens -c 'bt -a' -c log vmcore   several
  crashlens --json ps vmcore           as data
  crashlens verdict dmesg.txt vmlinux  of a log alone, where there is no dump
  dmesg | crashlens verdict -          the same, from standard input
  crashlens help bt                    the page of a command, without a dump
  crashlens report vmcore -o death.html   the analysis as a page for a ticket
  crashlens triage /var/crash          many dumps: a row each, and which of them died alike
  crashlens mcp vmcore                 its commands as tools for an assistant (Model Context Protocol)";

/// Exit codes; of several commands, that of the first that failed counts.
pub(crate) const EXIT: [(&str, &str); 6] = [
    ("0", "all went well"),
    ("1", "a command failed, or a file cannot be read"),
    ("2", "wrong usage: an option, a command or arguments that are not known, or no dump"),
    ("3", "verdict found nothing that the dump tells"),
    ("4", "the dump is cut off, could not be read in part, or lost a part of the answer: it is not whole"),
    ("130", "stopped by Ctrl-C"),
];

fn after() -> String {
    let codes: String = EXIT.iter().map(|(code, meaning)| format!("\n  {code:<4} {meaning}")).collect();
    format!("{AFTER}\n\nExit codes (of several commands, that of the first that failed):{codes}")
}

/// Opens a Linux kernel crash dump and says what killed the machine.
#[derive(Parser, Debug, Default)]
#[command(name = "crashlens", version, after_help = after(), args_override_self = true,
    override_usage = "crashlens [OPTIONS] DUMP [VMLINUX] [FILE]...\n       \
    crashlens [OPTIONS] COMMAND DUMP [VMLINUX] [ARGUMENTS]\n       \
    crashlens [OPTIONS] COMMAND DUMP [VMLINUX] -- [ARGUMENTS]\n       \
    crashlens [OPTIONS] report DUMP [VMLINUX] [-o FILE.html]\n       \
    crashlens [OPTIONS] triage DIR...\n       \
    crashlens [OPTIONS] mcp [DUMP] [VMLINUX]")]
pub(crate) struct Cli {
    /// The dump (all files of a split one), or the text of a log where there is none; the kernel's vmlinux or System.map,
    /// module files, packs (.clpack), packages with debug files or source (.deb, .ddeb, .rpm), in any order; packed or not
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Run a command line and exit; may be given again
    #[arg(short = 'c', long = "command", value_name = "LINE")]
    pub(crate) commands: Vec<String>,
    /// Run the lines of a file first; may be given again
    #[arg(short = 'i', value_name = "FILE")]
    pub(crate) input: Vec<PathBuf>,
    /// Stop at the first command of -c, -i or standard input that fails; else all run, and the exit code is that of
    /// the first that failed
    #[arg(long, visible_alias = "fail_fast")]
    pub(crate) fail_fast: bool,
    /// Without banner, prompt of input files, and scrolling
    #[arg(short = 's', long)]
    pub(crate) silent: bool,

    /// Answer each command with one line of JSON
    #[arg(long, conflicts_with = "html")]
    pub(crate) json: bool,
    /// Answer with one HTML page
    #[arg(long)]
    pub(crate) html: bool,
    /// Answer with crash's own text, byte for byte, also where more is known; errors stand in the output
    #[arg(long, conflicts_with_all = ["json", "html"])]
    pub(crate) crash_compat: bool,
    /// The program was called as `crash`
    #[arg(skip)]
    pub(crate) as_crash: bool,
    /// When to use colours
    #[arg(long, visible_alias = "colour", value_enum, value_name = "WHEN", default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(crate) color: ColorWhen,
    /// Never start a pager
    #[arg(long, visible_alias = "no_scroll", visible_alias = "no-scroll")]
    pub(crate) no_pager: bool,
    /// Scroll with the program that $CRASHPAGER names
    #[arg(long = "CRASHPAGER")]
    pub(crate) crashpager: bool,
    /// Keys of the line editor
    #[arg(short = 'e', value_name = "vi|emacs", value_parser = ["vi", "emacs"])]
    pub(crate) edit: Option<String>,
    /// Print numbers in hexadecimal
    #[arg(long, conflicts_with = "dec")]
    pub(crate) hex: bool,
    /// Print numbers in decimal
    #[arg(long)]
    pub(crate) dec: bool,
    /// Above 0: say on standard error how long each command took
    #[arg(short = 'd', long = "debug", value_name = "LEVEL", default_value_t)]
    pub(crate) debug: u32,
    /// Do not run ~/.crashrc and ./.crashrc
    #[arg(long, visible_alias = "no_crashrc")]
    pub(crate) no_crashrc: bool,

    /// Stop after so long (30, 500ms, 2m): what is known by then is the answer, with exit code 4
    #[arg(long, value_name = "TIME", value_parser = limit::time)]
    pub(crate) time_limit: Option<Limit>,
    /// Stop where more memory than this is in use (64M, 1G): what is known by then is the answer, with exit code 4
    #[arg(long, value_name = "SIZE", value_parser = limit::memory)]
    pub(crate) memory_limit: Option<Limit>,
    /// Read only the files that were named and debug files, write only the cache, start no program, open no socket
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(crate) sandbox: SandboxWhen,

    /// Use a vmlinux of another build all the same
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Do not look for debug files that are not named
    #[arg(long)]
    pub(crate) no_search: bool,
    /// Do not ask the debuginfod servers of $DEBUGINFOD_URLS
    #[arg(long)]
    pub(crate) no_debuginfod: bool,
    /// Behave as for a kernel without BTF: structs are inferred from the kernel's data, or read
    /// from vmlinux's DWARF
    #[arg(long)]
    pub(crate) ignore_btf: bool,
    /// Look for debug files of kernel and modules in this folder as well, also in packages in it; may be given again
    #[arg(long = "mod", visible_alias = "debug-dir", value_name = "DIR")]
    pub(crate) debug_dirs: Vec<PathBuf>,
    /// A kernel tree, a tar archive of one (packed or not), a source package (.deb, .rpm, .dsc): where source text is
    /// read; may be given again
    #[arg(long = "src", value_name = "DIR|FILE")]
    pub(crate) source_dirs: Vec<PathBuf>,
    /// How far KASLR moved the kernel, in hex; found by itself where not given
    #[arg(long, value_name = "OFFSET", value_parser = kaslr)]
    pub(crate) kaslr: Option<Kaslr>,
    /// Take VMCOREINFO from this file, not from the dump
    #[arg(long, value_name = "FILE")]
    pub(crate) vmcoreinfo: Option<PathBuf>,
    /// Which kernel to open where memory holds several (a crash kernel was running); `info` lists them
    #[arg(long, value_name = "N")]
    pub(crate) kernel: Option<usize>,
    /// Pages that the dump's filter left out read as zeros
    #[arg(long = "zero_excluded", visible_alias = "zero-excluded")]
    pub(crate) zero_excluded: bool,

    /// Read and show nothing of modules
    #[arg(long = "no_modules", visible_alias = "no-modules")]
    pub(crate) no_modules: bool,
    /// Do not look for the panic task: the first context is the idle task of CPU 0
    #[arg(long = "no_panic", visible_alias = "no-panic")]
    pub(crate) no_panic: bool,
    /// Read and show nothing of slab caches
    #[arg(long = "no_kmem_cache", visible_alias = "no-kmem-cache")]
    pub(crate) no_kmem_cache: bool,
    /// Only log, dis, rd, vtop, ptov, sym, search -p, info, eval, set, help and exit: nothing else is read
    #[arg(long)]
    pub(crate) minimal: bool,
    /// Show or hide what belongs to offline CPUs
    #[arg(long, value_name = "show|hide", value_parser = ["show", "hide"])]
    pub(crate) offline: Option<String>,
    /// Scroll with less
    #[arg(long)]
    pub(crate) less: bool,
    /// Scroll with more
    #[arg(long)]
    pub(crate) more: bool,
    #[command(flatten)]
    pub(crate) crash: CrashOptions,

    /// Print the completion script of a shell
    #[arg(long, value_name = "SHELL", hide = true)]
    pub(crate) generate_completion: Option<clap_complete::Shell>,
    /// Print the man page
    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    pub(crate) generate_man: bool,
}

/// The name of the program that this one answers as.
pub(crate) const CRASH: &str = "crash";

impl Cli {
    /// The program's name, as it was called.
    pub(crate) const fn name(&self) -> &'static str {
        if self.as_crash { CRASH } else { "crashlens" }
    }
}

/// `--kaslr`'s value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kaslr {
    /// Find it.
    Auto,
    /// It is this.
    Offset(u64),
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// When the sandbox is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum SandboxWhen {
    /// Where standard input is no terminal and all commands only read
    #[default]
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

fn kaslr(text: &str) -> Result<Kaslr, String> {
    if text == "auto" {
        return Ok(Kaslr::Auto);
    }
    // crash takes 0x…, and m for megabytes
    let (digits, shift) = match text.strip_suffix(['m', 'M']) {
        Some(digits) => (digits, 20),
        None => (text, 0),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if shift > 0 => digits.parse(),
        None => u64::from_str_radix(digits, 16),
    };
    let value = value.map_err(|_| format!("{text} is neither an offset nor auto"))?;
    value.checked_mul(1 << shift).map(Kaslr::Offset).ok_or_else(|| format!("{text} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_crash_are_understood() {
        let line = "-s -i f --mod d --no_modules --no_panic --no_kmem_cache --zero_excluded --minimal --kaslr auto \
                    --src s -x -S -f -e vi --hex --no_scroll --no_crashrc -d 1 vmlinux vmcore";
        let cli = Cli::try_parse_from(std::iter::once("crashlens").chain(line.split_whitespace())).unwrap();
        assert!(cli.silent && cli.zero_excluded && cli.force && cli.no_pager && cli.hex);
        assert_eq!(cli.files.len(), 2);
        assert!(cli.no_modules && cli.no_panic && cli.no_kmem_cache && cli.minimal);
        assert_eq!(cli.crash.idle().len(), 2);
    }

    /// The page for scripts and the man page say the same.
    #[test]
    fn exit_codes_are_told_alike_everywhere() {
        let scripts = include_str!("../../../docs/SCRIPTS.md");
        let rows: Vec<(&str, &str)> = scripts
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
                Some((cells.next()?, cells.next()?)).filter(|(code, _)| code.parse::<u8>().is_ok())
            })
            .collect();
        let meanings: Vec<String> = EXIT.iter().map(|(code, meaning)| format!("{code}: {meaning}")).collect();
        let told: Vec<String> =
            rows.iter().map(|(code, m)| format!("{code}: {}", m.replace('`', ""))).collect();
        assert_eq!(told, meanings);
        let page = crate::man::page().unwrap();
        for (code, meaning) in EXIT {
            assert!(page.contains(&format!("\\fB{code}\\fR\n{meaning}\n")), "{code}: {page}");
        }
        use shell::Ended;
        let ends = [
            Ended::Good,
            Ended::Failed,
            Ended::Usage,
            Ended::Undetermined,
            Ended::Incomplete,
            Ended::Interrupted,
        ];
        assert_eq!(ends.map(|end| end.code().to_string()), EXIT.map(|(code, _)| code.to_owned()));
    }

    #[test]
    fn kaslr_offsets() {
        assert_eq!(kaslr("auto"), Ok(Kaslr::Auto));
        assert_eq!(kaslr("0x1a000000"), Ok(Kaslr::Offset(0x1a00_0000)));
        assert_eq!(kaslr("1a000000"), Ok(Kaslr::Offset(0x1a00_0000)));
        assert_eq!(kaslr("16m"), Ok(Kaslr::Offset(16 << 20)));
        assert!(kaslr("near").is_err());
    }
}
