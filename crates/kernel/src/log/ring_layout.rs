//! Where the structs of printk's ring (5.10) have what, by types or by VMCOREINFO.
//!
//! Source: kernel/printk/printk_ringbuffer.h, Documentation/admin-guide/kdump/vmcoreinfo.rst. The bindings are here and not
//! in `ring`, as what reads a ring needs offsets alone: of a kernel without types they are the usual ones.

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct printk_ringbuffer`
    struct Ringbuffer("printk_ringbuffer") { desc_ring: "desc_ring", text_data_ring: "text_data_ring" }
}
bind! {
    /// `struct prb_desc_ring`
    struct DescRing("prb_desc_ring") {
        count_bits: "count_bits",
        descs: "descs",
        infos: "infos",
        head_id: "head_id",
        tail_id: "tail_id",
    }
}
bind! {
    /// `struct prb_desc`
    struct Desc("prb_desc") { state_var: "state_var", text_blk_lpos: "text_blk_lpos" }
}
bind! {
    /// `struct prb_data_blk_lpos`
    struct BlkLpos("prb_data_blk_lpos") { begin: "begin", next: "next" }
}
bind! {
    /// `struct prb_data_ring`
    struct DataRing("prb_data_ring") { size_bits: "size_bits", data: "data" }
}
bind! {
    /// `struct printk_info`
    struct Info("printk_info") {
        seq: "seq",
        ts_nsec: "ts_nsec",
        text_len: "text_len",
        facility: "facility",
        caller_id: "caller_id",
        dev_info: "dev_info",
    }
}
impl Info {
    /// Where the facility is, which flags and level follow. Where no type tells, it is what fills the two bytes between
    /// the text's length and the caller, whose places VMCOREINFO has.
    fn facility_at(&self, record: VirtAddr) -> Result<VirtAddr> {
        self.facility.at(record).or_else(|e| {
            let behind = self.text_len.offset()?.saturating_add(2);
            match self.caller_id.offset()? == behind.saturating_add(2) {
                true => Ok(record.add(behind)),
                false => Err(e),
            }
        })
    }
}

/// Where the structs of the ring have what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RingOffsets {
    /// In `printk_ringbuffer`.
    pub(crate) desc_ring: u64,
    pub(crate) text_ring: u64,
    /// In `prb_desc_ring`: `count_bits`, `descs`, `infos`, `head_id`, `tail_id`.
    pub(crate) ring: [u64; 5],
    /// In `prb_data_ring`: `size_bits`, `data`.
    pub(crate) data: [u64; 2],
    /// `prb_desc`
    pub(crate) desc_size: u64,
    pub(crate) state_var: u64,
    /// `begin` and `next` of its block.
    pub(crate) block: [u64; 2],
    /// `printk_info`: `seq`, `ts_nsec`, `text_len`; what follows is not in all kernels.
    pub(crate) info_size: u64,
    pub(crate) info: [u64; 3],
    pub(crate) facility: u64,
    pub(crate) caller_id: Option<u64>,
    pub(crate) dev_info: Option<u64>,
}

impl RingOffsets {
    /// Where they have been since 5.10, but for `text_ring`.
    pub(crate) const USUAL: Self = Self {
        desc_ring: 0,
        text_ring: 40,
        ring: [0, 8, 16, 24, 32],
        data: [0, 8],
        desc_size: 24,
        state_var: 0,
        block: [8, 16],
        info_size: 88,
        info: [0, 8, 16],
        facility: 18,
        caller_id: Some(20),
        dev_info: Some(24),
    };

    /// As types or VMCOREINFO tell.
    pub(crate) fn of(s: &Session) -> Result<Self> {
        let rb = s.bind::<Ringbuffer>();
        let ring = s.bind::<DescRing>();
        let desc = s.bind::<Desc>();
        let lpos = s.bind::<BlkLpos>();
        let data = s.bind::<DataRing>();
        let info = s.bind::<Info>();
        let block = desc.text_blk_lpos.offset()?;
        Ok(Self {
            desc_ring: rb.desc_ring.offset()?,
            text_ring: rb.text_data_ring.offset()?,
            ring: [
                ring.count_bits.offset()?,
                ring.descs.offset()?,
                ring.infos.offset()?,
                ring.head_id.offset()?,
                ring.tail_id.offset()?,
            ],
            data: [data.size_bits.offset()?, data.data.offset()?],
            desc_size: desc.size.ok_or(KernelError::NoType("prb_desc"))?,
            state_var: desc.state_var.offset()?,
            block: [block.saturating_add(lpos.begin.offset()?), block.saturating_add(lpos.next.offset()?)],
            info_size: info.size.ok_or(KernelError::NoType("printk_info"))?,
            info: [info.seq.offset()?, info.ts_nsec.offset()?, info.text_len.offset()?],
            facility: info.facility_at(VirtAddr(0))?.0,
            caller_id: info.caller_id.offset().ok(),
            dev_info: info.dev_info.offset().ok(),
        })
    }
}
