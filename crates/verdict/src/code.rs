//! A function's code as it is in the dump's memory, sliced.

use arch::x86_64::slice::{Flow, Function, MAX_BYTES};
use base::VirtAddr;
use kernel::Session;

/// A function with its data flow.
pub(crate) struct Code {
    pub(crate) function: Function,
    pub(crate) flow: Flow,
    /// The function's name without the compiler's suffixes.
    pub(crate) name: String,
    /// As the symbol has it.
    pub(crate) symbol: String,
    pub(crate) entry: VirtAddr,
    pub(crate) module: Option<String>,
    /// False where the compiler changed the parameters (`.isra`, `.constprop`, `.part`).
    pub(crate) whole: bool,
}

/// `foo` of `foo.isra.0.cold`.
pub(crate) fn base_name(name: &str) -> &str {
    name.split('.').next().filter(|n| !n.is_empty()).unwrap_or(name)
}

impl Code {
    /// The function around an address, with its cold part where it has one.
    pub(crate) fn around(s: &Session, at: VirtAddr) -> Option<Self> {
        let here = s.locate(at)?;
        let symbol = here.symbol.name.to_owned();
        let module = here.symbol.module.map(str::to_owned);
        let main_name = symbol.split(".cold").next().unwrap_or(&symbol).to_owned();
        let main =
            if main_name == symbol { here.symbol.addr } else { named(s, &main_name, module.as_deref())? };
        let mut parts: Vec<(u64, Vec<u8>)> = vec![(main.0, bytes(s, main)?)];
        let cold = if main_name == symbol {
            ["", ".0", ".1"].iter().find_map(|n| named(s, &format!("{main_name}.cold{n}"), module.as_deref()))
        } else {
            Some(here.symbol.addr)
        };
        if let Some(cold) = cold
            && let Some(code) = bytes(s, cold)
        {
            parts.push((cold.0, code));
        }
        let slices: Vec<(u64, &[u8])> = parts.iter().map(|(at, b)| (*at, b.as_slice())).collect();
        let warnings = crate::bug::warnings_within(s, &slices);
        let function = Function::decode(&slices, &|ip| warnings.contains(&ip));
        let flow = Flow::of(&function);
        let whole = ![".isra", ".constprop", ".part"].iter().any(|suffix| main_name.contains(suffix));
        Some(Self {
            function,
            flow,
            name: base_name(&main_name).to_owned(),
            symbol: main_name,
            entry: main,
            module,
            whole,
        })
    }

    /// `+78` for an address of the function, in decimal as disassemblers and backtraces have it.
    pub(crate) fn offset(&self, at: u64) -> String {
        match at.checked_sub(self.entry.0).filter(|o| *o < MAX_BYTES as u64) {
            Some(offset) => format!("+{offset}"),
            None => format!("{at:x}"),
        }
    }
}

/// The only function of a name in the kernel or a module.
fn named(s: &Session, name: &str, module: Option<&str>) -> Option<VirtAddr> {
    let all = s.named(name);
    let mut found = all.iter().filter(|sym| sym.module == module);
    let first = found.next()?.addr;
    found.next().is_none().then_some(first)
}

fn bytes(s: &Session, start: VirtAddr) -> Option<Vec<u8>> {
    let span = s.locate(start)?.span?.min(MAX_BYTES as u64);
    s.mem().bytes(start, usize::try_from(span).ok()?).ok()
}
