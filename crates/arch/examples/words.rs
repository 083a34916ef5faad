//! Words of code as text, to hold the disassembler against another: `words aarch64 ADDRESS < code` shows each 4 bytes of standard
//! input as one line.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "an example")]

use base::VirtAddr;
use std::io::{Read, Write};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "aarch64".to_owned());
    let start = arguments.next().and_then(|at| u64::from_str_radix(&at, 16).ok()).unwrap_or(0);
    let arch = arch::by_name(&name).expect("an architecture");
    let mut decoder = arch.isa().expect("instructions").disassembler();
    let (mut code, mut out) = (Vec::new(), std::io::BufWriter::new(std::io::stdout().lock()));
    std::io::stdin().read_to_end(&mut code).unwrap();
    for (n, word) in (0_u64..).zip(code.chunks_exact(4)) {
        let insn = decoder.one(VirtAddr(start + 4 * n), word).expect("a word");
        writeln!(out, "{}\t{}", insn.text, insn.comment.unwrap_or_default()).unwrap();
    }
}
