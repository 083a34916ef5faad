//! The system call that a task was in, with its arguments in words.
//!
//! Sources: arch/x86/entry (`struct pt_regs` at the top of the stack), include/uapi (flags). The arguments are in the
//! registers of user mode whichever way the kernel hands them on: as `struct pt_regs` since 4.17, one by one before.

use crate::model::{Argument, Opened, Syscall};
use crate::victim::frames::Victim;
use arch::Regs;
use base::{VirtAddr, VirtRead};
use kernel::fs::file;
use kernel::machine::syscalls::{self, Parameter};
use kernel::sched::task::Task;
use kernel::stack::stacks::task_stack;
use kernel::{KernelError, Session};

/// Longest text that is shown of an argument.
const MAX_TEXT: usize = 64;

/// The system call that the task was in.
pub(crate) fn of(s: &Session, victim: &Victim<'_>, task: &Task) -> Option<Syscall> {
    let regs = user_registers(s, victim, task)?;
    let number = regs.entry_code().filter(|n| *n <= 4096)?;
    let function = syscalls::table(s).ok()?.get(usize::try_from(number).ok()?).copied()?;
    let symbol = s.locate(function)?.symbol.name;
    let name = ["__x64_sys_", "__se_sys_", "sys_", "SyS_"]
        .iter()
        .find_map(|p| symbol.strip_prefix(p))
        .unwrap_or(symbol)
        .to_owned();
    Some(call(s, task, name, &regs))
}

/// Why the system call that the task was in is not told, where the kernel's table of them cannot be read.
pub(crate) fn lack(s: &Session, victim: &Victim<'_>, task: &Task) -> Option<KernelError> {
    let number = user_registers(s, victim, task)?.entry_code().filter(|n| *n <= 4096)?;
    let all = match syscalls::table(s) {
        Ok(all) => all,
        Err(e) => return Some(e),
    };
    if all.len() as u64 > number {
        return None;
    }
    // the table ends early where the names of its functions are lost
    let e = s.no_symbol("sys_call_table");
    e.is_loss().then_some(e)
}

/// The registers that the task came into the kernel with, where it came by a system call: an exception's
/// `orig_rax` is an error code, or -1.
fn user_registers(s: &Session, victim: &Victim<'_>, task: &Task) -> Option<Regs> {
    let last = victim.frames().last()?;
    let entry = s.locate(last.lookup()).map(|l| l.symbol.name.to_owned()).unwrap_or_default();
    let is_call =
        ["SYSCALL", "system_call", "syscall", "sysenter", "SYSENTER", "stub_", "tracesys", "sysret"]
            .iter()
            .any(|part| entry.contains(part));
    if let Some(saved) = last.saved.as_ref().filter(|r| r.user) {
        // until 4.x only the registers of the arguments were saved: they are what is needed
        return (is_call && saved.regs.reg_set().roles.syscall.iter().all(|n| saved.regs.get(*n).is_some()))
            .then_some(saved.regs);
    }
    if !is_call || task.is_kernel() == Some(true) {
        return None;
    }
    // the frames end in entry code without having said where it saved them: the top of the stack
    let top = task_stack(s, task).end.sub(s.arch().frames.saved_layout().size);
    let regs = s.arch().frames.saved(s.mem(), top).ok()?;
    let user =
        s.arch().frames.is_user(&regs) && regs.pc().is_some_and(|pc| !s.arch().is_kernel(VirtAddr(pc)));
    user.then_some(regs)
}

fn call(s: &Session, task: &Task, name: String, regs: &Regs) -> Syscall {
    let registers = regs.reg_set().roles.syscall;
    let params = syscalls::parameters(s, &name);
    let lost = params.as_ref().err().filter(|e| e.is_loss()).map(ToString::to_string);
    let Ok(Some(params)) = params else {
        let values = registers.iter().filter_map(|r| regs.get(*r)).collect();
        return Syscall { name, arguments: Err(values), files: Vec::new(), lost };
    };
    let user = kernel::mm::address_space::user_memory(s, task).ok();
    let value_of = |wanted: &str| {
        let n = params.iter().position(|param| param.name == wanted)?;
        regs.get(*registers.get(n)?)
    };
    let mut arguments = Vec::new();
    let mut fds = Vec::new();
    for (Parameter { ty, name: param }, &register) in params.iter().zip(registers) {
        let Some(value) = regs.get(register) else { continue };
        let memory = user.as_ref().map(|u| u as &dyn VirtRead);
        let count = value_of("count").or_else(|| value_of("len"));
        arguments.push(Argument { name: param.clone(), value: shown(memory, ty, param, value, count) });
        if is_fd(ty, param) {
            fds.push((param.as_str(), value & 0xffff_ffff));
        }
    }
    let several = fds.len() > 1;
    let (mut files, mut lost) = (Vec::new(), None);
    for (param, fd) in fds {
        match file::open_file(s, task, fd) {
            Ok((path, flags)) => {
                let flags = flags.iter().map(ToString::to_string).collect();
                files.push(Opened { parameter: several.then(|| param.to_owned()), path, flags });
            }
            // a descriptor may well be of no file
            Err(e @ KernelError::Fault(_)) if e.is_loss() => lost = lost.or_else(|| Some(e.to_string())),
            Err(_) => {}
        }
    }
    Syscall { name, arguments: Ok(arguments), files, lost }
}

