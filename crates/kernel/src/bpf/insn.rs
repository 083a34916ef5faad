//! BPF instructions as text, in the form of the kernel's verifier (kernel/bpf/disasm.c; include/uapi/linux/bpf.h has the
//! encoding).

/// An instruction: eight bytes, and eight more of one that loads 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    code: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

impl Insn {
    /// Its parts.
    #[must_use]
    pub const fn of(bytes: [u8; 8]) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            code,
            dst: regs & 0xf,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }
    /// True for the first half of one that loads 64 bits.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        self.code == 0x18
    }
}

/// Who knows what numbers in instructions mean.
pub trait Names {
    /// The map at this address, in words; an address of something else has none.
    fn map(&self, address: u64) -> Option<String>;
    /// The function so far from where calls are counted from.
    fn function(&self, distance: i32) -> Option<String>;
}

const LD: u8 = 0;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const ALU: u8 = 4;
const JMP: u8 = 5;
const JMP32: u8 = 6;
const ALU64: u8 = 7;

/// The instruction as text; `next` is the imm of the eight bytes behind one that loads 64 bits.
#[must_use]
pub fn text(insn: &Insn, next: i32, names: &dyn Names) -> String {
    let code = insn.code;
    let body = match code & 7 {
        ALU | ALU64 => arithmetic(insn),
        JMP | JMP32 => jump(insn, names),
        LDX => load(insn),
        ST => match code & 0xe0 {
            0x60 | 0xa0 => {
                Some(format!("*({} *)(r{} {:+}) = {}", unsigned(code), insn.dst, insn.off, insn.imm))
            }
            0xc0 => Some("nospec".to_owned()),
            _ => None,
        },
        STX => store(insn),
        _ => immediate(insn, next, names),
    };
    format!("({code:02x}) {}", body.unwrap_or_else(|| "(unknown)".to_owned()))
}

const fn unsigned(code: u8) -> &'static str {
    match code & 0x18 {
        0 => "u32",
        0x08 => "u16",
        0x10 => "u8",
        _ => "u64",
    }
}

const fn signed(code: u8) -> &'static str {
    match code & 0x18 {
        0 => "s32",
        0x08 => "s16",
        0x10 => "s8",
        _ => "s64",
    }
}

fn arithmetic(insn: &Insn) -> Option<String> {
    let Insn { code, dst, src, off, imm } = *insn;
    let is_64 = code & 7 == ALU64;
    let r = if is_64 { 'r' } else { 'w' };
    let is_register = code & 8 != 0;
    let right = if is_register { format!("{r}{src}") } else { imm.to_string() };
    let assigned = match (code & 0xf0, off) {
        (0x80, _) => return Some(format!("{r}{dst} = -{r}{dst}")),
        (0xd0, _) => {
            let swap = match (is_64, is_register) {
                (true, _) => "bswap", // 6.6 (0845c3db7bf5)
                (false, true) => "be",
                (false, false) => "le",
            };
            return Some(format!("r{dst} = {swap}{imm} r{dst}"));
        }
        // 6.6 (8100928c8814): a move that extends the sign
        (0xb0, 8 | 16 | 32) if is_register => return Some(format!("{r}{dst} = (s{off}){r}{src}")),
        // a pointer into an arena (6.9, 6082b6c328b5)
        (0xb0, 1) if is_64 && is_register => {
            let (to, from) = (imm as u32 >> 16, imm as u32 & 0xffff);
            return Some(format!("r{dst} = addr_space_cast(r{src}, {to}, {from})"));
        }
        (0x30, 1) => "s/=",
        (0x90, 1) => "s%=",
        (0x00, _) => "+=",
        (0x10, _) => "-=",
        (0x20, _) => "*=",
        (0x30, _) => "/=",
        (0x40, _) => "|=",
        (0x50, _) => "&=",
        (0x60, _) => "<<=",
        (0x70, _) => ">>=",
        (0x90, _) => "%=",
        (0xa0, _) => "^=",
        (0xb0, _) => "=",
        (0xc0, _) => "s>>=",
        _ => return None,
    };
    Some(format!("{r}{dst} {assigned} {right}"))
}

fn load(insn: &Insn) -> Option<String> {
    let Insn { code, dst, src, off, .. } = *insn;
    // a load that may fault has a mode of its own in memory
    let size = match code & 0xe0 {
        0x60 | 0x20 | 0xa0 => unsigned(code),
        0x80 | 0x40 => signed(code), // 6.6 (1f9a1ea821ff)
        _ => return None,
    };
    Some(format!("r{dst} = *({size} *)(r{src} {off:+})"))
}

fn store(insn: &Insn) -> Option<String> {
    let Insn { code, dst, src, off, imm } = *insn;
    let size = unsigned(code);
    match code & 0xe0 {
        0x60 | 0xa0 => return Some(format!("*({size} *)(r{dst} {off:+}) = r{src}")),
        0xc0 | 0xe0 => {}
        _ => return None,
    }
    let place = format!("({size} *)(r{dst} {off:+})");
    let bits = if code & 0x18 == 0x18 { "64" } else { "" };
    let (plain, named) = match imm & 0xf0 {
        0x00 => ("+=", "add"),
        0x40 => ("|=", "or"),
        0x50 => ("&=", "and"),
        0xa0 => ("^=", "xor"),
        0xe0 => ("", "xchg"),
        0xf0 => ("", "cmpxchg"),
        _ => ("", ""),
    };
    Some(match imm {
        0x00 | 0x40 | 0x50 | 0xa0 => format!("lock *{place} {plain} r{src}"),
        0x01 | 0x41 | 0x51 | 0xa1 => format!("r{src} = atomic{bits}_fetch_{named}({place}, r{src})"),
        0xe1 => format!("r{src} = atomic{bits}_{named}({place}, r{src})"),
        0xf1 => format!("r0 = atomic{bits}_{named}({place}, r0, r{src})"),
        // 6.15 (880442305a39)
        0x100 => format!("r{dst} = load_acquire(({size} *)(r{src} {off:+}))"),
        0x110 => format!("store_release({place}, r{src})"),
        _ => return None,
    })
}

