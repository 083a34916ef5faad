//! `frame`, `up`, `down`: the frame that expressions are about, its registers, arguments and locals;
//! gdb's `info locals`, `info args`, `info registers` and `info frame` come here too.
//!
//! Frames have the numbers that `bt` gives them. What an exception interrupted has none there: it is
//! chosen by the number of the frame that shows its registers, or by its function's name.

use crate::show::frames::numbers;
use crate::show::place;
use crate::show::registers;
use crate::show::source;
use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run};
use base::VirtAddr;
use cexpr::{FormatOptions, format_value};
use kernel::Session;
use kernel::sched::task::Task;
use kernel::stack::backtrace::Backtrace;
use report::{Cell, Line, Record, Report, Role, SymbolRef};

/// `frame`.
#[derive(Debug)]
pub(crate) struct Frame;

/// `up` and `down`.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is typed.
    pub(crate) word: &'static str,
}

const DETAILS: &str = "\
    The chosen frame is the one whose locals, arguments and registers expressions name: p total_sg, p $rdi. \
    Frames have bt's numbers; the number of a frame with an exception's registers means the code that was \
    interrupted. A function's name chooses its first frame. Choosing another task with set forgets the frame.";

/// The arguments of `frame`.
#[derive(clap::Args)]
pub(crate) struct FrameArgs {
    /// Parameters and local variables (info locals)
    #[arg(long)]
    locals: bool,
    /// Parameters (info args)
    #[arg(long)]
    args: bool,
    /// Registers, or the one that is named (info registers)
    #[arg(long)]
    registers: bool,
    /// The frame; the chosen one without it
    #[arg(value_name = "NUMBER | FUNCTION | REGISTER", num_args = 0..=1)]
    what: Option<String>,
}

impl Run for Frame {
    type Args = FrameArgs;
    fn name(&self) -> &'static str {
        "frame"
    }
    fn about(&self) -> &'static str {
        "choose a frame of the context's stack, and show it"
    }
    fn details(&self) -> &'static str {
        DETAILS
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("frame 4", "choose a frame by bt's number"),
                Example::new("frame schedule", "choose a frame by function"),
                Example::new("frame", "show the chosen frame"),
                Example::new("frame --locals", "its parameters and locals; also info locals"),
                Example::new("frame --registers rdi", "a register of it; also p $rdi"),
            ]
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &FrameArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let Stand { task, bt, here } = stand(cx, s)?;
        let mut report = Report::new("frame");
        let word = args.what.as_deref();
        if args.registers {
            return register_values(&bt, here, word, report);
        }
        let n = match word {
            Some(word) => find(s, &bt, word)?,
            None => here,
        };
        if args.locals || args.args {
            variables(s, &bt, n, args.args, &mut report);
            return Ok(report);
        }
        if word.is_some() {
            cx.settings.frame = Some((task.at, n));
            cx.settings.listed = None;
        }
        report.record("frame", shown(s, &bt, n));
        Ok(report)
    }
}

/// The arguments of `up` and `down`.
#[derive(clap::Args)]
pub(crate) struct StepArgs {
    /// So many frames, 1 at first
    #[arg(value_name = "COUNT", num_args = 0..=1)]
    what: Option<usize>,
}

impl Run for Step {
    type Args = StepArgs;
    fn name(&self) -> &'static str {
        self.word
    }
    fn about(&self) -> &'static str {
        match self.word {
            "up" => "choose the frame that called the chosen one",
            _ => "choose the frame that the chosen one called",
        }
    }
    fn details(&self) -> &'static str {
        DETAILS
    }
    fn examples(&self) -> &'static [Example] {
        match self.word {
            "up" => const { &[Example::new("up", "the caller")] },
            _ => const { &[Example::new("down 2", "two frames inwards")] },
        }
    }
    fn run(&self, cx: &mut Cx<'_>, args: &StepArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let Stand { task, bt, here } = stand(cx, s)?;
        let by = args.what.unwrap_or(1);
        let (to, end) = match self.word {
            "up" => (here.saturating_add(by).min(bt.unwound.frames.len().saturating_sub(1)), "outermost"),
            _ => (here.saturating_sub(by), "innermost"),
        };
        if to == here && by != 0 {
            let is_lost = end == "outermost" && bt.lack(s).is_some();
            let why = format_args!("the {end} frame is chosen already");
            return Err(CommandError::failed(why).lost_if(is_lost));
        }
        cx.settings.frame = Some((task.at, to));
        cx.settings.listed = None;
        let mut report = Report::new("frame");
        report.record("frame", shown(s, &bt, to));
        Ok(report)
    }
}

/// The context's stack, and the frame of it that is chosen.
struct Stand<'s> {
    task: &'s Task,
    bt: Backtrace,
    here: usize,
}

/// The stack with at least one frame, or why there is none.
fn stand<'s>(cx: &Cx<'s>, s: &Session) -> Result<Stand<'s>, CommandError> {
    let task = tasks::context(cx)?;
    let bt = s.backtrace(task);
    let count = bt.unwound.frames.len();
    if count == 0 {
        let why = format_args!("task {} has no frames: {}", task.pid, bt.unwound.stopped);
        return Err(CommandError::failed(why).lost_if(bt.lack(s).is_some()));
    }
    let here = values::chosen_frame(cx).filter(|n| *n < count).unwrap_or(0);
    Ok(Stand { task, bt, here })
}