/// A descriptor of an open file.
fn is_fd(ty: &str, param: &str) -> bool {
    !ty.contains('*')
        && (matches!(
            param,
            "fd" | "fildes" | "fd_in" | "fd_out" | "in_fd" | "out_fd" | "epfd" | "fdin" | "fdout"
        ) || (param.starts_with("fd") && param.len() <= 4))
}

/// An argument in words.
fn shown(user: Option<&dyn VirtRead>, ty: &str, param: &str, value: u64, count: Option<u64>) -> String {
    if ty.contains("char") && ty.contains('*') && value != 0 {
        // `const char *buf` of write() is as long as its count; other texts end in NUL
        let is_buffer = matches!(param, "buf" | "ubuf" | "addr" | "vec" | "value");
        let max = if is_buffer { count.unwrap_or(0).min(MAX_TEXT as u64) as usize } else { 256 };
        if (!is_buffer || ty.contains("const"))
            && let Some(text) = user.and_then(|u| text_at(u, value, max, is_buffer))
        {
            let more = if is_buffer && count.is_some_and(|c| c > MAX_TEXT as u64) { "…" } else { "" };
            return format!("\"{text}\"{more}");
        }
        return format!("{value:#x}");
    }
    if ty.contains('*') {
        return if value == 0 { "NULL".into() } else { format!("{value:#x}") };
    }
    let low = value & 0xffff_ffff;
    match param {
        "dfd" | "olddfd" | "newdfd" | "dirfd" if low as u32 == (-100_i32).cast_unsigned() => {
            "AT_FDCWD".into()
        }
        "flags" | "mode" | "prot" | "cmd" | "request" | "op" | "clone_flags" | "magic1" => {
            format!("{value:#x}")
        }
        _ if ty == "int" || ty == "pid_t" => (low as u32).cast_signed().to_string(),
        _ if (ty == "long" || ty == "off_t" || ty == "loff_t") && value.cast_signed().is_negative() => {
            value.cast_signed().to_string()
        }
        _ if ty.contains("unsigned") || ty.contains("size_t") => size_text(value),
        _ => value.to_string(),
    }
}

/// Printable text in a process's memory.
fn text_at(user: &dyn VirtRead, at: u64, max: usize, is_buffer: bool) -> Option<String> {
    let raw =
        if is_buffer { user.bytes(VirtAddr(at), max).ok()? } else { user.cstr(VirtAddr(at), max).ok()? };
    let printable = |b: &u8| b.is_ascii_graphic() || matches!(b, b' ' | b'\n' | b'\t') || *b >= 0x80;
    if raw.is_empty() || !raw.iter().all(printable) {
        return None;
    }
    let text = String::from_utf8(raw).ok()?;
    Some(text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('"', "\\\""))
}

/// `1048576 (1 MiB)`
fn size_text(value: u64) -> String {
    match value {
        v if v >= 1 << 40 => format!("{v:#x}"),
        v if v >= 1 << 20 && v.is_multiple_of(1 << 20) => format!("{v} ({} MiB)", v >> 20),
        v if v >= 1 << 12 && v.is_multiple_of(1 << 10) => format!("{v} ({} KiB)", v >> 10),
        v => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct User(Vec<u8>);

    impl VirtRead for User {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), base::Fault> {
            let from = at.0 as usize;
            match self.0.get(from..from + buf.len()) {
                Some(bytes) => buf.copy_from_slice(bytes),
                None => buf.fill(0),
            }
            Ok(())
        }
    }

    #[test]
    fn arguments_in_words() {
        let mut memory = b"\0/etc/passwd\0c\n\0\x01".to_vec();
        memory.resize(1024, 1);
        let user = User(memory);
        let of = |ty, param, value, count| shown(Some(&user), ty, param, value, count);
        assert_eq!(of("const char *", "filename", 1, None), "\"/etc/passwd\"");
        assert_eq!(of("const char *", "buf", 13, Some(2)), "\"c\\n\"");
        assert_eq!(of("const char *", "filename", 16, None), "0x10", "no text");
        assert_eq!(of("char *", "buf", 1, Some(8)), "0x1", "what is read into says nothing");
        assert_eq!(of("struct iovec *", "vec", 0, None), "NULL");
        assert_eq!(of("int", "dfd", 0xffff_ff9c, None), "AT_FDCWD");
        assert_eq!(of("int", "fd", 0xffff_ffff_0000_0003, None), "3");
        assert_eq!(of("int", "pid", 0xffff_ffff, None), "-1");
        assert_eq!(of("size_t", "count", 1 << 20, None), "1048576 (1 MiB)");
        assert_eq!(of("unsigned long", "addr", 0x7f00_0000_0000, None), "0x7f0000000000");
        assert_eq!(of("int", "flags", 0x8000, None), "0x8000");
        assert_eq!(shown(None, "const char *", "filename", 1, None), "0x1", "the memory is not in the dump");
    }

    #[test]
    fn descriptors() {
        assert!(is_fd("unsigned int", "fd") && is_fd("int", "fd_in") && is_fd("int", "epfd"));
        assert!(!is_fd("int *", "fildes") && !is_fd("int", "flags") && !is_fd("int", "dfd"));
    }
}
