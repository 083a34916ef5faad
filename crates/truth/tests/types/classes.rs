//! The differences from crash that are known, and why each is as it is.

use crashlens_truth::compare::{Class, Rule};

/// An answer of crash's that begins so.
fn refused(theirs: &str, start: &str) -> bool {
    theirs.starts_with(start)
}

const NOT_THERE: Class = Class {
    name: "not found by crash",
    why: "gdb finds no type declared within a function; crashlens takes it from BTF, or gives near names",
    rule: Rule::Answer(|theirs, _| theirs.contains(": invalid data structure reference")),
};

const INNER: Class = Class {
    name: "an inner member's offset",
    why: "crash looks a member of an unnamed struct up by its name alone and takes another member's offset",
    rule: Rule::Line(|theirs, ours| {
        let cut = |line: &str| line.split_once(']').map_or(line, |(_, text)| text).trim().to_owned();
        theirs.trim_start().starts_with('[')
            && !ours.trim_start().starts_with('[')
            && cut(theirs) == ours.trim()
    }),
};

/// The declarators of a line, arrays cut: BTF keeps one dimension, and a length of 0 for both `[0]` and `[]`.
fn without_arrays(line: &str) -> String {
    let (mut out, mut depth) = (String::new(), 0);
    for c in line.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

const ARRAYS: Class = Class {
    name: "an array's lengths",
    why: "BTF has neither inner dimensions nor a difference of [0] and []; crashlens shows what the dump has",
    rule: Rule::Line(|theirs, ours| {
        let lengths = |line: &str| -> u64 {
            let numbers =
                line.split('[').skip(1).filter_map(|part| part.split(']').next()?.parse::<u64>().ok());
            numbers.product()
        };
        let text = |line: &str| line.rsplit_once("] ").map_or(line.to_owned(), |(_, text)| text.to_owned());
        without_arrays(theirs) == without_arrays(ours)
            && (lengths(&text(theirs)) == lengths(&text(ours)) || ours.contains("[]"))
    }),
};

/// Of `struct -o`.
pub(super) const LAYOUTS: &[Class] = &[NOT_THERE, INNER, ARRAYS];

/// Everything but `<symbol+offset>`.
fn without_symbols(line: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for c in line.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",")
}

const LABEL: Class = Class {
    name: "a label",
    why: "gdb shows no data symbol without a size; crashlens shows it where the address is its own",
    rule: Rule::Line(|theirs, ours| {
        !theirs.contains('<')
            && ours.contains('<')
            && !ours.contains('+')
            && without_symbols(ours) == without_symbols(theirs)
    }),
};

const NO_SIZES: Class = Class {
    name: "symbols without sizes",
    why: "the dump alone has no sizes of symbols, vmlinux has",
    rule: Rule::Line(|theirs, ours| without_symbols(ours) == without_symbols(theirs)),
};

/// Of `struct` with an address, with vmlinux.
pub(super) const VALUES: &[Class] = &[LABEL];

/// The same from the dump alone.
pub(super) const VALUES_ALONE: &[Class] = &[LABEL, NO_SIZES];

const PARTS: Class = Class {
    name: "parts of functions",
    why: "crash drops .isra.0, .part.0 and .constprop.0 from names, and then knows or mixes up less",
    rule: Rule::Answer(|theirs, _| {
        refused(theirs, "symbol not found:")
            || theirs.starts_with("dis: ") && theirs.contains("duplicate text symbols")
    }),
};

const NAMES: Class = Class {
    name: "names",
    why: "several symbols have one address, or crash drops .isra.0 and the like",
    rule: Rule::Line(|theirs, ours| {
        theirs.contains('<') && ours.contains('<') && without_symbols(theirs) == without_symbols(ours)
    }),
};

const GONE: Class = Class {
    name: "code that is gone",
    why: "the kernel gave the memory of its first functions away; what is there now is no code, and ends elsewhere",
    rule: Rule::Answer(|theirs, ours| {
        [theirs, ours].iter().all(|text| text.lines().all(|line| line.contains("add    %al,(%rax)")))
    }),
};

/// What fills the room between functions.
fn is_padding(line: &str) -> bool {
    ["nop", "int3", "xchg   %ax,%ax"].iter().any(|pad| line.contains(pad))
}

/// `<name+offset>` of a line, without the offset.
fn owner(line: &str) -> &str {
    line.split_once('<').map_or("", |(_, rest)| rest.split(['+', '>']).next().unwrap_or(""))
}

const END: Class = Class {
    name: "where a function ends",
    why: "without its size (in modules, crash's; of labels in assembly) the padding or the next function follows",
    rule: Rule::Answer(|theirs, ours| {
        let (long, short) = if theirs.len() > ours.len() { (theirs, ours) } else { (ours, theirs) };
        let first = owner(long);
        let rest = long.strip_prefix(short).unwrap_or("");
        let mut rest = rest.lines().filter(|line| !line.is_empty()).peekable();
        rest.peek().is_some() && rest.all(|line| is_padding(line) || owner(line) != first)
    }),
};

const LAST: Class = Class {
    name: "the last function of a module",
    why: "no symbol follows it, and crash then prints nothing at all",
    rule: Rule::Answer(|theirs, ours| {
        theirs.is_empty() && !ours.is_empty() && ours.lines().all(|line| line.starts_with("0xffffffffc0"))
    }),
};

pub(super) const MARK: Class = Class {
    name: "ftrace's mark",
    why: "crash looks for ftrace's nop at the first instruction only; kernels with IBT have it behind an endbr64",
    rule: Rule::Line(|theirs, ours| {
        let Some(ours) = ours.strip_suffix(" [FTRACE NOP]").filter(|ours| ours.contains("+4>:")) else {
            return false;
        };
        ours == theirs.trim_end() || without_symbols(ours) == without_symbols(theirs)
    }),
};

/// Of `dis`.
pub(super) const CODE: &[Class] = &[PARTS, GONE, END, LAST, MARK, NAMES, LABEL];

const LENGTH: Class = Class {
    name: "an array's definition",
    why: "gdb takes `extern const char linux_banner[]`, crashlens the definition, which says how long it is",
    rule: Rule::Answer(|theirs, ours| {
        let text = theirs.strip_suffix(ours).filter(|_| ours.starts_with('"'));
        text.is_some_and(|place| place.starts_with("0xffffffff") && place.ends_with("<linux_banner> "))
    }),
};

/// Of `p`.
pub(super) const EXPRESSIONS: &[Class] = &[LENGTH, LABEL];
