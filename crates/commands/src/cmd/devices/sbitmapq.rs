//! `sbitmapq`: a `struct sbitmap_queue`, and what stands in an array behind its bits ([`kernel::block::sbitmap`]).

use crate::engine::dispatch;
use crate::show::problems;
use crate::show::tasks::unknown;
use crate::show::{address, values};
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use debuginfo::types::Space;
use kernel::block::sbitmap::{self, Queue, Sbitmap};
use kernel::{Fetch, KernelError, Session};
use report::{Cell, Line, Record, Report};

/// The command.
#[derive(Debug)]
pub(crate) struct Sbitmapq;

/// The arguments of `sbitmapq`.
#[derive(clap::Args)]
pub(crate) struct SbitmapqArgs {
    /// The struct of which an array has one for each bit, with members where only those are to be shown
    #[arg(short = 's', value_name = "STRUCT[.MEMBER[,MEMBER]]", requires = "array")]
    name: Option<String>,
    /// The address of the array
    #[arg(short = 'a', value_name = "ADDRESS", requires = "name")]
    array: Option<String>,
    /// The array has pointers to the structs
    #[arg(short = 'p', requires = "name")]
    pointers: bool,
    /// Show the contents of the structs
    #[arg(short = 'v', requires = "name")]
    contents: bool,
    /// Numbers in hex
    #[arg(short = 'x', conflicts_with = "decimal")]
    hex: bool,
    /// Numbers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// The address of the sbitmap_queue
    #[arg(value_name = "ADDRESS", required = true)]
    queue: String,
}

impl Run for Sbitmapq {
    type Args = SbitmapqArgs;
    fn name(&self) -> &'static str {
        "sbitmapq"
    }
    fn about(&self) -> &'static str {
        "a queue on a bitmap, and which bits are taken"
    }
    fn details(&self) -> &'static str {
        "Shows a struct sbitmap_queue and the bits that are set in it and not cleared. With -s and -a, what an array has for \
         each of those bits: where it is, and with -v what it holds."
    }
    fn debug_files(&self, _words: &[String]) -> Fetch {
        Fetch::Lacking
    }
    fn examples(&self) -> &'static [Example] {
        const { &[Example::new("sbitmapq -x ffffffff81000000", "a queue by its address")] }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &SbitmapqArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let at = VirtAddr(address::parse(cx, &args.queue)?);
        let queue = sbitmap::queue(s, at).map_err(CommandError::failed)?;
        if let (Some(name), Some(array)) = (&args.name, &args.array) {
            let array = VirtAddr(address::parse(cx, array)?);
            return elements(cx, s, args, name, (array, &queue.bitmap));
        }
        let is_hex = values::format(cx.settings, args.hex, args.decimal).radix == cexpr::Radix::Hex;
        Ok(whole(&queue, is_hex))
    }
}

/// Numbers as the user wants them.
#[derive(Clone, Copy)]
struct Numbers(bool);

impl Numbers {
    fn of(self, n: i64) -> Cell {
        match self.0 {
            // 32 bits, as the members have
            true => Cell::hex(u64::from(n as u32)),
            false => Cell::from(n),
        }
    }
    fn unsigned(self, n: u64) -> Cell {
        if self.0 { Cell::hex(n) } else { Cell::from(n) }
    }
    fn or_why<T>(value: &Result<T, KernelError>, cell: impl Fn(&T) -> Cell) -> Cell {
        value.as_ref().map_or_else(|e| unknown("?", e), cell)
    }
}

