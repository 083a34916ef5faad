//! What `panic()` was called with, from the buffer that it formats its message into: for a log that has lost the line.
//!
//! Source: kernel/panic.c. The buffer is static in `panic()` (in `vpanic()` since 6.16, 3f3f4e9f5d6a).

use crate::session::Session;
use base::VirtAddr;
use rustc_hash::FxHashSet;

/// Bytes of the buffer.
const BUFFER: usize = 1024;

/// The message of the panic; `None` where nothing panicked, or the code does not tell where the buffer is.
#[must_use]
pub fn text(s: &Session) -> Option<String> {
    let users = ["vpanic", "panic"].into_iter();
    let all: FxHashSet<VirtAddr> = users.flat_map(|user| s.referenced_by(user)).collect();
    let mut texts = all.into_iter().filter(|at| may_be_buffer(s, *at)).filter_map(|at| message(s, at));
    texts.next().filter(|_| texts.next().is_none())
}

/// True for what the compiler may have called `buf`, `buf.0` or `vpanic.buf`, and, where variables have no names, for what
/// has zeros behind its text.
fn may_be_buffer(s: &Session, at: VirtAddr) -> bool {
    if s.kernel_symbols().names_no_variables() {
        let Ok(bytes) = s.mem().bytes(at, BUFFER) else { return false };
        return bytes.iter().skip_while(|byte| **byte != 0).all(|byte| *byte == 0);
    }
    s.locate(at).is_some_and(|l| l.offset == 0 && l.symbol.name.split('.').any(|part| part == "buf"))
}

/// What the buffer holds, where that is a message.
fn message(s: &Session, at: VirtAddr) -> Option<String> {
    let text = String::from_utf8(s.mem().cstr(at, BUFFER).ok()?).ok()?;
    let text = text.trim_end();
    (!text.is_empty() && text.chars().all(|c| !c.is_control() || c == '\n')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// `panic()` that refers to a format, its buffer and a number.
    fn panicked(name: &str, said: &[u8]) -> Kernel {
        let mut k = Kernel::new();
        let format = k.variable("format", 64);
        k.put(format, b"Kernel panic - not syncing: %s\n");
        let buffer = k.variable(name, 1024);
        k.put(buffer, said);
        let cpu = k.variable("panic_cpu", 8);
        k.word(cpu, 0x31);
        let at = k.function("vpanic", 0x800);
        // mov $variable,%rdi
        let code =
            [format, buffer, cpu].map(|at| [&[0x48, 0xc7, 0xc7][..], &(at as u32).to_le_bytes()].concat());
        k.put(at, &code.concat());
        k.function("after_all", 0x900);
        k
    }

    #[test]
    fn the_message_is_in_the_buffer_of_panic() {
        for name in ["buf", "buf.0", "vpanic.buf"] {
            for alone in [false, true] {
                let mut k = panicked(name, b"a driver gave up\n");
                if alone {
                    k.functions_alone();
                }
                assert_eq!(text(&session(&k)).as_deref(), Some("a driver gave up"), "{name} {alone}");
            }
        }
        for (name, said) in
            [("buf", &b""[..]), ("buf", b"a\x1b[2J"), ("buf", b"\xff\xfe"), ("other", b"text")]
        {
            assert_eq!(text(&session(&panicked(name, said))), None, "{name} {said:?}");
        }
    }
}
