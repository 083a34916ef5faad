//! `rd`: memory.

mod lines;
mod source;

use crate::show::address;
use crate::show::tasks;
use crate::{CommandError, Cx, Example, Layer, Run, Writes, respelled};
use address::Side;
use base::VirtAddr;
use dump::Words;
use kernel::Fetch;
use report::{Line, Report};
use source::Source;

/// `rd`.
#[derive(Debug)]
pub(crate) struct Rd;

/// How values are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Hex,
    Signed,
    Unsigned,
    /// With symbols, and with slab caches: not, by name, by address and name.
    Symbols(Slab),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slab {
    No,
    Name,
    Both,
}

/// What is shown: its shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    /// Bytes of a value.
    size: u64,
    form: Form,
    /// With the text that the bytes spell.
    ascii: bool,
    /// The highest byte first.
    network: bool,
}

/// Most bytes that `-r` writes.
const MAX_FILE: u64 = 64 << 30;

/// The arguments of `rd`.
#[derive(clap::Args)]
pub(crate) struct RdArgs {
    /// The address is physical
    #[arg(short = 'p')]
    physical: bool,
    /// The address is the user's
    #[arg(short = 'u')]
    user: bool,
    /// The address is a Xen machine address
    #[arg(short = 'm')]
    machine: bool,
    /// The address is an offset in the dump file
    #[arg(short = 'f')]
    file: bool,
    /// Signed decimal values
    #[arg(short = 'd')]
    decimal: bool,
    /// Unsigned decimal values
    #[arg(short = 'D')]
    unsigned: bool,
    /// Symbols in place of their addresses
    #[arg(short = 's')]
    symbols: bool,
    /// The same, and slab caches of objects; twice: with the address
    #[arg(short = 'S', action = clap::ArgAction::Count)]
    slab: u8,
    /// Leave out the text
    #[arg(short = 'x')]
    no_text: bool,
    /// Only the text, up to the first byte that is none
    #[arg(short = 'a')]
    ascii: bool,
    /// 16 and 32-bit values in network byte order
    #[arg(short = 'N')]
    network: bool,
    /// The memory before the address, up to it
    #[arg(short = 'R')]
    reverse: bool,
    /// 8-bit values (-8)
    #[arg(long = "8")]
    bits8: bool,
    /// 16-bit values (-16)
    #[arg(long = "16")]
    bits16: bool,
    /// 32-bit values (-32)
    #[arg(long = "32")]
    bits32: bool,
    /// 64-bit values (-64)
    #[arg(long = "64")]
    bits64: bool,
    /// Add this to the address
    #[arg(short = 'o', value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<String>,
    /// Up to this address
    #[arg(short = 'e', value_name = "ADDRESS")]
    end: Option<String>,
    /// Write the raw bytes into a file
    #[arg(short = 'r', value_name = "FILE")]
    raw: Option<String>,
    /// Where
    #[arg(value_name = "ADDRESS | SYMBOL")]
    address: String,
    /// How many values; bytes with -r
    #[arg(value_name = "COUNT")]
    count: Option<String>,
}

impl Run for Rd {
    type Args = RdArgs;
    fn name(&self) -> &'static str {
        "rd"
    }
    fn about(&self) -> &'static str {
        "read memory"
    }
    fn details(&self) -> &'static str {
        "Shows memory from an address, a symbol or an expression on: words of the machine in hex with the text they \
         spell, or as the options say. Addresses of the user's half are those of the context's process. What is \
         not in the dump is marked in its place with the reason."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Never
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        const { &[("-8", "--8"), ("-16", "--16"), ("-32", "--32"), ("-64", "--64")] }
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        respelled(words, self.respell())
    }
    fn writes(&self, args: &RdArgs) -> Writes {
        args.raw.as_deref().map_or(Writes::NOTHING, Writes::file)
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("rd jiffies", "a variable"),
                Example::new("rd -a linux_banner", "a string"),
                Example::new("rd -32 -d jiffies 4", "32-bit values in decimal"),
                Example::new("rd -s init_task+0x10 8", "with symbols"),
                Example::new("rd -p 1000000 16", "physical memory"),
                Example::new("rd -r /tmp/page init_task 4096", "raw bytes into a file"),
            ]
        }
    }
    fn needs(&self, args: &RdArgs) -> Layer {
        match () {
            () if args.symbols || args.slab > 0 || args.user => Layer::Session,
            () if args.physical || args.file => Layer::Image,
            () => Layer::Machine,
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &RdArgs) -> Result<Report, CommandError> {
        let image = cx.image()?;
        if args.machine {
            return Err(CommandError::failed("-m: this is not a dump of a Xen hypervisor"));
        }
        refuse(args, image.words())?;
        let word = args.address.as_str();
        let mut at = address::parse(cx, word)?;
        if let Some(text) = &args.offset {
            at = at.wrapping_add(number(text)?);
        }
        // a return address from a stack may be signed
        if !(args.physical || args.file || args.user) {
            at = cx.machine()?.plain_code(VirtAddr(at)).0;
        }
        let source = if args.physical {
            Source::Physical(image.phys())
        } else if args.file {
            Source::file(image)?
        } else if args.user || address::side(cx.machine()?, VirtAddr(at)) == Side::User {
            Source::user(cx.session()?, tasks::context(cx)?, at)?
        } else {
            Source::Kernel(&*cx.machine()?.mem, image.phys())
        };
        // addresses of a kernel that is read are those of its own machine
        let words = match &source {
            Source::Kernel(..) | Source::User(..) => Words::LITTLE_64,
            Source::Physical(_) | Source::File(..) => image.words(),
        };
        let shape = shape(args, words);
        let ascii_only = args.ascii;
        let size = if ascii_only || args.raw.is_some() { 1 } else { shape.size };
        let mut count = match &args.count {
            Some(text) => Some(number(text)?),
            None => None,
        };
        if let Some(text) = &args.end {
            let end = address::parse(cx, text)?;
            if end <= at {
                return Err(CommandError::argument(format_args!("invalid ending address: {end:x}")));
            }
            count = Some(end.wrapping_sub(at).div_ceil(size));
        }
        if args.reverse {
            let n = count.unwrap_or(1).max(1);
            at = at.wrapping_sub((n - 1).wrapping_mul(size));
        }
        if let Some(path) = &args.raw {
            let Some(count) = count.filter(|&n| n <= MAX_FILE) else {
                return Err(CommandError::argument("-r requires a count of bytes or an ending address"));
            };
            return write(cx, &source, at, count, path);
        }
        if ascii_only {
            return lines::text(cx, &source, at, count);
        }
        lines::values(cx, &source, at, count.unwrap_or(1), shape)
    }
}

