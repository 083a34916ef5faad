//! `p`: the value of a C expression.

use crate::show::tasks;
use crate::show::values;
use crate::{CommandError, Cx, Example, Run, after_options};
use base::VirtRead;
use cexpr::{Caveat, ErrorKind, FormatOptions, Letter, Scope, Value, format_value};
use inspect::{SessionScope, UserOnly};
use kernel::Session;
use report::{Cell, Line, Record, Report, Role};

/// `p`.
#[derive(Debug)]
pub(crate) struct Print;

/// What one expression is shown as.
struct Shown {
    lead: String,
    value: Value,
}

/// The arguments of `p`.
#[derive(clap::Args)]
pub(crate) struct PrintArgs {
    /// Integers in hexadecimal
    #[arg(short = 'x')]
    hex: bool,
    /// Integers in decimal
    #[arg(short = 'd')]
    decimal: bool,
    /// Pointers lead into the context's user memory
    #[arg(short = 'u')]
    user: bool,
    /// gdb's format: x d u o t c a s f z; also written p/x
    #[arg(long, value_name = "LETTER")]
    format: Option<String>,
    /// The value alone, and not kept (gdb's output)
    #[arg(long)]
    bare: bool,
    /// No name before the value (gdb's print)
    #[arg(long)]
    plain: bool,
    /// What to print
    #[arg(value_name = "EXPRESSION | SYMBOL[:CPUS]", num_args = 1.., required = true)]
    expression: Vec<String>,
}

impl Run for Print {
    type Args = PrintArgs;
    fn name(&self) -> &'static str {
        "p"
    }
    fn about(&self) -> &'static str {
        "print the value of an expression"
    }
    fn details(&self) -> &'static str {
        "Evaluates a C expression over the dump: variables, members, pointers, casts, arithmetic, enumerators, \
         sizeof, container_of and the like, $1 (values printed before), $rip and locals of the frame chosen with \
         frame. A per-CPU variable takes CPUs behind a colon: runqueues:0. p/x and the other letters of gdb's \
         choose a format. An expression typed without the command is printed as well."
    }
    fn normalise(&self, words: Vec<String>) -> Vec<String> {
        after_options(words, "xdu", "")
    }
    fn examples(&self) -> &'static [Example] {
        const {
            &[
                Example::new("p jiffies", "a variable"),
                Example::new("p init_task.comm", "a member"),
                Example::new("p ((struct task_struct *)init_task.tasks.next)->pid", "with a cast"),
                Example::new("p/x 0xffffffffc023a382-1186", "arithmetic, in hexadecimal"),
                Example::new("p runqueues:0", "a per-CPU variable of a CPU"),
                Example::new("p sizeof(struct page)", "a size"),
                Example::new(
                    "p container_of(init_task.tasks.next, struct task_struct, tasks)->comm",
                    "the object around a member",
                ),
                Example::new("p $rdi", "a register of the chosen frame"),
            ]
        }
    }
    fn claims(&self, cx: &Cx<'_>, words: &[String]) -> bool {
        let Some(s) = cx.session_if_open() else { return false };
        let text = words.join(" ");
        let (name, _) = cpu_spec(&text);
        if !text.starts_with(|c: char| c.is_ascii_alphabetic() || "_(&*$".contains(c)) {
            return false;
        }
        let frame = values::frame(cx, s, &text);
        let scope = values::scope(cx, s, frame.as_ref());
        cexpr::eval(&scope, name).is_ok() || (words.len() == 1 && !s.named(name).is_empty())
    }
    fn run(&self, cx: &mut Cx<'_>, args: &PrintArgs) -> Result<Report, CommandError> {
        let s = cx.session()?;
        let words: Vec<&str> = args.expression.iter().map(String::as_str).collect();
        let text = of_module(&words.join(" "));
        let mut format = values::format(cx.settings, args.hex, args.decimal);
        format.alone = true;
        let letters = args.format.as_deref().unwrap_or_default();
        format.letter = letter(letters)?;
        let user = if args.user {
            let task = tasks::context(cx)?;
            Some(UserOnly(kernel::mm::address_space::user_memory(s, task).map_err(CommandError::failed)?))
        } else {
            None
        };
        let frame = values::frame(cx, s, &text);
        let scope = SessionScope {
            user: user.as_ref().map(|u| u as &dyn VirtRead),
            ..values::scope(cx, s, frame.as_ref())
        };
        let mut report = Report::new("p");
        let bare = args.bare;
        let asked = Asked {
            cx,
            s,
            scope: &scope,
            text: &text,
            led: letters.is_empty() && !bare && !args.plain,
            bare,
        };
        let all = asked.evaluate(&mut report)?;
        let mut printed = Vec::with_capacity(all.len());
        let mut records = Vec::with_capacity(all.len());
        for shown in all {
            let number = cx.settings.history.len() + printed.len() + 1;
            records.push(asked.record(&shown, number, &format)?);
            printed.push(shown.value);
        }
        report.list("values", records);
        if !bare {
            cx.settings.history.extend(printed);
        }
        Ok(report)
    }
}

