//! How reports of the kernel look.

use super::X86_64;
use crate::capability::OopsForm;

impl OopsForm for X86_64 {
    /// `RIP: 0010:virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`
    fn pc<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("RIP: ")?.split_once(':').map(|(_, place)| place)
    }
    /// `RSP: 0018:ffff888000000000 EFLAGS: 00010246`
    fn sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.split_once("RSP: ")?.1.split_once(':').map(|(_, sp)| sp)
    }
}