fn number(text: &str) -> Result<u64, CommandError> {
    crate::engine::number::value(text, &|_| None).map_err(CommandError::from)
}

/// Bytes of a value: a word of the machine, where no option says another size.
fn size(args: &RdArgs, words: Words) -> u64 {
    let sizes = [(args.bits8, 1), (args.bits16, 2), (args.bits32, 4), (args.bits64, 8)];
    sizes.into_iter().find(|(given, _)| *given).map_or(words.size.into(), |(_, size)| size)
}

/// Options that mean nothing together.
fn refuse(args: &RdArgs, words: Words) -> Result<(), CommandError> {
    let symbols = args.slab > 0 || args.symbols;
    let why = match size(args, words) {
        1 | 2 | 4 if symbols && args.slab > 0 => "-S option is only allowed with 64-bit display",
        1 | 2 | 4 if symbols => "-s option is only allowed with 64-bit display",
        1 | 8 if args.network => "-N option is only allowed with 16-bit and 32-bit display",
        _ => return Ok(()),
    };
    Err(CommandError::argument(why))
}

fn shape(args: &RdArgs, words: Words) -> Shape {
    let size = size(args, words);
    let form = match args.slab {
        _ if args.decimal => Form::Signed,
        _ if args.unsigned => Form::Unsigned,
        0 if !args.symbols => Form::Hex,
        0 => Form::Symbols(Slab::No),
        1 => Form::Symbols(Slab::Name),
        _ => Form::Symbols(Slab::Both),
    };
    Shape { size, form, ascii: form == Form::Hex && !args.no_text, network: args.network || words.big_endian }
}

/// Bytes that are read at once for a file.
const BLOCK: u64 = 1 << 20;

fn write(cx: &Cx<'_>, source: &Source<'_>, at: u64, count: u64, path: &str) -> Result<Report, CommandError> {
    use std::io::Write;
    let failed = |e: std::io::Error| CommandError::failed(format_args!("{path}: {e}"));
    // the memory is read before the file is made, so that a bad address leaves none
    // no address follows the last one
    let space = (u64::MAX - at).saturating_add(1);
    let read = |from: u64| source.read(at.wrapping_add(from), (count.min(space) - from).min(BLOCK) as usize);
    let (mut block, mut hole) = read(0);
    if let (true, Some(hole)) = (block.is_empty(), &hole) {
        return Err(CommandError::failed(hole.why.clone()));
    }
    cx.may_write(path)?;
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let mut done = 0_u64;
    loop {
        cx.cancel.check()?;
        file.write_all(&block).map_err(failed)?;
        done = done.saturating_add(block.len() as u64);
        if let Some(hole) = hole {
            let why = format_args!("{} ({done} of {count} bytes written to {path})", hole.why);
            return Err(CommandError::failed(why).lost_if(hole.why.is_loss()));
        }
        if done >= space && space < count {
            let why = format!("no address follows the last one ({done} bytes written to {path})");
            return Err(CommandError::failed(why));
        }
        if done >= count || block.is_empty() {
            break;
        }
        (block, hole) = read(done);
    }
    let mut report = Report::new("rd");
    let line = Line::new().field("bytes", done).text(" bytes copied from ");
    report.line(line.field("address", report::Cell::hex(at)).text(" to ").field("file", path.to_owned()));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::command::arguments;

    #[test]
    fn options_that_mean_nothing_together_are_refused() {
        let refused = |line: &str| {
            let args = arguments(&Rd, crate::split_words(line)).unwrap();
            refuse(&args, Words::LITTLE_64).err().map(|e| e.to_string())
        };
        assert_eq!(refused("-32 -s 0").unwrap(), "-s option is only allowed with 64-bit display");
        assert_eq!(refused("-8 -SS 0").unwrap(), "-S option is only allowed with 64-bit display");
        assert_eq!(refused("-N 0").unwrap(), "-N option is only allowed with 16-bit and 32-bit display");
        assert_eq!((refused("-16 -N 0"), refused("-SS 0"), refused("-64 -s 0")), (None, None, None));
    }

    #[test]
    fn a_value_is_a_word_of_the_machine() {
        let of = |line: &str, size, big_endian| {
            let args = arguments(&Rd, crate::split_words(line)).unwrap();
            let shape = shape(&args, Words { size, big_endian });
            (shape.size, shape.network)
        };
        assert_eq!((of("0", 8, false), of("0", 4, false)), ((8, false), (4, false)));
        assert_eq!(
            (of("0", 8, true), of("-64 0", 4, true), of("-16 0", 4, true)),
            ((8, true), (8, true), (2, true))
        );
        assert_eq!((of("-16 -N 0", 8, false), of("-8 0", 4, false)), ((2, true), (1, false)));
    }
}