fn whole(queue: &Queue, is_hex: bool) -> Report {
    let (mut report, n) = (Report::new("sbitmapq"), Numbers(is_hex));
    let bitmap = &queue.bitmap;
    let mut value = |name: &'static str, cell: Cell| {
        report.line(Line::new().text(format!("{name} = ")).field(name, cell));
    };
    value("depth", n.unsigned(bitmap.depth));
    let is_whole = bitmap.problems.is_empty();
    let count = |count: u64| match bitmap.problems.first() {
        None => n.unsigned(count),
        Some(e) => Cell::at_least(count, e.to_string()),
    };
    value("busy", count(bitmap.busy.len() as u64));
    value("cleared", count(bitmap.cleared));
    value("bits_per_word", n.unsigned(bitmap.bits_per_word));
    value("map_nr", n.unsigned(bitmap.words));
    let hints: Vec<Cell> =
        queue.hints.iter().map(|hint| Numbers::or_why(hint, |hint| n.unsigned(*hint))).collect();
    let shown: Vec<String> = hints.iter().map(ToString::to_string).collect();
    value("alloc_hint", Cell::Shown(Box::new(Cell::Many(hints, ", ")), format!("{{{}}}", shown.join(", "))));
    value("wake_batch", Numbers::or_why(&queue.wake_batch, |v| n.unsigned(*v)));
    value("wake_index", Numbers::or_why(&queue.wake_index, |v| n.of(*v)));
    if let Some(active) = &queue.active {
        value("ws_active", Numbers::or_why(active, |v| n.of(*v)));
    }
    report.text("ws = {");
    let state = |state: &sbitmap::WaitState| {
        let line = Line::new().text("        { .wait_cnt = ");
        let line = line.field("wait_cnt", Numbers::or_why(&state.count, |v| n.of(*v))).text(", .wait = ");
        let word = |active: &bool| Cell::from(if *active { "active" } else { "inactive" });
        Record::of(line.field("wait", Numbers::or_why(&state.is_active, word)).text(" },"))
    };
    report.list("ws", queue.states.iter().map(state).collect());
    report.text("}");
    let mut value = |name: &'static str, cell: Cell| {
        report.line(Line::new().text(format!("{name} = ")).field(name, cell));
    };
    if let Some(round_robin) = &queue.round_robin {
        value("round_robin", Numbers::or_why(round_robin, |on| n.unsigned(u64::from(*on))));
    }
    if let Some(shallow) = &queue.shallow {
        value("min_shallow_depth", Numbers::or_why(shallow, |v| n.unsigned(*v)));
    }
    report.blank();
    if is_whole {
        bits(bitmap).into_iter().for_each(|line| report.text(line));
    }
    report.hidden("busy_bits", Cell::Many(bitmap.busy.iter().map(|bit| Cell::from(*bit)).collect(), " "));
    problems::tell(&mut report, "sbitmapq", "bits", &bitmap.problems);
    report
}

/// The bits that are taken as bytes, sixteen a line in pairs, as debugfs has them.
fn bits(bitmap: &Sbitmap) -> Vec<String> {
    let mut bytes = vec![0_u8; usize::try_from(bitmap.depth.div_ceil(8)).unwrap_or(0)];
    for bit in &bitmap.busy {
        let place = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        if let Some(byte) = bytes.get_mut(place) {
            *byte |= 1 << (bit % 8);
        }
    }
    let pairs = |line: &[u8]| -> String {
        line.chunks(2)
            .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect::<String>())
            .collect::<Vec<_>>()
            .join(" ")
    };
    bytes.chunks(16).enumerate().map(|(n, line)| format!("{:08x}: {}", n * 16, pairs(line))).collect()
}

/// What an array has for each bit that is taken.
fn elements(
    cx: &mut Cx<'_>,
    s: &Session,
    args: &SbitmapqArgs,
    name: &str,
    (array, bitmap): (VirtAddr, &Sbitmap),
) -> Result<Report, CommandError> {
    let of = name.split('.').next().unwrap_or(name);
    let ty = [Space::Struct, Space::Union, Space::Typedef]
        .into_iter()
        .find_map(|space| s.types().first(None, space, of).filter(|ty| s.types().size_of(*ty).is_ok()));
    let ty = ty.ok_or_else(|| CommandError::failed(format_args!("struct {of} is not known")))?;
    let size = s.types().exact_size_of(ty).map_err(CommandError::failed)?;
    let (mut rows, mut lost) = (Vec::new(), bitmap.problems.clone());
    for bit in &bitmap.busy {
        cx.cancel.check()?;
        let at = match args.pointers {
            true => match s.mem().ptr(array.add(bit.wrapping_mul(8))) {
                Ok(at) => at,
                Err(e) => {
                    lost.push(e.into());
                    continue;
                }
            },
            false => array.add(bit.wrapping_mul(size)),
        };
        let line = Line::new().field("bit", *bit);
        if !args.contents {
            rows.push(Record::of(line.text(": ").field("address", Cell::hex(at.0))));
            continue;
        }
        let mut row = Record::of(line.text(" (").field("address", Cell::hex(at.0)).text("):"));
        let mut words = vec!["struct".to_owned(), name.to_owned(), format!("{at:x}")];
        words.extend(args.hex.then(|| "-x".to_owned()));
        words.extend(args.decimal.then(|| "-d".to_owned()));
        match dispatch::run(cx, &words) {
            Ok(answer) => row.record("contents", answer.body),
            Err(e @ CommandError::Cancelled(_)) => return Err(e),
            Err(e) => row.lacking_or_error(e.is_loss(), format!("sbitmapq: {e}")),
        }
        rows.push(row);
    }
    let mut report = Report::new("sbitmapq");
    report.list("elements", rows);
    problems::tell(&mut report, "sbitmapq", "bits", &lost);
    Ok(report)
}
