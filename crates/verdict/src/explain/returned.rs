//! A return to where no code is: its address on the stack was overwritten.

use crate::code::function::Code;
use crate::explain::pointer;
use crate::model::{Access, How, OperandRow};
use crate::victim::fault_frame::{self, FaultFrame};
use base::VirtAddr;
use kernel::Session;

/// How many words above are looked at for the next return address.
const WORDS: u64 = 64;

/// The word below the stack pointer is the program counter: `ret` has just taken it.
pub(crate) fn wild_return(s: &Session, c: &FaultFrame) -> Option<Access> {
    let sp = c.regs.sp()?;
    let slot = sp.checked_sub(8)?;
    if s.mem().u64(VirtAddr(slot)).ok()? != c.pc.0 {
        return None;
    }
    let to = pointer::judge(s, c.pc.0);
    let text = format!("return to {to}: the return address on the stack at {slot:016x} was overwritten");
    let commands = vec![format!("rd {slot:x}")];
    let mut operands = vec![OperandRow {
        name: "the return address".into(),
        expr: None,
        value: Some(format!("{:016x}", c.pc.0)),
        number: Some(c.pc.0),
        lost: false,
        detail: format!("u64 at {slot:016x}, below the stack pointer"),
        how: How::Memory,
        commands: commands.clone(),
    }];
    if let Some((at, ret)) = next_return(s, sp) {
        let place = fault_frame::place_of_call(s, ret.sub(1));
        operands.push(OperandRow {
            name: "the next return address on the stack".into(),
            expr: None,
            value: Some(format!("{:016x}", ret.0)),
            number: Some(ret.0),
            lost: false,
            detail: match &place.module {
                Some(module) => format!("in {} [{module}], at {at:016x}", place.function),
                None => format!("in {}, at {at:016x}", place.function),
            },
            how: How::Guessed,
            commands: vec![format!("rd {at:x}"), format!("dis -x {}", place.function)],
        });
    }
    Some(Access { text, how: How::Memory, operands, code: Vec::new(), at: None })
}

/// The first word above that is the address behind a call.
fn next_return(s: &Session, sp: u64) -> Option<(u64, VirtAddr)> {
    (0..WORDS).find_map(|n| {
        let at = sp.checked_add(n * 8)?;
        let ret = VirtAddr(s.mem().u64(VirtAddr(at)).ok()?);
        let code = s.is_text(ret).then(|| Code::around(s, ret.sub(1)))??;
        code.function.call_before(ret.0)?;
        Some((at, ret))
    })
}
