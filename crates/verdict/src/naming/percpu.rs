//! Variables of a CPU's own area (`%gs:ADDRESS`): their names, and where the area of the CPU to blame is.
//! Source: include/linux/percpu-defs.h, arch/x86/include/asm/{preempt,current}.h; kernel/module/main.c gives a module's
//! variables addresses in the area, which are its symbols'.

use crate::model::{How, Origin};
use crate::naming::members;
use crate::naming::names::{Named, Namer};
use arch::Regs;
use base::VirtAddr;
use cexpr::Expr;
use debuginfo::types::{Space, TypeRef};
use kernel::Session;

impl Namer<'_> {
    /// A variable of the CPU's own area.
    pub(crate) fn per_cpu(&self, at: u64, size: u64) -> Option<Named> {
        // since 6.14 the area is linked at its place in the image; before, at 0
        let start = self.s.symbol("__per_cpu_start").unwrap_or(VirtAddr(0));
        let address =
            VirtAddr(if self.s.arch().is_kernel(VirtAddr(at)) { at } else { start.0.wrapping_add(at) });
        let table = &self.s.kernel_symbols().table;
        let found = table.at(address).filter(|_| self.s.is_per_cpu(address));
        let Some((symbol, offset)) = found else { return self.of_module(at, size) };
        // it is read under a second name as well
        let symbol = symbol.name.strip_prefix("const_").unwrap_or(symbol.name);
        let types = self.types();
        if kernel::sched::cpu::CURRENT.contains(&symbol) && offset == 0 && size == 8 {
            let task = types.first(None, Space::Struct, "task_struct");
            let origin = Origin::CurrentTask;
            return Some(named(Expr::ident("current"), task.map(|t| types.pointer_to(t)), origin));
        }
        self.variable_of_cpu(symbol, types.first(None, Space::Variable, symbol), offset, size)
    }

    /// A variable of a module's. Its symbol has the address in the area of the first CPU.
    fn of_module(&self, at: u64, size: u64) -> Option<Named> {
        let module = self.code.module.as_deref()?;
        let area = VirtAddr(at).page_base()..VirtAddr(at.checked_add(1)?);
        let symbol = self
            .s
            .module_symbols()
            .between(area.start, area.end)
            .rfind(|symbol| symbol.module == Some(module))?;
        let (name, offset) = (symbol.name.to_owned(), at.wrapping_sub(symbol.addr.0));
        let ty = self.loaded_types().first(Some(&self.scope()), Space::Variable, &name);
        self.variable_of_cpu(&name, ty, offset, size)
    }

    fn variable_of_cpu(&self, name: &str, ty: Option<TypeRef>, offset: u64, size: u64) -> Option<Named> {
        let types = self.types();
        let origin = Origin::OfCpu;
        if let Some(ty) = ty.filter(|ty| members::is_compound(types, *ty)) {
            let leaf = members::leaf(types, ty, offset, size, &self.code.name)?;
            let expr = match leaf.path.steps.as_slice() {
                [only] if only.name == "preempt_count" => preempt_count(),
                _ => read_here(Expr::ident(name).path(&leaf.path, false)),
            };
            return Some(named(expr, Some(leaf.ty), origin));
        }
        let expr = match name {
            "__preempt_count" => preempt_count(),
            name => read_here(Expr::ident(name)),
        };
        let ty = ty.filter(|ty| types.size_of(*ty).is_ok_and(|n| n == size));
        (offset == 0).then(|| named(expr, ty, origin))
    }
}

/// How often preemption is held off, as the kernel asks for it.
fn preempt_count() -> Expr {
    Expr::call("preempt_count", Vec::new())
}

/// A variable of the CPU that reads it.
fn read_here(variable: Expr) -> Expr {
    Expr::call("this_cpu_read", vec![variable])
}

fn named(expr: Expr, ty: Option<TypeRef>, origin: Origin) -> Named {
    Named { expr, ty, how: How::Table, origin }
}

/// The registers with the base of the CPU's area, which entry code does not save.
pub(crate) fn with_base(s: &Session, mut regs: Regs, cpu: Option<u32>) -> Regs {
    if regs.per_cpu().is_none()
        && let Some(base) = cpu.and_then(|cpu| kernel::sched::cpu::per_cpu_offset(s, cpu).ok())
    {
        regs.set(regs.reg_set().roles.per_cpu, base);
    }
    regs
}