/// One expression with what it may name.
struct Asked<'a, 'c> {
    cx: &'a Cx<'c>,
    s: &'a Session,
    scope: &'a SessionScope<'a>,
    text: &'a str,
    /// Without a letter: a variable is led by its name.
    led: bool,
    /// The value alone.
    bare: bool,
}

impl Asked<'_, '_> {
    fn evaluate(&self, report: &mut Report) -> Result<Vec<Shown>, CommandError> {
        let (name, spec) = cpu_spec(self.text);
        if let Some(spec) = spec {
            let symbols = self.scope.symbol(name);
            match symbols.first() {
                Some(symbol) if symbol.per_cpu => return self.of_cpus(name, spec),
                Some(_) => report.warning(format!("WARNING: {name} is not percpu; cpuspec ignored.")),
                None => {}
            }
        }
        let expression = if spec.is_some() { name } else { self.text };
        let value =
            inspect::eval(self.scope, expression).map_err(|e| values::wrong_in(self.s, expression, &e))?;
        if let Some(Caveat::PerCpu(name) | Caveat::NoType(name)) = &value.caveat
            && **name == *expression
            && self.scope.symbol(expression).first().is_some_and(|symbol| symbol.per_cpu)
        {
            self.addresses(expression, &value, report);
            return Ok(Vec::new());
        }
        value_checked(&value).map_err(|kind| {
            values::wrong_in(self.s, expression, &kind.at(cexpr::Span { start: 0, end: expression.len() }))
        })?;
        let is_symbol = is_name(expression) && !self.scope.symbol(expression).is_empty();
        let lead = if self.led && is_symbol { format!("{expression} = ") } else { String::new() };
        Ok(vec![Shown { lead, value }])
    }

    fn of_cpus(&self, name: &str, spec: &str) -> Result<Vec<Shown>, CommandError> {
        let cpus = match spec {
            "" => vec![tasks::context_cpu(self.cx)?],
            spec => tasks::cpus(self.s, spec)?,
        };
        let base = inspect::eval(self.scope, name).map_err(|e| values::wrong_in(self.s, name, &e))?;
        if let Some(Caveat::NoType(_)) = &base.caveat {
            // its plain address is nobody's: the cast is of one CPU's
            let cpu = cpus.first().copied().unwrap_or(0);
            let why = format_args!(
                "'{name}' has unknown type; cast it to its declared type, as in *(int *)per_cpu_ptr(&{name}, {cpu})"
            );
            return Err(CommandError::failed(why));
        }
        let Some(at) = base.address() else { return Ok(Vec::new()) };
        cpus.into_iter()
            .map(|cpu| {
                let offset = kernel::sched::cpu::per_cpu_offset(self.s, cpu).map_err(CommandError::failed)?;
                let value = Value::memory(base.ty, at.add(offset));
                Ok(Shown { lead: format!("per_cpu({name}, {cpu}) = "), value })
            })
            .collect()
    }

    /// A per-CPU variable without a CPU: its type and where each CPU has it.
    fn addresses(&self, name: &str, value: &Value, report: &mut Report) {
        report.text("PER-CPU DATA TYPE:");
        report.line(
            Line::new()
                .text("  ")
                .field(
                    "declaration",
                    match value.caveat {
                        Some(Caveat::NoType(_)) => format!("(unknown type) {name};"),
                        _ => format!("{};", self.s.types().declare(value.ty, name)),
                    },
                )
                .role(Role::Type),
        );
        report.text("PER-CPU ADDRESSES:");
        let Some(at) = value.address() else { return };
        let one = |&cpu: &u32| {
            let place =
                kernel::sched::cpu::per_cpu_offset(self.s, cpu).map(|offset| Cell::Addr(at.add(offset).0));
            let place = place.unwrap_or_else(|e| Cell::absent("not known", e.to_string()));
            Record::of(Line::new().text("  [").field("cpu", cpu).text("]: ").field("address", place))
        };
        report.list("per_cpu", self.s.cpus().possible.iter().map(one).collect());
    }

