//! The inodes of a file system that wait to be written (include/linux/fs.h).

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct super_block`
    struct SuperInodes("super_block") { inodes: "s_inodes" }
}
bind! {
    /// `struct inode`
    struct InodeState("inode") {
        link: "i_sb_list",
        state: "i_state.__state" | "i_state", // 6.19
        sb: "i_sb",
    }
}

/// Inodes that wait to be written, and why there may be others.
#[derive(Clone, Debug, Default)]
pub struct Dirty {
    /// The inodes.
    pub all: Vec<VirtAddr>,
    /// Why there may be others.
    pub problems: Vec<KernelError>,
}

/// The bits of `i_state` that say that an inode, its data or its times have to be written (`I_DIRTY`). They moved in 6.12,
/// and have names since.
fn dirty_bits(s: &Session) -> u64 {
    let bit = |name: &str, old: u64| {
        let found = s.types().find_enumerator(name).into_iter().next();
        found.and_then(|(_, value)| u64::try_from(value).ok()).unwrap_or(old)
    };
    bit("I_DIRTY_SYNC", 1) | bit("I_DIRTY_DATASYNC", 2) | bit("I_DIRTY_PAGES", 4)
}

/// The inodes of a super block that wait to be written.
///
/// # Errors
/// The kernel's types do not know them, or the super block is not in the dump.
pub fn dirty(s: &Session, sb: VirtAddr) -> Result<Dirty> {
    let (b, mem) = (s.bind::<InodeState>(), s.mem());
    b.state.offset()?;
    let bits = dirty_bits(s);
    let (mut all, mut unknown) = (Vec::new(), Vec::new());
    let mut problems = both_ways(mem, s.bind::<SuperInodes>().inodes.at(sb)?, &mut |link| {
        let inode = b.link.container(link)?;
        let own = b.sb.ptr(mem, inode)?;
        if own != sb {
            let why = format!("it is in the list of super block {sb:#x}, and says {own:#x}");
            return Err(KernelError::Damaged { what: "inode", at: inode, why });
        }
        match b.state.num(mem, inode) {
            Ok(state) if state & bits != 0 => all.push(inode),
            Ok(_) => {}
            Err(e) => unknown.push(e),
        }
        Ok(())
    });
    problems.extend(unknown);
    Ok(Dirty { all, problems })
}
