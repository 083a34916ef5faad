//! How reports of the kernel look.

use super::Arm64;
use crate::capability::OopsForm;

impl OopsForm for Arm64 {
    /// `pc : virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`
    fn pc<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("pc : ")
    }
    /// `sp : ffff80000802bc00`
    fn sp<'t>(&self, line: &'t str) -> Option<&'t str> {
        line.strip_prefix("sp : ")
    }
}
