//! How reports of the kernel look (arch/arm64/kernel/process.c, `__show_regs`).

use super::Arm64;
use crate::capability::{OopsForm, OopsPlace};

impl OopsForm for Arm64 {
    /// `pc : virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`; of a program the bare address.
    fn place<'t>(&self, line: &'t str) -> Option<OopsPlace<'t>> {
        let place = line.strip_prefix("pc : ")?;
        // `%pS` of the kernel names a place or begins with 0x, `%016llx` of a program does neither
        let bare = place.split_whitespace().next().unwrap_or_default();
        let is_user = bare.len() == 16 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        Some(if is_user { OopsPlace::User } else { OopsPlace::Kernel(place) })
    }
    /// `sp : ffff80000802bc00`
    fn sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("sp : ")
    }
    /// `x29: ffff800008a3bd60 x28: ffff0000c1a40000 x27: 0000000000000000`, `sp : ffff80000802bc00`,
    /// `pstate: 604000c5 (nZCv daIF +PAN …)`
    fn registers(&self, line: &str) -> Vec<(String, u64)> {
        let number = |word: &str| u64::from_str_radix(word, 16).ok();
        let one = ["sp : ", "pstate: "].iter().find_map(|key| Some((key, line.strip_prefix(key)?)));
        if let Some((key, rest)) = one {
            let name = key.trim_end_matches([' ', ':']).to_owned();
            return rest.split_whitespace().next().and_then(number).map(|v| (name, v)).into_iter().collect();
        }
        let mut out = Vec::new();
        // a name of one digit has a blank behind it: `x9 : …`
        let line = line.replace(" :", ":");
        let mut words = line.split_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let digits = name.strip_suffix(':').and_then(|name| name.strip_prefix('x'));
            let known = digits.is_some_and(|d| d.parse::<u32>().is_ok_and(|n| n < 31));
            let (true, Some(name), Some(value)) = (known, name.strip_suffix(':'), number(value)) else {
                return Vec::new();
            };
            out.push((name.to_owned(), value));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_oops() {
        assert_eq!(Arm64.place("pc : vfs_read+0x3/0x6"), Some(OopsPlace::Kernel("vfs_read+0x3/0x6")));
        assert_eq!(Arm64.place("pc : 0000ffff9f3a1234"), Some(OopsPlace::User));
        for wild in ["0x0", "0xdeadbeefdeadbeef", "[<ffff000008123456>]"] {
            assert_eq!(Arm64.place(&format!("pc : {wild}")), Some(OopsPlace::Kernel(wild)));
        }
        let three = Arm64.registers("x29: ffff800008a3bd60 x28: ffff0000c1a40000 x27: 0000000000000000");
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            three,
            [named("x29", 0xffff_8000_08a3_bd60), named("x28", 0xffff_0000_c1a4_0000), named("x27", 0)]
        );
        let low = Arm64.registers("x11: 0000000000000003 x10: 0000000000000002 x9 : 0000000000000001");
        assert_eq!(low.last(), Some(&named("x9", 1)));
        assert_eq!(Arm64.registers("sp : ffff80000802bc00"), [named("sp", 0xffff_8000_0802_bc00)]);
        assert_eq!(Arm64.registers("pstate: 604000c5 (nZCv daIF +PAN -UAO)"), [named("pstate", 0x6040_00c5)]);
        assert_eq!(Arm64.registers("Call trace:"), []);
        assert_eq!(Arm64.registers("x86/mm: Checked"), []);
    }
}
