//! Conditions as text, in the truth and in a verdict, taken apart far enough to be compared.
//!
//! `a->b.c > 4` is a [`Part`]: two sides and an operator. Sides are compared by their last member's name and by value,
//! never by the whole spelling: `q->used` and `((struct queue *)arg)->used` are the same.

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its left side.
    pub left: String,
    /// One of `==`, `!=`, `<`, `<=`, `>`, `>=`, `&`.
    pub operator: &'static str,
    /// Its right side.
    pub right: String,
}

/// Longest first, where one starts with another. A single `&` stands between blanks: else it takes an address.
const OPERATORS: &[&str] = &["==", "!=", "<=", ">=", " < ", " > ", " & "];

/// Takes a condition apart: `BUG_ON(a > b && c == 0)`.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let text = text.trim();
    let inside = ["BUG_ON(", "WARN_ON(", "WARN_ON_ONCE(", "WARN("]
        .iter()
        .find_map(|macro_name| text.strip_prefix(macro_name)?.strip_suffix(')'))
        .unwrap_or(text);
    inside.split("&&").flat_map(|part| part.split("||")).filter_map(part).collect()
}

fn part(text: &str) -> Option<Part> {
    let text = unwrapped(text);
    let Some((at, operator)) = outermost(text) else {
        // `!p`: `p == 0`; `p`: `p != 0`.
        let (name, operator) = match text.strip_prefix('!') {
            Some(rest) => (rest, "=="),
            None => (text, "!="),
        };
        let named = name.chars().any(|c| c.is_ascii_alphabetic());
        return named.then(|| Part { left: unwrapped(name).to_owned(), operator, right: "0".into() });
    };
    let left = unwrapped(text.get(..at)?);
    let right = unwrapped(text.get(at.checked_add(operator.len())?..)?);
    // `(a & 4) != 0` is `a & 4`.
    if let (true, Some((masked, mask))) = (operator == "!=" && right == "0", left.split_once(" & ")) {
        return Some(Part { left: masked.trim().into(), operator: "&", right: mask.trim().into() });
    }
    Some(Part { left: left.to_owned(), operator: operator.trim(), right: right.to_owned() })
}

/// The first operator that stands in no parentheses.
fn outermost(text: &str) -> Option<(usize, &'static str)> {
    let mut depth = 0_i32;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
        let rest = text.get(at..).filter(|_| depth == 0)?;
        Some((at, *OPERATORS.iter().find(|operator| rest.starts_with(**operator))?))
    })
}

/// Without the blanks and the one pair of parentheses around it.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return text };
    let mut depth = 0_i32;
    for c in inside.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return text;
        }
    }
    inside.trim()
}

impl Part {
    /// The same with its sides exchanged.
    pub(super) fn mirrored(&self) -> Self {
        let operator = match self.operator {
            "<" => ">",
            ">" => "<",
            "<=" => ">=",
            ">=" => "<=",
            same => same,
        };
        Self { left: self.right.clone(), operator, right: self.left.clone() }
    }
}

/// The same operator, where the right sides are these numbers: `> 20` is `>= 21`, `!= 0` of an unsigned is `> 0`.
pub(super) fn same_operator(one: &str, right: i128, other: &str, right_other: i128) -> bool {
    let normal = |operator: &str, right: i128| match operator {
        ">=" => (">".to_owned(), right.saturating_sub(1)),
        "<=" => ("<".to_owned(), right.saturating_add(1)),
        same => (same.to_owned(), right),
    };
    normal(one, right) == normal(other, right_other)
}

/// Whether a comparison holds.
pub(super) fn holds(left: i128, operator: &str, right: i128) -> bool {
    match operator {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => left & right != 0,
    }
}