    fn record(&self, shown: &Shown, number: usize, format: &FormatOptions) -> Result<Record, CommandError> {
        if let Some(fault) = unmapped(self.scope, &shown.value) {
            return Err(CommandError::failed(format_args!("{}: {fault}", self.text)));
        }
        let tree = format_value(self.scope, &shown.value, format);
        if let (Some(why), true) = (&tree.absent, tree.children.is_empty()) {
            return Err(CommandError::failed(format_args!("{}: {why}", self.text)));
        }
        let text = tree.to_text_at(0, format.repeats);
        // crash breaks the line before what begins with a brace and goes on in the same line
        let broken = !shown.lead.is_empty() && text.starts_with('{') && !text.starts_with("{\n");
        let gap = if broken { "\n " } else { "" };
        let mut record = Record::new();
        match self.bare {
            true => values::lines_of(&mut record, &text),
            false => {
                values::lines_of(&mut record, &format!("{}${number} = {gap}{text}", shown.lead));
                record.hidden("number", number);
            }
        }
        record.hidden("expression", self.text.to_owned());
        record.hidden("type", self.s.types().name(shown.value.ty));
        if let Some(at) = shown.value.address() {
            record.hidden("address", Cell::Addr(at.0));
        }
        values::add_as(&mut record, "value".to_owned(), &tree);
        Ok(record)
    }
}

/// Why an object's memory is not there, where the page tables map neither its start nor its end.
fn unmapped(scope: &SessionScope<'_>, value: &Value) -> Option<base::Fault> {
    let at = value.address()?;
    let size = scope.types().size_of(value.ty).ok().filter(|&size| size > 0)?;
    let fault = |at: base::VirtAddr| scope.memory().read(at, &mut [0]).err();
    let is_unmapped = |fault: &base::Fault| !matches!(fault.kind, base::FaultKind::Page(_));
    fault(at.add(size - 1)).filter(is_unmapped).and_then(|_| fault(at)).filter(is_unmapped)
}

/// `virtio_ring:vring_interrupt`, as crash's other commands take it, is `virtio_ring::vring_interrupt` to C.
fn of_module(text: &str) -> String {
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(|c: char| c.is_ascii_digit())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let (head, rest) = text.split_at_checked(text.find(':').unwrap_or(0)).unwrap_or(("", text));
    let name = rest.strip_prefix(':').unwrap_or("");
    let symbol = name.split(['.', '-', '[', ' ']).next().unwrap_or("");
    let is_spec = matches!(symbol, "a" | "all") && symbol == name;
    let plain = head.trim_start_matches(['&', '*', '(']);
    if is_word(plain) && is_word(symbol) && !is_spec { format!("{head}::{name}") } else { text.to_owned() }
}

/// A value of which only the address is known has no text.
fn value_checked(value: &Value) -> Result<(), ErrorKind> {
    match &value.caveat {
        Some(Caveat::NoType(name)) => Err(ErrorKind::NoType(name.to_string())),
        Some(Caveat::PerCpu(name)) => Err(ErrorKind::PerCpu(name.to_string())),
        None => Ok(()),
    }
}

/// `runqueues:0-3` to the name and the CPUs.
fn cpu_spec(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, spec))
            if is_name(name)
                && (spec == "a"
                    || spec == "all"
                    || spec.bytes().all(|b| b.is_ascii_digit() || b",-".contains(&b))) =>
        {
            (name, Some(spec))
        }
        _ => (text, None),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn letter(letters: &str) -> Result<Option<Letter>, CommandError> {
    let Some(last) = letters.chars().next_back() else { return Ok(None) };
    Letter::from_char(last).map(Some).ok_or_else(|| {
        CommandError::argument(format_args!("no format {last:?}; there are x d u o t c a s f z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_follow_a_name() {
        assert_eq!(cpu_spec("runqueues:0-3"), ("runqueues", Some("0-3")));
        assert_eq!(cpu_spec("runqueues:a"), ("runqueues", Some("a")));
        assert_eq!(cpu_spec("a ? b : 1"), ("a ? b : 1", None));
        assert_eq!(cpu_spec("virtio_ring:vring_interrupt"), ("virtio_ring:vring_interrupt", None));
    }

    #[test]
    fn a_module_may_stand_before_a_symbol() {
        assert_eq!(of_module("virtio_ring:vring_interrupt"), "virtio_ring::vring_interrupt");
        assert_eq!(of_module("&virtio_ring:x.y"), "&virtio_ring::x.y");
        for same in ["runqueues:a", "runqueues:0", "runqueues:", "a ? b : c", "a::b", "1:x", "x"] {
            assert_eq!(of_module(same), same);
        }
    }

    #[test]
    fn letters_are_gdb_s() {
        assert_eq!(letter("").unwrap(), None);
        assert_eq!(letter("x").unwrap(), Some(Letter::Hex));
        assert!(letter("q").unwrap_err().to_string().contains("no format 'q'"));
    }
}
