//! A return to where no code is: its address on the stack was overwritten.

use crate::code::function::Code;
use crate::explain::pointer;
use crate::model::{Access, Accessed, Detail, How, Name, Operand as Row, Spot, Value};
use crate::victim::fault_frame::{self, FaultFrame};
use base::VirtAddr;
use kernel::Session;

/// How many words above are looked at for the next return address.
const WORDS: u64 = 64;

/// The word below the stack pointer is the program counter: `ret` has just taken it.
pub(crate) fn wild_return(s: &Session, c: &FaultFrame) -> Option<Access> {
    let sp = VirtAddr(c.regs.sp()?);
    let slot = sp.0.checked_sub(8)?;
    if s.mem().u64(VirtAddr(slot)).ok()? != c.pc.0 {
        return None;
    }
    // a zero is found below many a stack pointer: who called a NULL pointer has left its return address on top
    if c.pc.is_null() && may_be_code(s, s.mem().ptr(sp).ok()?) {
        return None;
    }
    let commands = vec![format!("rd {slot:x}")];
    let spot = Spot::Memory { bits: 64, at: slot };
    let mut operands = vec![Row {
        name: Name::Return,
        value: Some(Value::address(c.pc.0)),
        detail: vec![Detail::At(spot.clone()), Detail::BelowStack],
        lost: false,
        level: 0,
        spot,
        how: How::Memory,
        commands,
    }];
    if let Some((at, ret)) = next_return(s, sp.0) {
        let place = fault_frame::place_of_call(s, ret.sub(1));
        operands.push(Row {
            name: Name::NextReturn,
            value: Some(Value::address(ret.0)),
            lost: false,
            level: 0,
            spot: Spot::Memory { bits: 64, at },
            how: How::Guessed,
            commands: vec![format!("rd {at:x}"), format!("dis -x {}", place.function)],
            detail: vec![Detail::Into { function: place.function, module: place.module, at }],
        });
    }
    let what = Accessed::Return { to: pointer::describe(s, c.pc.0), slot };
    Some(Access { what, how: How::Memory, operands, code: Vec::new(), at: None })
}

/// True for an address among those of the kernel's image and modules, and so of the code that is made at run time, whether or
/// not the dump still tells which.
fn may_be_code(s: &Session, at: VirtAddr) -> bool {
    let [image, _, modules] = s.arch().layout.image_range();
    (image..modules).contains(&at) || s.is_text(at)
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
