//! What programs and the kernel agree on.

use super::X86_64;
use crate::capability::Syscalls;

impl Syscalls for X86_64 {}
