//! A signature that is the same for the same death of another machine: the class, and the functions
//! that led there without addresses, offsets and the compiler's suffixes.

use crate::code::base_name;
use crate::event::Class;

/// How many frames count.
const FRAMES: usize = 4;

/// `bug:virtqueue_add_split:virtqueue_add_sgs:virtblk_add_req`, and a number made of it.
pub(crate) fn of<'a>(class: Class, functions: impl Iterator<Item = &'a str>) -> String {
    let mut out = class.slug().to_owned();
    let mut last = "";
    let mut count = 0;
    for name in functions.map(base_name) {
        if count == FRAMES {
            break;
        }
        if name == last || name.starts_with("asm_") || name.starts_with("entry_SYSCALL") {
            continue;
        }
        out.push(':');
        out.push_str(name);
        last = name;
        count += 1;
    }
    let hash =
        out.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{:016x} {out}", hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_the_compiler_do_not_count() {
        let a = of(Class::Bug, ["f.isra.0", "f", "g.cold", "h"].into_iter());
        assert_eq!(a, of(Class::Bug, ["f", "g", "h"].into_iter()));
        assert!(a.ends_with("bug:f:g:h"));
        assert_ne!(a, of(Class::NullPointer, ["f", "g", "h"].into_iter()));
    }
}
