//! `rd`: memory.

mod lines;
mod source;

use crate::show::address;
use crate::show::tasks;
use crate::{Command, CommandError, Cx, Example, Layer, respelled};
use address::Side;
use base::VirtAddr;
use clap::{Arg, ArgAction, ArgMatches};
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

impl Command for Rd {
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
    fn args(&self, clap: clap::Command) -> clap::Command {
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).action(ArgAction::SetTrue).help(help);
        clap.arg(flag("physical", "The address is physical").short('p'))
            .arg(flag("user", "The address is the user's").short('u'))
            .arg(flag("machine", "The address is a Xen machine address").short('m'))
            .arg(flag("file", "The address is an offset in the dump file").short('f'))
            .arg(flag("decimal", "Signed decimal values").short('d'))
            .arg(flag("unsigned", "Unsigned decimal values").short('D'))
            .arg(flag("symbols", "Symbols in place of their addresses").short('s'))
            .arg(
                Arg::new("slab")
                    .short('S')
                    .action(ArgAction::Count)
                    .help("The same, and slab caches of objects; twice: with the address"),
            )
            .arg(flag("no-text", "Leave out the text").short('x'))
            .arg(flag("ascii", "Only the text, up to the first byte that is none").short('a'))
            .arg(flag("network", "16 and 32-bit values in network byte order").short('N'))
            .arg(flag("reverse", "The memory before the address, up to it").short('R'))
            .arg(flag("bits8", "8-bit values (-8)").long("8"))
            .arg(flag("bits16", "16-bit values (-16)").long("16"))
            .arg(flag("bits32", "32-bit values (-32)").long("32"))
            .arg(flag("bits64", "64-bit values (-64)").long("64"))
            .arg(
                Arg::new("offset")
                    .short('o')
                    .value_name("OFFSET")
                    .allow_hyphen_values(true)
                    .help("Add this to the address"),
            )
            .arg(Arg::new("end").short('e').value_name("ADDRESS").help("Up to this address"))
            .arg(Arg::new("raw").short('r').value_name("FILE").help("Write the raw bytes into a file"))
            .arg(Arg::new("address").value_name("ADDRESS | SYMBOL").required(true).help("Where"))
            .arg(Arg::new("count").value_name("COUNT").help("How many values; bytes with -r"))
    }
    fn respell(&self) -> &'static [(&'static str, &'static str)] {
        const { &[("-8", "--8"), ("-16", "--16"), ("-32", "--32"), ("-64", "--64")] }
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        respelled(words, self.respell())
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
    fn needs(&self, args: &ArgMatches) -> Layer {
        let on = |name: &str| args.get_flag(name);
        match () {
            () if on("symbols") || args.get_count("slab") > 0 || on("user") => Layer::Session,
            () if on("physical") || on("file") => Layer::Image,
            () => Layer::Machine,
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &ArgMatches) -> Result<Report, CommandError> {
        let image = cx.image("rd")?;
        let on = |name: &str| args.get_flag(name);
        if on("machine") {
            return Err(CommandError::failed("rd", "-m: this is not a dump of a Xen hypervisor"));
        }
        refuse(args, image.words())?;
        let word = args.get_one::<String>("address").map_or("", String::as_str);
        let mut at = address::parse(cx, "rd", word)?;
        if let Some(text) = args.get_one::<String>("offset") {
            at = at.wrapping_add(number(text)?);
        }
        // a return address from a stack may be signed
        if !["physical", "file", "user"].iter().any(|name| on(name)) {
            at = cx.machine("rd")?.signed_code(VirtAddr(at)).map_or(at, |plain| plain.0);
        }
        let source = if on("physical") {
            Source::Physical(image.phys())
        } else if on("file") {
            Source::file(image)?
        } else if on("user") || address::side(cx.machine("rd")?, VirtAddr(at)) == Side::User {
            Source::user(cx.session("rd")?, tasks::context(cx, "rd")?, at)?
        } else {
            Source::Kernel(&*cx.machine("rd")?.mem, image.phys())
        };
        // addresses of a kernel that is read are those of its own machine
        let words = match &source {
            Source::Kernel(..) | Source::User(..) => Words::LITTLE_64,
            Source::Physical(_) | Source::File(..) => image.words(),
        };
        let shape = shape(args, words);
        let ascii_only = on("ascii");
        let size = if ascii_only || args.contains_id("raw") { 1 } else { shape.size };
        let mut count = match args.get_one::<String>("count") {
            Some(text) => Some(number(text)?),
            None => None,
        };
        if let Some(text) = args.get_one::<String>("end") {
            let end = address::parse(cx, "rd", text)?;
            if end <= at {
                return Err(CommandError::argument("rd", format_args!("invalid ending address: {end:x}")));
            }
            count = Some(end.wrapping_sub(at).div_ceil(size));
        }
        if on("reverse") {
            let n = count.unwrap_or(1).max(1);
            at = at.wrapping_sub((n - 1).wrapping_mul(size));
        }
        if let Some(path) = args.get_one::<String>("raw") {
            let Some(count) = count.filter(|&n| n <= MAX_FILE) else {
                return Err(CommandError::argument(
                    "rd",
                    "-r requires a count of bytes or an ending address",
                ));
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
    crate::cmd::program::eval::value(text, &|_| None).map_err(|e| e.of("rd"))
}

/// Bytes of a value: a word of the machine, where no option says another size.
fn size(args: &ArgMatches, words: Words) -> u64 {
    let sizes = [("bits8", 1), ("bits16", 2), ("bits32", 4), ("bits64", 8)];
    sizes.into_iter().find(|(name, _)| args.get_flag(name)).map_or(words.size.into(), |(_, size)| size)
}

/// Options that mean nothing together.
fn refuse(args: &ArgMatches, words: Words) -> Result<(), CommandError> {
    let symbols = args.get_count("slab") > 0 || args.get_flag("symbols");
    let why = match size(args, words) {
        1 | 2 | 4 if symbols && args.get_count("slab") > 0 => "-S option is only allowed with 64-bit display",
        1 | 2 | 4 if symbols => "-s option is only allowed with 64-bit display",
        1 | 8 if args.get_flag("network") => "-N option is only allowed with 16-bit and 32-bit display",
        _ => return Ok(()),
    };
    Err(CommandError::argument("rd", why))
}

fn shape(args: &ArgMatches, words: Words) -> Shape {
    let on = |name: &str| args.get_flag(name);
    let size = size(args, words);
    let form = match args.get_count("slab") {
        _ if on("decimal") => Form::Signed,
        _ if on("unsigned") => Form::Unsigned,
        0 if !on("symbols") => Form::Hex,
        0 => Form::Symbols(Slab::No),
        1 => Form::Symbols(Slab::Name),
        _ => Form::Symbols(Slab::Both),
    };
    Shape {
        size,
        form,
        ascii: form == Form::Hex && !on("no-text"),
        network: on("network") || words.big_endian,
    }
}

/// Bytes that are read at once for a file.
const BLOCK: u64 = 1 << 20;

fn write(cx: &Cx<'_>, source: &Source<'_>, at: u64, count: u64, path: &str) -> Result<Report, CommandError> {
    use std::io::Write;
    let failed = |e: std::io::Error| CommandError::failed("rd", format_args!("{path}: {e}"));
    // the memory is read before the file is made, so that a bad address leaves none
    // no address follows the last one
    let space = (u64::MAX - at).saturating_add(1);
    let read = |from: u64| source.read(at.wrapping_add(from), (count.min(space) - from).min(BLOCK) as usize);
    let (mut block, mut hole) = read(0);
    if let (true, Some(hole)) = (block.is_empty(), &hole) {
        return Err(CommandError::failed("rd", &hole.why));
    }
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let mut done = 0_u64;
    loop {
        cx.cancel.check()?;
        file.write_all(&block).map_err(failed)?;
        done = done.saturating_add(block.len() as u64);
        if let Some(hole) = hole {
            return Err(CommandError::failed(
                "rd",
                format_args!("{} ({done} bytes written to {path})", hole.why),
            ));
        }
        if done >= space && space < count {
            let why = format!("no address follows the last one ({done} bytes written to {path})");
            return Err(CommandError::failed("rd", why));
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

    #[test]
    fn options_that_mean_nothing_together_are_refused() {
        let refused = |line: &str| {
            let args = Rd.parse(crate::split_words(line)).unwrap();
            refuse(&args, Words::LITTLE_64).err().map(|e| e.to_string())
        };
        assert_eq!(refused("-32 -s 0").unwrap(), "rd: -s option is only allowed with 64-bit display");
        assert_eq!(refused("-8 -SS 0").unwrap(), "rd: -S option is only allowed with 64-bit display");
        assert_eq!(refused("-N 0").unwrap(), "rd: -N option is only allowed with 16-bit and 32-bit display");
        assert_eq!((refused("-16 -N 0"), refused("-SS 0"), refused("-64 -s 0")), (None, None, None));
    }

    #[test]
    fn a_value_is_a_word_of_the_machine() {
        let of = |line: &str, size, big_endian| {
            let args = Rd.parse(crate::split_words(line)).unwrap();
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
