//! The entry for the fuzzer: any bytes as an expression, a type name and a member path.

use crate::{FormatOptions, MemberPath, Outcome, Scope, eval_or_type, format_value, parse_type_name};
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use debuginfo::types::Types;

/// Memory whose every byte is the low byte of its address, below 1 MiB.
struct Ramp;

impl VirtRead for Ramp {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        for (i, b) in buf.iter_mut().enumerate() {
            let at = at.add(i as u64);
            if at.0 >= 1 << 20 {
                return Err(Fault::new(at, FaultKind::NotMapped("PTE")));
            }
            *b = at.0 as u8;
        }
        Ok(())
    }
}

struct Nothing(Types);

impl Scope for Nothing {
    fn types(&self) -> &Types {
        &self.0
    }
    fn memory(&self) -> &dyn VirtRead {
        &Ramp
    }
    fn register(&self, name: &str) -> Option<Result<u64, String>> {
        (name == "sp").then_some(Ok(0x1000))
    }
}

/// Runs everything that takes text from a user.
pub fn fuzz_expr(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scope = Nothing(Types::new());
    match eval_or_type(&scope, text) {
        Ok(Outcome::Value(value)) => {
            for alone in [false, true] {
                let options = FormatOptions { alone, print_max: 32, ..FormatOptions::default() };
                let _ = format_value(&scope, &value, &options).to_text();
            }
        }
        Ok(Outcome::Type(ty)) => {
            let _ = scope.0.name(ty);
        }
        Err(e) => {
            let _ = e.underline(text);
        }
    }
    let _ = parse_type_name(&scope, text);
    let _ = MemberPath::parse(text).map(|p| p.to_string());
}

#[cfg(test)]
mod tests {
    #[test]
    fn fuzzed_text_never_panics() {
        // a small grammar of pieces, joined by a fixed generator
        let pieces = [
            "(",
            ")",
            "[",
            "]",
            "*",
            "&",
            "u8",
            "struct",
            "x",
            "1",
            "0xffffffffffffffff",
            "-",
            "/",
            "%",
            "<<",
            "sizeof",
            "$sp",
            "$",
            "\"ab\"",
            "'c'",
            ".",
            "->",
            ",",
            "?",
            ":",
            "@",
            "int",
            "long",
            "char",
            " ",
            "1.5",
            "min",
            "BIT",
            "GENMASK",
            "container_of",
            "typeof",
            "~",
            "!",
            "==",
            "9223372036854775808",
        ];
        let mut state = 0x1234_5678_9abc_def0_u64;
        for _ in 0..30_000 {
            let mut text = String::new();
            for _ in 0..(state % 12) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            super::fuzz_expr(text.as_bytes());
        }
    }
}
