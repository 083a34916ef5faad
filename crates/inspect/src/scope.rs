//! What C expressions may name in a session: its symbols, types and memory, and of a chosen frame
//! the registers and variables.

use arch::Regs;
use base::{VirtAddr, VirtRead};
use cexpr::{History, Scope, SymbolAt, SymbolInfo, Value};
use debuginfo::symtab::Symbol;
use debuginfo::types::{Scope as TypeScope, Space, Type, TypeRef, Types};
use kernel::stack::backtrace::Backtrace;
use kernel::{Located, Session};
use std::collections::BTreeMap;

/// A process's half of the address space: the kernel's half, which its page tables map as well, is not
/// there.
pub struct UserOnly(pub arch::UserMap);

impl VirtRead for UserOnly {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), base::Fault> {
        if at.in_upper_half() {
            return Err(base::Fault::new(at, base::FaultKind::NotMapped("user")));
        }
        self.0.read(at, buf)
    }
}

/// True where the symbol below an address holds it, as gdb has it: what lies beyond a symbol's size, or behind a label
/// of data, is something else. Without a table of sizes, all of the kernel's up to the next symbol is held.
pub fn holds(s: &Session, l: &Located<'_>, at: VirtAddr) -> bool {
    let size = l.symbol.size;
    match size {
        0 if l.offset == 0 || l.symbol.is_text() => true,
        0 if s.opened().vmlinux.is_some() || l.symbol.module.is_some() => false,
        0 => s.arch().is_kernel(at) && l.span.is_some_and(|span| l.offset < span),
        size => l.offset < size,
    }
}

/// A session as expressions see it.
#[derive(Clone)]
pub struct SessionScope<'s> {
    /// The session.
    pub session: &'s Session,
    /// Whose types come first.
    pub prefer: Option<TypeScope>,
    /// The frame whose registers and variables have names.
    pub frame: Option<(&'s Backtrace, usize)>,
    /// The CPU whose per-CPU variables `this_cpu_ptr` means.
    pub cpu: Option<u32>,
    /// Values printed before, oldest first.
    pub history: &'s [Value],
    /// The user's own variables, `$name`.
    pub convenience: Option<&'s BTreeMap<String, Value>>,
    /// The memory that pointers lead into, where it is not the kernel's.
    pub user: Option<&'s dyn VirtRead>,
}

impl<'s> SessionScope<'s> {
    /// A session without a frame.
    pub const fn new(session: &'s Session) -> Self {
        Self { session, prefer: None, frame: None, cpu: None, history: &[], convenience: None, user: None }
    }

    fn info(&self, symbol: &Symbol<'_>) -> SymbolInfo {
        let s = self.session;
        // a kernel's own table has letters by segments: some of its data may stand there as code (7.2)
        let is_data = symbol.module.is_none() && s.knows_text() && !s.is_image_text(symbol.addr);
        let is_text = symbol.is_text() && !is_data;
        let space = if is_text { Space::Function } else { Space::Variable };
        let scope = symbol.module.map_or(TypeScope::Kernel, |m| TypeScope::Module(m.into()));
        let module = s.module_at(symbol.addr);
        if let Some(m) = module {
            // its functions' types are in its split BTF, its variables' in its debug file
            let _ = (s.module_file_at_hand(m).and_then(|_| s.module_debug(m)), s.load_module_types(m));
        }
        // BTF has functions and per-CPU variables; the other variables' types are DWARF's to tell
        let at_hand = || self.declared(&scope, space, symbol.name);
        let known = || cexpr::known_type(self, symbol.name).filter(|_| symbol.module.is_none());
        let fetched = || {
            let file = match module {
                Some(m) => s.module_debug(m),
                None => s.kernel_debug().cloned(),
            };
            file.and_then(|_| at_hand())
        };
        SymbolInfo {
            addr: symbol.addr,
            ty: at_hand().or_else(known).or_else(fetched),
            module: symbol.module.map(Into::into),
            text: is_text,
            per_cpu: s.is_per_cpu(symbol.addr),
        }
    }

    /// The type of a variable or function; of several declarations the one that says how long its
    /// array is.
    fn declared(&self, scope: &TypeScope, space: Space, name: &str) -> Option<TypeRef> {
        let types = self.session.types();
        let first = types.first(Some(scope), space, name)?;
        let open = |at: TypeRef| {
            matches!(types.resolve(at).as_ref().map(|(_, t)| &**t), Ok(Type::Array { count: None, .. }))
        };
        if !open(first) {
            return Some(first);
        }
        types.find_in(Some(scope), space, name).into_iter().find(|&at| !open(at)).or(Some(first))
    }

    fn registers(&self) -> Option<&Regs> {
        let (bt, n) = self.frame?;
        Some(&bt.unwound.frames.get(n)?.regs)
    }
}

