//! What a ring has no message for: ids before the oldest one that is kept, and between others.
//!
//! Numbers of messages ascend as ids do, from 0 (`prb_reserve`, kernel/printk/printk_ringbuffer.c), so that the number of the
//! oldest kept message is how many were written over. Texts are given up in the order in which they lie in their ring, which
//! differs from that of ids by the few messages that CPUs write at once. Any other descriptor between messages is damaged.

use super::{DESC_REUSABLE, FAILED_LPOS, Found, ID_MASK, Ring, UNREAD_WITHIN, in_use};
use crate::error::KernelError;
use crate::log::printk::LogRecord;
use base::VirtAddr;
use std::collections::BTreeMap;

/// Messages that may be taken at once by CPUs that have not marked their descriptors yet.
const AT_ONCE: i64 = 64;
/// Of so many of the oldest messages the texts are looked at for the oldest one.
const OLDEST: usize = 64;
/// Ids that are held against other numbers of descriptors.
const IDS: u64 = 1024;
/// So many of them have to fit.
const ENOUGH: u64 = 8;

impl Ring<'_> {
    /// Finds what is between the messages that were found, and their numbers.
    pub(super) fn account(&self, found: &mut Found) {
        self.check_numbers(found);
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return };
        // ids that are further apart are none of one ring; that is told
        if last.saturating_sub(first) >= self.count().cast_signed() {
            return;
        }
        let oldest_text = self.oldest_text(found);
        let round = self.count().cast_signed();
        for id in first..=last {
            if found.records.contains_key(&id) || found.gone.contains(&id) {
                continue;
            }
            if found.unwritten.contains(&id) {
                found.lost = found.lost.saturating_add(1);
                continue;
            }
            let is_first_round = found.base.is_none_or(|base| id.saturating_add(base) < round);
            let near = (last.saturating_sub(id) < AT_ONCE).then_some(is_first_round);
            match self.damage(id, near, oldest_text) {
                None => found.lost = found.lost.saturating_add(1),
                Some(why) => {
                    found.is_damaged = true;
                    found.fail(
                        id,
                        KernelError::Damaged { what: "printk descriptors", at: self.desc_at(id), why },
                    );
                }
            }
            if found.gone.len() as u64 >= UNREAD_WITHIN {
                found.unknown = true;
                break;
            }
        }
    }

    fn desc_at(&self, id: i64) -> VirtAddr {
        self.desc(id.cast_unsigned() & ID_MASK)
    }

    /// Where the oldest kept text begins.
    fn oldest_text(&self, found: &Found) -> Option<u64> {
        let begins = found.records.keys().take(OLDEST).filter_map(|id| self.block(id.cast_unsigned()).ok());
        let begins = begins.map(|[begin, _]| begin).filter(|begin| begin & super::DATALESS == 0);
        begins.reduce(|a, b| if is_before(b, a) { b } else { a })
    }

    /// Why a descriptor between messages can be none that was given up, or that had no room; `None` where it can. `near` is for
    /// one of the newest, and whether it is of the ring's first round.
    fn damage(&self, id: i64, near: Option<bool>, oldest_text: Option<u64>) -> Option<String> {
        let wanted = id.cast_unsigned() & ID_MASK;
        let Ok((state, own)) = self.state(wanted) else { return None };
        let block = self.block(wanted).ok()?;
        if own == wanted {
            let had_no_room = in_use(state) && block == [FAILED_LPOS; 2];
            let is_older = oldest_text.is_none_or(|oldest| is_before(block[0], oldest));
            let was_given_up = state == DESC_REUSABLE && (block[0] & super::DATALESS != 0 || is_older);
            return (!(had_no_room || was_given_up)).then(|| {
                format!("the one with id {wanted:#x} has state {state} and a text from {:#x} to {:#x} among kept messages", block[0], block[1])
            });
        }
        // a CPU takes an id before it marks the descriptor, which has what it had a round before
        let was_before = state == DESC_REUSABLE && own == wanted.wrapping_sub(self.count()) & ID_MASK;
        let was_unused = (state, own) == (0, 0);
        let is_taken = near.is_some_and(|is_first| if is_first { was_unused } else { was_before });
        (!is_taken)
            .then(|| format!("the one at the place of id {wanted:#x} has the id {own:#x} and state {state}"))
    }

    /// Numbers that differ from those that most messages' ids give them are damaged.
    fn check_numbers(&self, found: &mut Found) {
        found.base = base(&found.records);
        let Some(base) = found.base else { return };
        let mut odd = None;
        for (id, record) in &mut found.records {
            let wanted = u64::try_from(id.saturating_add(base)).ok();
            if record.seq.is_some() && record.seq != wanted {
                odd.get_or_insert((*id, record.seq, wanted));
                record.seq = wanted;
            }
        }
        if let Some((id, Some(seq), wanted)) = odd {
            let at = self.info_at(id.cast_unsigned() & ID_MASK);
            let wanted = wanted.map_or_else(|| "none".to_owned(), |wanted| wanted.to_string());
            let why = format!("a message has the number {seq}, and by its place {wanted}");
            found.why.get_or_insert(KernelError::Damaged { what: "printk_info", at, why });
        }
    }

    /// The ring with the number of descriptors that the ids in them tell, where that is another one.
    pub(super) fn with_other_bits(&self, tail: u64, head: u64) -> Option<Self> {
        let kept = (head.wrapping_sub(tail) & ID_MASK).saturating_add(1);
        let asked = kept.min(IDS);
        let fitting = |ring: &Self| {
            let is_there = |id: u64| ring.state(id).is_ok_and(|(_, own)| own == id);
            let ids = (0..asked).map(|n| head.wrapping_sub(n) & ID_MASK);
            is_there(tail).then(|| ids.filter(|id| is_there(*id)).count() as u64)
        };
        let all = super::COUNT_BITS
            .map(|count_bits| Self { arrays: super::RingArrays { count_bits, ..self.arrays }, ..*self });
        let all = all.filter(|ring| ring.arrays.count_bits != self.arrays.count_bits && kept <= ring.count());
        let all = all.filter(|ring| ring.contradicted(tail, head).is_none());
        let all = all.filter_map(|ring| Some((fitting(&ring)?, ring)));
        // `max_by_key` takes the last of equals: the smallest number is credible
        let (count, ring) = all.collect::<Vec<_>>().into_iter().rev().max_by_key(|(count, _)| *count)?;
        (count >= ENOUGH && count.saturating_mul(2) > asked).then_some(ring)
    }
}

/// Whether one place in the ring of texts is before another: they ascend, and wrap.
const fn is_before(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed().is_negative()
}

/// By how much messages' numbers differ from their ids, as most have it.
fn base(records: &BTreeMap<i64, LogRecord>) -> Option<i64> {
    let of = |(id, record): (&i64, &LogRecord)| Some(record.seq?.cast_signed().wrapping_sub(*id));
    let mut all: Vec<i64> = records.iter().filter_map(of).collect();
    all.sort_unstable();
    let most = all.chunk_by(|a, b| a == b).max_by_key(|run| run.len())?;
    (most.len().saturating_mul(2) > all.len()).then(|| most.first().copied()).flatten()
}