/// The frame of a number or a function's name.
fn find(s: &Session, bt: &Backtrace, word: &str) -> Result<usize, CommandError> {
    let (numbers, is_lost) = (numbers(bt), bt.lack(s).is_some());
    if let Ok(wanted) = word.parse::<usize>() {
        let at = numbers.iter().position(|n| *n == Some(wanted)).ok_or_else(|| {
            let last = numbers.iter().flatten().max().copied().unwrap_or(0);
            CommandError::failed(format_args!("no frame {wanted}: there are 0 to {last}")).lost_if(is_lost)
        })?;
        // the registers of an exception are those of the code that it interrupted
        let interrupted = bt.unwound.frames.get(at).and_then(|f| f.saved.as_ref()).is_some_and(|r| !r.user);
        return Ok(if interrupted && at + 1 < bt.unwound.frames.len() { at + 1 } else { at });
    }
    let is = |frame: &unwind::Frame| {
        let at = frame.lookup();
        s.locate(at).is_some_and(|l| l.symbol.name == word)
            || s.inline_frames(at).iter().any(|f| *f.function == *word)
    };
    bt.unwound.frames.iter().position(is).ok_or_else(|| {
        CommandError::failed(format_args!("no frame of a function {word}; \"bt\" lists the frames"))
            .lost_if(is_lost)
    })
}

/// `#4  virtqueue_add_split+980 at ffffffffc0566914 [virtio_ring]`, with its source line and arguments.
fn shown(s: &Session, bt: &Backtrace, n: usize) -> Record {
    let mut record = Record::new();
    let Some(frame) = bt.unwound.frames.get(n) else { return record };
    let number = numbers(bt).get(n).copied().flatten();
    let mut line = match number {
        Some(number) => Line::new().text("#").field("number", number).left(3),
        None => Line::new().text("#-  "),
    };
    if frame.how.is_guess() {
        line = line.text("? ");
    }
    record.hidden("how", frame.how.word());
    let at = frame.lookup();
    line = match s.locate(at) {
        Some(l) => line.field(
            "function",
            Cell::from(SymbolRef {
                name: l.symbol.name.to_owned(),
                offset: frame.pc.0.wrapping_sub(l.symbol.addr.0),
                module: l.symbol.module.map(str::to_owned),
                ..SymbolRef::default()
            }),
        ),
        None => line.field("function", tasks::no_symbol("??")),
    };
    record.line(line.text(" at ").field("pc", Cell::Addr(frame.pc.0)).zeros(16));
    let mut shown_text = false;
    for code in s.inline_frames(at) {
        let Some(place) = &code.line else { continue };
        let mut line = Line::new().text("    ").field("file", place.file.to_string()).role(Role::Path);
        line = line.text(": ").field("line", place.line);
        if code.inlined {
            line = line.text("  (inlined ").field("inlined", code.function.to_string()).text(")");
        }
        record.line(line);
        if !shown_text && let Some((text, caveat)) = source::line(s, &place.file, place.line) {
            record.line(text);
            if let Some(caveat) = caveat {
                record.warning(format!("frame: {caveat}"));
            }
        }
        shown_text = true;
    }
    let params = inspect::locals(s, bt, n).into_iter().filter(|l| l.is_param && l.function.is_none());
    let params: Vec<Record> = params.map(|l| variable(s, &l, "    ")).collect();
    if !params.is_empty() {
        record.list("arguments", params);
    }
    record
}

fn variable(s: &Session, l: &inspect::Local, indent: &'static str) -> Record {
    let scope = inspect::SessionScope::new(s);
    let options = FormatOptions::alone();
    let tree = format_value(&scope, &l.value, &options);
    let text = tree.to_text_at(indent.len(), None);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or("");
    let mut line = Line::new().text(indent).field("name", l.name.clone()).text(" = ").cell(first.to_owned());
    if let Some(function) = &l.function {
        line = line.text("   (of inlined ").field("function", function.clone()).text(")");
    }
    let mut record = Record::of(line);
    for more in lines {
        record.text(more.to_owned());
    }
    record.hidden("type", s.types().name(l.value.ty));
    values::add_as(&mut record, "value".to_owned(), &tree);
    record
}

fn variables(s: &Session, bt: &Backtrace, n: usize, args: bool, report: &mut Report) {
    let all: Vec<Record> = inspect::locals(s, bt, n)
        .iter()
        .filter(|l| !args || l.is_param)
        .map(|l| variable(s, l, ""))
        .collect();
    if all.is_empty() {
        let at = bt.unwound.frames.get(n).map_or(VirtAddr(0), unwind::Frame::lookup);
        let why = match place::of(s, at) {
            Some(_) => "this frame has none".to_owned(),
            None => crate::show::source::no_debug(s, at)
                .unwrap_or_else(|| "debug information says nothing of this address".to_owned()),
        };
        report.info(format!("frame: no variables: {why}"));
    }
    report.list("variables", all);
}

fn register_values(
    bt: &Backtrace,
    n: usize,
    word: Option<&str>,
    mut report: Report,
) -> Result<Report, CommandError> {
    let Some(frame) = bt.unwound.frames.get(n) else { return Ok(report) };
    let Some(word) = word else {
        report.record("registers", registers::block(&frame.regs));
        return Ok(report);
    };
    let name = word.trim_start_matches(['$', '%']);
    let set = frame.regs.reg_set();
    let number = set.number(name).ok_or_else(|| CommandError::failed(format_args!("no register {name}")))?;
    let value = match frame.regs.get(number) {
        Some(value) => Cell::hex(value),
        None => Cell::absent(
            "not recovered",
            "no frame between this one and the innermost says where it was saved",
        ),
    };
    report.line(Line::new().field("register", name.to_owned()).left(15).field("value", value));
    Ok(report)
}