impl Scope for SessionScope<'_> {
    fn types(&self) -> &Types {
        self.session.check_types();
        self.session.types()
    }
    fn memory(&self) -> &dyn VirtRead {
        self.user.unwrap_or_else(|| self.session.mem())
    }
    fn prefer(&self) -> Option<TypeScope> {
        self.prefer.clone()
    }
    fn symbol(&self, name: &str) -> Vec<SymbolInfo> {
        self.session.named(name).iter().map(|s| self.info(s)).collect()
    }
    fn symbol_at(&self, at: VirtAddr) -> Option<SymbolAt> {
        let l = self.session.locate(at).filter(|l| holds(self.session, l, at))?;
        Some(SymbolAt {
            name: l.symbol.name.into(),
            offset: l.offset,
            module: l.symbol.module.map(Into::into),
        })
    }
    fn register(&self, name: &str) -> Option<Result<u64, String>> {
        let regs = self.registers()?;
        let number = regs.reg_set().number(name)?;
        Some(regs.get(number).ok_or_else(|| format!("register {name} was not recovered in this frame")))
    }
    fn convenience(&self, name: &str) -> Option<Value> {
        self.convenience?.get(name).cloned()
    }
    fn register_type(&self, name: &str) -> Option<TypeRef> {
        let types = self.types();
        let set = self.session.arch().reg_set();
        match set.number(name)? {
            number if number == set.pc => {
                let code = types.intern(Type::Func {
                    ret: TypeRef::VOID,
                    params: Vec::new().into(),
                    variadic: false,
                });
                Some(types.pointer_to(code))
            }
            number if number == set.sp || number == set.fp => Some(types.pointer_to(TypeRef::VOID)),
            _ => None,
        }
    }
    fn local(&self, name: &str) -> Option<Value> {
        let (bt, frame) = self.frame?;
        crate::locals::values(self.session, bt, frame).into_iter().find(|v| v.name == name).map(|v| v.value)
    }
    fn per_cpu_offset(&self, cpu: u64) -> Result<u64, String> {
        let cpu = u32::try_from(cpu).map_err(|_| format!("no cpu {cpu}"))?;
        if !self.session.cpus().possible.contains(&cpu) {
            return Err(format!("cpu {cpu} is not a possible cpu of this kernel"));
        }
        kernel::sched::cpu::per_cpu_offset(self.session, cpu).map_err(|e| e.to_string())
    }
    fn page_shift(&self) -> Option<u32> {
        Some(self.session.page_shift())
    }
    fn cpu(&self) -> Option<u64> {
        self.cpu.map(u64::from)
    }
    fn history(&self, which: History) -> Option<Value> {
        let index = match which {
            History::Number(n) => usize::try_from(n).ok()?.checked_sub(1)?,
            History::Back(n) => self.history.len().checked_sub(usize::try_from(n).ok()?.checked_add(1)?)?,
        };
        self.history.get(index).cloned()
    }
    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let number = |n: usize| -> Result<u64, String> {
            let value = args.get(n).ok_or_else(|| format!("{name} takes an argument"))?;
            value.to_int(self.types(), self.memory()).map(|v| v as u64).map_err(|e| e.to_string())
        };
        let s = self.session;
        let page_size =
            || s.types().first(None, Space::Struct, "page").and_then(|t| s.types().size_of(t).ok());
        let base = || kernel::mm::slab::direct_map_base(s).map(|at| at.0).map_err(|e| e.to_string());
        let vmemmap = || kernel::mm::slab::vmemmap_base(s).map(|at| at.0).map_err(|e| e.to_string());
        let result = match name {
            "__va" | "phys_to_virt" => number(0).and_then(|n| Ok(n.wrapping_add(base()?))),
            "__pa" | "virt_to_phys" => number(0).and_then(|n| self.physical(n)),
            "pfn_to_page" => number(0).and_then(|pfn| {
                let size = page_size().ok_or("struct page is not known")?;
                Ok(vmemmap()?.wrapping_add(pfn.wrapping_mul(size)))
            }),
            "page_to_pfn" => number(0).and_then(|page| {
                let size = page_size().filter(|&n| n != 0).ok_or("struct page is not known")?;
                Ok(page.wrapping_sub(vmemmap()?) / size)
            }),
            "virt_to_page" => number(0).and_then(|n| self.physical(n)).and_then(|phys| {
                let size = page_size().ok_or("struct page is not known")?;
                Ok(vmemmap()?.wrapping_add((phys >> s.page_shift()).wrapping_mul(size)))
            }),
            _ => return None,
        };
        let to = match name {
            "pfn_to_page" | "virt_to_page" => s.types().first(None, Space::Struct, "page"),
            "__va" | "phys_to_virt" => Some(TypeRef::VOID),
            _ => None,
        };
        Some(result.map(|n| match to {
            Some(to) => Value::pointer(self.types(), to, VirtAddr(n)),
            None => Value::ulong(self.types(), n),
        }))
    }
    fn pointer_constant(&self, name: &str) -> Option<u64> {
        kernel::mm::poison::Poison::named(name)
    }
    fn near_symbols(&self, name: &str) -> Option<Vec<String>> {
        let mut near = base::Nearest::new(name);
        let kernel = self.session.kernel_symbols().table.near(name);
        let modules = self.session.module_symbols().near(name);
        kernel.iter().chain(&modules).for_each(|name| near.offer(name));
        Some(near.finish())
    }
}

impl SessionScope<'_> {
    fn physical(&self, virt: u64) -> Result<u64, String> {
        self.session.map().translate(VirtAddr(virt)).map(|(phys, _)| phys.0).map_err(|f| f.to_string())
    }
}
