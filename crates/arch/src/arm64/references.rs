//! The variables that code refers to: `adrp` and the instruction that adds the rest of the address, or reads and writes there.

use super::Arm64;
use crate::capability::References;
use base::VirtAddr;

const REGISTERS: usize = 32;

/// An address that code made in a register.
struct Made {
    at: VirtAddr,
    /// It is read or written, calculated with, or handed to a function.
    used: bool,
    /// Another one was made from it by adding a number.
    leads_on: bool,
}

/// What is known while the code is gone through.
#[derive(Default)]
struct Walk {
    /// The address in each register, and its place in `made` where it is a whole one.
    registers: [Option<(u64, Option<usize>)>; REGISTERS],
    made: Vec<Made>,
}

/// The addresses that code at `start` makes by itself, in the order in which it does.
pub(crate) fn referenced(start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
    let mut walk = Walk::default();
    for (n, word) in (0_u64..).zip(code.as_chunks::<4>().0) {
        walk.step(u32::from_le_bytes(*word), start.add(n * 4));
    }
    // what only leads to other addresses is where the compiler counts from (-fsection-anchors)
    walk.made.retain(|made| made.used || !made.leads_on);
    walk.made.iter().map(|made| made.at).collect()
}

impl Walk {
    fn step(&mut self, word: u32, at: VirtAddr) {
        let base = base_register(word);
        if let Some((value, whole)) = pc_relative(word, at) {
            let place = whole.then(|| self.make(value, false));
            self.put(word, Some((value, place)));
        } else if let Some(more) = added(word) {
            let from = self.get(base);
            if let Some(made) = from.and_then(|(_, place)| self.made.get_mut(place?)) {
                made.leads_on = true;
            }
            let value = from.map(|(page, _)| page.wrapping_add(more));
            let found = value.map(|value| (value, Some(self.make(value, false))));
            self.put(word, found);
        } else if let Some(offset) = accessed(word) {
            if let Some((page, place)) = self.get(base) {
                self.use_up(place);
                self.make(page.wrapping_add_signed(offset), true);
            }
            self.forget_loaded(word);
        } else if word >> 26 == 0b10_0101 {
            // `bl`: arguments are in x0 to x7, and the callee keeps x19 to x28
            for register in 0..19 {
                let place = self.get(register).filter(|_| register < 8).and_then(|(_, place)| place);
                // one that another was made from is there by chance
                let leads_on = |place: &usize| self.made.get(*place).is_some_and(|made| made.leads_on);
                self.use_up(place.filter(|place| !leads_on(place)));
                if let Some(slot) = self.registers.get_mut(register) {
                    *slot = None;
                }
            }
        } else if is_calculation(word) || is_access(word) {
            for register in [base, (word >> 16 & 31) as usize] {
                let place = self.get(register).and_then(|(_, place)| place);
                self.use_up(place);
            }
            if is_calculation(word) {
                self.put(word, None);
            } else {
                self.forget_loaded(word);
            }
        }
    }

    /// What a load brings is no address that the code made.
    fn forget_loaded(&mut self, word: u32) {
        let (is_vector, is_load) = (word >> 26 & 1 == 1, word >> 22 & 3 != 0);
        if is_load && !is_vector {
            self.put(word, None);
        }
    }

    fn get(&self, register: usize) -> Option<(u64, Option<usize>)> {
        self.registers.get(register).copied().flatten()
    }
    fn put(&mut self, word: u32, value: Option<(u64, Option<usize>)>) {
        if let Some(slot) = self.registers.get_mut((word & 31) as usize) {
            *slot = value;
        }
    }
    fn make(&mut self, value: u64, used: bool) -> usize {
        self.made.push(Made { at: VirtAddr(value), used, leads_on: false });
        self.made.len() - 1
    }
    fn use_up(&mut self, place: Option<usize>) {
        if let Some(made) = place.and_then(|place| self.made.get_mut(place)) {
            made.used = true;
        }
    }
}

/// Data processing with registers.
const fn is_calculation(word: u32) -> bool {
    word & 0x0e00_0000 == 0x0a00_0000
}

/// Loads and stores of every kind, atomic ones among them.
const fn is_access(word: u32) -> bool {
    word & 0x0a00_0000 == 0x0800_0000
}

fn base_register(word: u32) -> usize {
    (word >> 5 & 31) as usize
}

/// A number of so many bits with its sign.
const fn signed(value: u32, bits: u32) -> i64 {
    let shift = 64 - bits;
    ((value as u64) << shift).cast_signed() >> shift
}

/// `adrp` gives a page, `adr` an address.
fn pc_relative(word: u32, at: VirtAddr) -> Option<(u64, bool)> {
    let distance = signed((word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3, 21);
    match word & 0x9f00_0000 {
        0x9000_0000 => Some(((at.0 & !0xfff).wrapping_add_signed(distance << 12), false)),
        0x1000_0000 => Some((at.0.wrapping_add_signed(distance), true)),
        _ => None,
    }
}

/// `add xD, xN, #number`.
fn added(word: u32) -> Option<u64> {
    let number = u64::from(word >> 10 & 0xfff);
    (word & 0xff80_0000 == 0x9100_0000).then_some(if word >> 22 & 1 == 1 { number << 12 } else { number })
}

/// The distance from its base register at which an instruction reads or writes, where that is a number.
fn accessed(word: u32) -> Option<i64> {
    let size = word >> 30;
    // a vector of 16 bytes is coded as one byte with a bit of the operation
    let vector = word >> 26 & 1 == 1;
    let scale = if vector && size == 0 && word >> 23 & 1 == 1 { 4 } else { size };
    if word & 0x3b00_0000 == 0x3900_0000 {
        return Some(i64::from(word >> 10 & 0xfff) << scale);
    }
    // a pair: the same with an offset of 7 bits
    let pair = if vector { size + 2 } else { 2 + (size >> 1) };
    (word & 0x3b80_0000 == 0x2900_0000).then(|| signed(word >> 15 & 0x7f, 7) << pair)
}

impl References for Arm64 {
    fn referenced(&self, start: VirtAddr, code: &[u8]) -> Vec<VirtAddr> {
        referenced(start, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is only counted from is no variable, what is calculated with is one.
    #[test]
    fn addresses_in_two_instructions() {
        // assembled by GNU as 2.40
        let code: [u32; 15] = [
            0xb000_0a60, // adrp x0, +0x14d000
            0x9100_8000, // add x0, x0, #0x20
            0xf940_0001, // ldr x1, [x0]
            0x9000_0013, // adrp x19, +0
            0xb945_0662, // ldr w2, [x19, #0x504]
            0x9400_0000, // bl .
            0x3904_0e63, // strb w3, [x19, #0x103]
            0xa940_8664, // ldp x4, x1, [x19, #8]
            0x913b_0273, // add x19, x19, #0xec0
            0xd503_233f, // paciasp
            0x9108_a273, // add x19, x19, #0x228
            0x9100_8261, // add x1, x19, #0x20
            0x8b03_0e62, // add x2, x19, x3, lsl #3
            0xf871_6a73, // ldr x19, [x19, x17]
            0x9140_127f, // add sp, x19, #0x4, lsl #12
        ];
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let found = referenced(VirtAddr(0xffff_8000_0800_1004), &bytes);
        let want = [0x0814_e020, 0x0814_e020, 0x800_1504, 0x800_1103, 0x800_1008, 0x800_20e8, 0x800_2108];
        assert_eq!(found, want.map(|at| VirtAddr(0xffff_8000_0000_0000 + at)));
    }
}