fn immediate(insn: &Insn, next: i32, names: &dyn Names) -> Option<String> {
    let Insn { code, dst, src, imm, .. } = *insn;
    debug_assert_eq!(code & 7, LD);
    match (code & 0xe0, code & 0x18) {
        (0x20, _) => Some(format!("r0 = *({} *)skb[{imm}]", unsigned(code))),
        (0x40, _) => Some(format!("r0 = *({} *)skb[r{src} + {imm}]", unsigned(code))),
        (0, 0x18) => {
            let value = u64::from(next as u32) << 32 | u64::from(imm as u32);
            Some(format!("r{dst} = {}", names.map(value).unwrap_or_else(|| format!("{value:#x}"))))
        }
        _ => None,
    }
}

fn jump(insn: &Insn, names: &dyn Names) -> Option<String> {
    let Insn { code, dst, src, off, imm } = *insn;
    let is_64 = code & 7 == JMP;
    let r = if is_64 { 'r' } else { 'w' };
    let condition = match code & 0xf0 {
        0x00 if is_64 => return Some(format!("goto pc{off:+}")),
        0x00 => return Some(format!("gotol pc{imm:+}")), // 6.6 (4cd58e9af8b9)
        0x80 if is_64 && src == 1 => {
            // of code that was made the distance stands where others have theirs
            let distance = if off == 0 { imm } else { i32::from(off) };
            return Some(format!("call pc{distance:+}"));
        }
        0x80 if is_64 => {
            let name = names.function(imm).unwrap_or_else(|| "unknown".to_owned());
            return Some(format!("call {name}#{imm}"));
        }
        0x90 if is_64 => return Some("exit".to_owned()),
        0xe0 if is_64 => return Some(format!("may_goto pc{off:+}")), // 6.9 (011832b97b31)
        0xf0 if is_64 => return Some("call bpf_tail_call".to_owned()),
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x40 => "&",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        0xd0 => "s<=",
        _ => return None,
    };
    let right = if code & 8 != 0 { format!("{r}{src}") } else { format!("{imm:#x}") };
    Some(format!("if {r}{dst} {condition} {right} goto pc{off:+}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct None2;
    impl Names for None2 {
        fn map(&self, address: u64) -> Option<String> {
            (address == 0xffff_8880_0000_1000).then(|| "map[id:13]".to_owned())
        }
        fn function(&self, distance: i32) -> Option<String> {
            (distance == 73760).then(|| "bpf_map_lookup_elem".to_owned())
        }
    }

    fn shown(bytes: &str, next: i32) -> String {
        let bytes: Vec<u8> = bytes.split(' ').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        text(&Insn::of(bytes.try_into().unwrap()), next, &None2)
    }

    #[test]
    fn instructions_as_the_verifier_writes_them() {
        for (bytes, want) in [
            ("bf 16 00 00 00 00 00 00", "(bf) r6 = r1"),
            ("69 67 c0 00 00 00 00 00", "(69) r7 = *(u16 *)(r6 +192)"),
            ("b4 08 00 00 00 00 00 00", "(b4) w8 = 0"),
            ("55 07 0e 00 08 00 00 00", "(55) if r7 != 0x8 goto pc+14"),
            ("07 03 00 00 fc ff ff ff", "(07) r3 += -4"),
            ("85 00 00 00 20 20 01 00", "(85) call bpf_map_lookup_elem#73760"),
            ("85 10 00 00 05 00 00 00", "(85) call pc+5"),
            ("62 02 00 00 20 00 00 00", "(62) *(u32 *)(r2 +0) = 32"),
            ("95 00 00 00 00 00 00 00", "(95) exit"),
            ("7b 1a f8 ff 00 00 00 00", "(7b) *(u64 *)(r10 -8) = r1"),
            ("db 21 00 00 00 00 00 00", "(db) lock *(u64 *)(r1 +0) += r2"),
            ("db 21 00 00 01 00 00 00", "(db) r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)"),
            ("c3 21 04 00 f1 00 00 00", "(c3) r0 = atomic_cmpxchg((u32 *)(r1 +4), r0, r2)"),
            ("dc 01 00 00 10 00 00 00", "(dc) r1 = be16 r1"),
            ("87 01 00 00 00 00 00 00", "(87) r1 = -r1"),
            ("bf 21 08 00 00 00 00 00", "(bf) r1 = (s8)r2"),
            ("91 21 00 00 00 00 00 00", "(91) r1 = *(s8 *)(r2 +0)"),
            ("30 00 00 00 17 00 00 00", "(30) r0 = *(u8 *)skb[23]"),
            ("1e 21 02 00 00 00 00 00", "(1e) if w1 == w2 goto pc+2"),
            ("05 00 fe ff 00 00 00 00", "(05) goto pc-2"),
            ("8d 00 00 00 00 00 00 00", "(8d) call unknown#0"),
            ("ff ff ff ff ff ff ff ff", "(ff) (unknown)"),
        ] {
            assert_eq!(shown(bytes, 0), want, "{bytes}");
        }
        assert_eq!(shown("18 01 00 00 00 10 00 00", 0xffff_8880_u32.cast_signed()), "(18) r1 = map[id:13]");
        assert_eq!(shown("18 01 00 00 01 00 00 00", 2), "(18) r1 = 0x200000001");
    }
}