/// The last name in an expression: `used` of `ring->desc.used`, `slots` of `ring->desc.slots[index]`. None where it has
/// no C name at all: `%eax`, `0x10(%rdi)`, `argument 2`, `*(arg1 + 0x8)`.
pub(super) fn last_name(text: &str) -> Option<String> {
    let numbered = text.match_indices("arg").any(|(at, _)| {
        text.get(at.saturating_add(3)..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    if numbered || text.contains('%') || text.contains("argument") || number(text).is_some() {
        return None;
    }
    // What stands in brackets is no part of the path.
    let mut depth = 0_u32;
    let path: String = text
        .chars()
        .filter(|c| {
            match c {
                '[' => depth = depth.saturating_add(1),
                ']' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    path.split(|c| !word(c))
        .rfind(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
        .map(str::to_owned)
}

/// A number as the truth or a verdict writes it: decimal, `0x…`, sixteen hexadecimal digits (an address), `NULL`,
/// `true`. What follows a blank explains it: `0xdead000000000100 (LIST_POISON1)`.
pub(super) fn number(text: &str) -> Option<i128> {
    let word = text.split_whitespace().next()?.trim_end_matches([',', ';', ':', ')']);
    match word {
        "NULL" | "false" => return Some(0),
        "true" => return Some(1),
        _ => {}
    }
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(i128::from);
    }
    if word.len() == 16
        && let Ok(address) = u64::from_str_radix(word, 16)
    {
        return Some(i128::from(address));
    }
    word.parse().ok()
}

/// The same number, whatever the width and signedness it was printed with.
pub(super) fn same_number(one: i128, other: i128) -> bool {
    let wrapped = |bits: u32| one.rem_euclid(1 << bits) == other.rem_euclid(1 << bits);
    one == other
        || (wrapped(64) && (one < 0 || other < 0))
        || (wrapped(32) && (is_small(one) || is_small(other)))
}

/// Negative, as 32 bits have it.
fn is_small(number: i128) -> bool {
    (-(1 << 31)..0).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(left: &str, operator: &'static str, right: &str) -> Part {
        Part { left: left.into(), operator, right: right.into() }
    }

    #[test]
    fn conditions_come_apart() {
        assert_eq!(parts("BUG_ON(a->b > c.d)"), [part_of("a->b", ">", "c.d")]);
        assert_eq!(parts("x >= 3 && !p->q"), [part_of("x", ">=", "3"), part_of("p->q", "==", "0")]);
        assert_eq!(parts("flags & 0x20"), [part_of("flags", "&", "0x20")]);
        assert_eq!(parts("BUG_ON((flags & 0x20) != 0)"), [part_of("flags", "&", "0x20")]);
        assert_eq!(parts("(u8)(x) & 0x20"), [part_of("(u8)(x)", "&", "0x20")]);
        assert_eq!(parts("a.next == &a"), [part_of("a.next", "==", "&a")]);
        assert_eq!(parts("command->opcode"), [part_of("command->opcode", "!=", "0")]);
        assert_eq!(parts("p->x < 0"), [part_of("p->x", "<", "0")]);
        assert!(parts("").is_empty());
    }

    #[test]
    fn names_are_told_from_registers() {
        let name = |text: &str| last_name(text);
        assert_eq!(name("ring->desc.used").as_deref(), Some("used"));
        assert_eq!(name("((struct ring *)_r)->desc.slots[index]").as_deref(), Some("slots"));
        assert_eq!(name("&channel->pending").as_deref(), Some("pending"));
        for text in ["%eax", "0x10(%rdi)", "argument 2", "*(*(arg1 + 0x28) + 0x10)", "12", "0x20", "NULL"] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_across_widths() {
        assert_eq!(number("ff31784242907240"), Some(0xff31_7842_4290_7240));
        assert_eq!(number("0xdead000000000100 (LIST_POISON1)"), Some(0xdead_0000_0000_0100));
        assert_eq!(number("ff31784242907240, in slab cache x"), Some(0xff31_7842_4290_7240));
        assert_eq!(number("-110"), Some(-110));
        assert_eq!(number("gone"), None);
        assert!(same_number(-110, 0xffff_ff92));
        assert!(same_number(-1, 0xffff_ffff_ffff_ffff));
        assert!(!same_number(5, 6));
        assert!(!same_number(0x1_0000_0005, 5));
    }

    #[test]
    fn operators_are_compared_with_their_constants() {
        assert!(same_operator(">", 20, ">=", 21));
        assert!(!same_operator(">", 20, ">=", 20));
        assert!(same_operator("==", 0, "==", 0));
        assert!(!same_operator("==", 0, "!=", 0));
        assert_eq!(part_of("a", "<", "b").mirrored(), part_of("b", ">", "a"));
        assert!(holds(5, "&", 4) && !holds(5, "<", 5));
    }
}
