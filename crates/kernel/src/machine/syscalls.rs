//! System calls: their table (`sys_call_table`, arch/x86/entry/syscall_64.c), and what the kernel's tracer knows of their
//! parameters (include/trace/syscall.h, CONFIG_FTRACE_SYSCALLS).

use crate::bind::Field;
use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct syscall_metadata`
    struct SyscallMetadata("syscall_metadata") { count: "nb_args", types: "types", args: "args" }
}

/// More entries than any kernel's table.
const MAX: u64 = 4096;

/// The functions of the table, by number; ends before the first entry that is no function.
///
/// # Errors
/// There is none, or a part of it is not in the dump.
pub fn table(s: &Session) -> Result<Vec<VirtAddr>> {
    let at = s.need_symbol("sys_call_table")?;
    let symbols = &s.kernel_symbols().table;
    let bytes = symbols
        .find("sys_call_table")
        .map_or(0, |sym| if sym.size != 0 { sym.size } else { symbols.span(sym.id).unwrap_or(MAX * 8) });
    let mut out = Vec::new();
    for n in 0..(bytes / 8).min(MAX) {
        let function = s.mem().ptr(at.add(n * 8))?;
        if !s.is_text(function) || s.locate(function).is_none_or(|l| l.offset != 0) {
            break;
        }
        out.push(function);
    }
    Ok(out)
}

/// A parameter of a system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its type, in C.
    pub ty: String,
    /// Its name.
    pub name: String,
}

/// The parameters of the system call of this name (`openat`); `None` where the kernel's tracer does not know it.
///
/// # Errors
/// What the tracer knows is not in the dump.
pub fn parameters(s: &Session, name: &str) -> Result<Option<Vec<Parameter>>> {
    let of = |prefix: &str| s.optional_symbol(&format!("__syscall_meta_{prefix}{name}"));
    let Some(symbol) = (match of("_")? {
        Some(symbol) => Some(symbol),
        None => of("_sys_")?,
    }) else {
        return Ok(None);
    };
    let b = s.bind::<SyscallMetadata>();
    let mem = s.mem();
    // without types: { name, int syscall_nr, int nb_args, types, args }, as it has been since 2.6.33
    let at = |field: &Field, otherwise: u64| symbol.add(field.offset().unwrap_or(otherwise));
    let count = mem.u32(at(&b.count, 12))? & 0xff;
    let (types, args) = (mem.ptr(at(&b.types, 16))?, mem.ptr(at(&b.args, 24))?);
    let text = |array: VirtAddr, n: u64| -> Result<Option<String>> {
        let raw = mem.cstr(mem.ptr(array.add(n * 8))?, 64)?;
        let good = !raw.is_empty() && raw.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
        Ok(good.then(|| String::from_utf8_lossy(&raw).into_owned()))
    };
    let one = |n: u64| {
        let both = text(types, n)?.zip(text(args, n)?);
        Ok(both.map(|(ty, name)| Parameter { ty, name }))
    };
    (0..u64::from(count.min(6))).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A kernel whose tracer knows `read(unsigned int fd, char *buf)`, and the page of its names.
    fn traced() -> (Kernel, u64) {
        let mut k = Kernel::new();
        let meta = k.variable("__syscall_meta__read", 32);
        let (types, args, names) = (k.memory(16), k.memory(16), k.memory(4096));
        let words = [(types, "unsigned int"), (types + 8, "char *"), (args, "fd"), (args + 8, "buf")];
        for (n, (slot, word)) in (0..).zip(words) {
            let at = names + n * 32;
            k.put(at, word.as_bytes()).word(slot, at);
        }
        k.half(meta + 12, 2).word(meta + 16, types).word(meta + 24, args);
        (k, names)
    }

    #[test]
    fn parameters_by_type_and_name() {
        let (mut k, names) = traced();
        let known = parameters(&session(&k), "read").unwrap().unwrap();
        let words: Vec<(&str, &str)> = known.iter().map(|p| (p.ty.as_str(), p.name.as_str())).collect();
        assert_eq!(words, [("unsigned int", "fd"), ("char *", "buf")]);
        assert!(parameters(&session(&k), "write").unwrap().is_none());
        k.exclude(names);
        let lost = parameters(&session(&k), "read").unwrap_err();
        assert!(lost.is_loss(), "none of them is known, not some: {lost}");
    }

    #[test]
    fn the_table_ends_before_what_is_no_function() {
        let mut k = Kernel::new();
        let (read, write) = (k.function("read", 0x40), k.function("write", 0x80));
        let table = k.variable("sys_call_table", 32);
        k.variable("behind", 8);
        k.word(table, read).word(table + 8, write).word(table + 16, write + 4).word(table + 24, read);
        let all = super::table(&session(&k)).unwrap();
        assert_eq!(all.iter().map(|at| at.0).collect::<Vec<_>>(), [read, write]);
    }
}
