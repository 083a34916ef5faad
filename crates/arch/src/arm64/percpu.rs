//! Where CPUs have their own variables: in TPIDR_EL1 (EL2 where the kernel runs there), which no note of a dump holds and no
//! entry saves. So no register tells.

use super::Arm64;
use crate::capability::PerCpu;

impl PerCpu for Arm64 {}
