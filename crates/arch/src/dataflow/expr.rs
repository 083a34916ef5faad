//! The values that data flow knows of, as expressions.

/// An expression's index in its [`super::Flow`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sym(pub(super) u32);

/// An operation on two values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `&`
    And,
    /// `|`
    Or,
    /// `^`
    Xor,
    /// `<<`
    Shl,
    /// `>>` of an unsigned number
    Shr,
    /// `>>` of a signed number
    Sar,
}

impl BinOp {
    /// The result in `size` bytes.
    #[must_use]
    pub const fn apply(self, a: u64, b: u64, size: u64) -> u64 {
        let bits = if size == 0 || size > 8 { 64 } else { size as u32 * 8 };
        let a = cut(a, size, false);
        // shift counts are taken modulo the operand's width, 32 at least
        let count = (b & if bits == 64 { 63 } else { 31 }) as u32;
        let all = match self {
            BinOp::Add => a.wrapping_add(b),
            BinOp::Sub => a.wrapping_sub(b),
            BinOp::Mul => a.wrapping_mul(b),
            BinOp::And => a & b,
            BinOp::Or => a | b,
            BinOp::Xor => a ^ b,
            BinOp::Shl => a << count,
            BinOp::Shr => a >> count,
            BinOp::Sar => (cut(a, size, true).cast_signed() >> count).cast_unsigned(),
        };
        cut(all, size, false)
    }
}

/// The low `size` bytes of a value, extended by zeros or by their sign.
#[must_use]
pub const fn cut(value: u64, size: u64, signed: bool) -> u64 {
    if size == 0 || size >= 8 {
        return value;
    }
    let shift = 64 - size as u32 * 8;
    if signed { ((value << shift).cast_signed() >> shift).cast_unsigned() } else { (value << shift) >> shift }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Expr {
    /// What a register held on entry.
    Entry(usize),
    /// An address on the stack: bytes from the stack pointer on entry.
    Stack(i64),
    /// A constant.
    Const(i64),
    /// Read from memory at `base + disp`, `size` bytes, by the instruction at `at`.
    Load {
        /// The pointer.
        base: Sym,
        /// The offset.
        disp: i64,
        /// Bytes.
        size: u64,
        /// The instruction that read it.
        at: u64,
    },
    /// Read from the CPU's own area.
    PerCpu {
        /// The address within the area.
        at: i64,
        /// Bytes.
        size: u64,
    },
    /// `base + disp`.
    Add {
        /// The value added to.
        base: Sym,
        /// The constant.
        disp: i64,
    },
    /// An operation on two values, in `size` bytes.
    Bin {
        /// The operation.
        op: BinOp,
        /// Its left value.
        a: Sym,
        /// Its right value.
        b: Sym,
        /// Bytes of the result; the rest is zero.
        size: u64,
    },
    /// The low bytes of a value, extended.
    Cut {
        /// The value.
        base: Sym,
        /// How many bytes.
        size: u64,
        /// Extended by the sign.
        signed: bool,
    },
    /// 0 or 1, set by a condition at this instruction.
    Flag {
        /// The instruction.
        at: u64,
        /// False where only the low byte is it.
        whole: bool,
    },
    /// What the call at this address returned.
    Returned(u64),
    /// Set at this instruction, by something not followed.
    Opaque(u64),
    /// Of several values, by the path that led to this instruction, in this register.
    Phi {
        /// Where the paths meet.
        at: u64,
        /// The register.
        register: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_know_their_width() {
        assert_eq!(BinOp::Add.apply(0xffff_ffff, 1, 4), 0);
        assert_eq!(BinOp::Sub.apply(1, 2, 4), 0xffff_ffff);
        assert_eq!(BinOp::Sar.apply(0x8000_0000, 4, 4), 0xf800_0000);
        assert_eq!(BinOp::Shr.apply(0x1_8000_0000, 4, 4), 0x0800_0000);
        assert_eq!(BinOp::Shl.apply(1, 33, 4), 2);
        assert_eq!(cut(0x80, 1, true), 0xffff_ffff_ffff_ff80);
        assert_eq!(cut(0x1ff, 1, false), 0xff);
    }
}
