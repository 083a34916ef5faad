//! Rings whose parts contradict each other, or are lost.

use super::*;
use crate::testing::Ram;

const BASE: u64 = 0xffff_ffff_8200_0000;
const PRB: u64 = BASE + 0x80;
/// Bits of descriptors, and of bytes of text.
const BITS: (u32, u32) = (5, 12);
const DESCS: u64 = BASE + 0x1000;
const INFOS: u64 = BASE + 0x2000;
const TEXT: u64 = BASE + 0x4000;
const SIZE: usize = 0x6000;
/// So many messages, of which the ring still has the newest.
const ALL: u64 = 50;

/// The number of the oldest one.
const OVER: u64 = ALL - 20 - 1;

fn id(n: u64) -> u64 {
    0xffff_ffdf + n
}

fn message(n: u64) -> String {
    format!("message {n} of {ALL}{}", &"........"[..n as usize % 8])
}

/// A ring of 32 descriptors that went round.
fn ring() -> Ram {
    let mut ram = Ram::new(BASE, SIZE);
    let oldest = ALL - 20;
    ram.word(PRB, BITS.0.into());
    ram.word(PRB + 8, DESCS);
    ram.word(PRB + 16, INFOS);
    ram.word(PRB + 24, id(ALL - 1));
    ram.word(PRB + 32, id(oldest));
    ram.word(PRB + 40, BITS.1.into());
    ram.word(PRB + 48, TEXT);
    let mut lpos = 0_u64.wrapping_sub(1 << BITS.1);
    for n in 0..ALL {
        let (slot, text) = (id(n) & 31, message(n));
        let len = 8 + (text.len() as u64 + 1).next_multiple_of(8);
        if lpos >> BITS.1 != (lpos + len - 1) >> BITS.1 {
            lpos = (lpos >> BITS.1).wrapping_add(1) << BITS.1;
        }
        let state = if n < oldest { DESC_REUSABLE } else { DESC_FINALIZED };
        ram.word(DESCS + slot * 24, id(n) | state << 62);
        ram.word(DESCS + slot * 24 + 8, lpos);
        ram.word(DESCS + slot * 24 + 16, lpos.wrapping_add(len));
        let at = TEXT + (lpos & ((1 << BITS.1) - 1));
        ram.word(at, id(n));
        ram.put(at + 8, text.as_bytes());
        // the first descriptor never holds a message: the first one is number 0
        ram.word(INFOS + slot * 88, n.wrapping_sub(1));
        ram.word(INFOS + slot * 88 + 8, n * 1000);
        ram.put(INFOS + slot * 88 + 16, &[text.len() as u8, 0, 0, 6 << 5]);
        lpos = lpos.wrapping_add(len);
    }
    ram
}

fn read(ram: &Ram) -> Log {
    read_ring(ram, VirtAddr(PRB), &RingOffsets::USUAL).unwrap().into_log()
}

fn texts(log: &Log) -> Vec<String> {
    log.records.iter().map(|r| r.text.clone()).collect()
}

fn messages(of: std::ops::Range<u64>) -> Vec<String> {
    of.map(message).collect()
}

#[test]
fn counters_that_do_not_fit_the_descriptors_are_said_and_hide_nothing() {
    let log = read(&ring());
    assert_eq!((texts(&log), log.doubt.is_none(), log.lost), (messages(30..50), true, OVER));
    assert_eq!((log.records[1].ts_nsec, log.stopped.is_none()), (Some(31_000), true));
    for (head, tail) in [(40, 30), (49, 40), (60, 30), (1000, 30), (49, 60), (45, 35), (0, 0)] {
        let mut ram = ring();
        ram.word(PRB + 24, id(head));
        ram.word(PRB + 32, id(tail));
        let log = read(&ram);
        assert_eq!((texts(&log), log.lost), (messages(30..50), OVER), "{head} {tail}");
        assert!(log.doubt.is_some() && log.stopped.is_none(), "{head} {tail}");
    }
}

/// A full ring of texts gives up the descriptors of the oldest; `tail_id` stays until their places are needed.
#[test]
fn a_ring_that_went_round_is_sound_and_tells_what_was_written_over() {
    for tail in [30, 29, 28, 20, 18] {
        let mut ram = ring();
        ram.word(PRB + 32, id(tail));
        let log = read(&ram);
        assert_eq!((texts(&log), log.lost), (messages(30..50), OVER), "{tail}");
        assert!(log.doubt.is_none() && log.stopped.is_none() && log.hole.is_none(), "{tail}");
    }
}

/// Counts of descriptors of which none has an end that memory shows: what is asked stays small.
#[test]
fn a_number_of_descriptors_that_is_damaged_is_no_work() {
    for bits in [8, 24, *COUNT_BITS.end()] {
        let mut ram = ring();
        ram.word(PRB, bits.into());
        ram.word(PRB + 24, id(ALL - 1) + 4096);
        let log = read(&ram);
        // of the oldest the places are beyond the descriptors then
        assert!(texts(&log).ends_with(&messages(33..50)), "{bits}: {:?}", texts(&log));
        assert!(log.doubt.is_some() || log.stopped.is_some(), "{bits}");
        // ids whose places fit any number of descriptors
        let mut ram = ring();
        ram.word(PRB, bits.into());
        for slot in 0..32_u64 {
            ram.word(DESCS + slot * 24, (5 << 32 | slot) | DESC_FINALIZED << 62);
        }
        let log = read(&ram);
        assert!(log.stopped.is_some() && log.hole == Some(0), "{bits}");
    }
    // none can be read at all
    let mut ram = ring();
    ram.word(PRB, 26);
    ram.word(PRB + 8, BASE + 0x1000_0000);
    ram.word(PRB + 24, id(ALL - 1) + (1 << 25));
    let log = read(&ram);
    assert!(texts(&log).ends_with(&messages(30..50)) && log.hole.is_some());
    ram.word(PRB + 24, id(ALL - 1));
    let log = read(&ram);
    assert!(texts(&log).ends_with(&messages(30..50)) && log.stopped.is_some());
}

#[test]
fn a_message_that_had_no_room_is_lost_and_an_empty_line_is_none() {
    let mut ram = ring();
    for (n, lpos) in [(33, NO_LPOS), (35, 1)] {
        let slot = id(n) & 31;
        ram.word(DESCS + slot * 24 + 8, lpos);
        ram.word(DESCS + slot * 24 + 16, lpos);
        ram.put(INFOS + slot * 88 + 16, &[0, 0]);
    }
    let log = read(&ram);
    let mut want = messages(30..50);
    want[3] = String::new();
    want.remove(5);
    assert_eq!((texts(&log), log.lost, log.records[3].ts_nsec), (want, 1 + OVER, Some(33_000)));
    assert!(log.stopped.is_none() && log.doubt.is_none());
}

/// Pages of zeros, as missing ones can be: what the others tell is enough, or the text alone is left.
#[test]
fn a_message_whose_descriptor_or_info_is_lost_has_its_text() {
    let mut ram = ring();
    ram.bytes[0x1000..0x2000].fill(0);
    let log = read(&ram);
    // without descriptors those that were given up are told from the others by nothing but their age
    let found = texts(&log);
    assert!(found.ends_with(&messages(30..50)) && found.len() <= 32, "{found:?}");
    assert_eq!(log.records.last().unwrap().ts_nsec, Some(49_000));
    assert!(log.stopped.is_some() && log.untimed.is_none());

    let mut ram = ring();
    ram.bytes[0x2000..0x4000].fill(0);
    let log = read(&ram);
    assert_eq!((texts(&log), log.as_text, log.hole), (messages(30..50), true, None));
    assert!(log.records.iter().all(|r| r.ts_nsec.is_none() && r.level.is_none()) && log.stopped.is_some());

    // some of them
    let mut ram = ring();
    let slot = id(40) & 31;
    ram.bytes[0x2000 + slot as usize * 88..][..88].fill(0xff);
    let log = read(&ram);
    assert_eq!((texts(&log), log.untimed.as_ref().map(|u| u.0)), (messages(30..50), Some(1)));
    assert_eq!((log.records[10].ts_nsec, log.as_text, log.hole), (None, false, None));

    // a lost text is lost, and the first that is missing is told
    let mut ram = ring();
    ram.bytes[0x4000..0x6000].fill(0);
    let log = read(&ram);
    assert_eq!((log.records.len(), log.hole, log.stopped.is_some()), (0, Some(0), true));
}

#[test]
fn arrays_are_those_that_fit_each_other() {
    let at = &RingOffsets::USUAL;
    let ram = ring();
    let places = [BASE, DESCS + 24, INFOS + 8, TEXT + 16, DESCS, INFOS, TEXT].map(VirtAddr);
    let with = |bits: &[u32]| places.iter().flat_map(|at| bits.iter().map(|b| (*at, *b))).collect::<Vec<_>>();
    let candidates = Candidates {
        descs: with(&[4, 7, 6, 5]),
        infos: places.to_vec(),
        texts: [BASE, TEXT + 16, TEXT]
            .iter()
            .flat_map(|at| [13, 12, 11].map(|b| (VirtAddr(*at), b)))
            .collect(),
    };
    let arrays = candidates.fitting(&ram, at).unwrap();
    let want = RingArrays {
        count_bits: BITS.0,
        size_bits: BITS.1,
        descs: VirtAddr(DESCS),
        infos: VirtAddr(INFOS),
        text: VirtAddr(TEXT),
    };
    assert_eq!((arrays, texts(&read_arrays(&ram, at, arrays).into_log())), (want, messages(30..50)));
}

/// A length that the message's block contradicts: the text is told by the block, with its time, and that is said.
#[test]
fn a_length_that_its_block_contradicts_is_damage() {
    for len in [3_u16, 200, 60_000] {
        let mut ram = ring();
        let slot = id(ALL - 5) & 31;
        assert_eq!(texts(&read(&ram)), messages(ALL - 20..ALL));
        ram.put(INFOS + slot * 88 + 16, &len.to_le_bytes());
        let log = read(&ram);
        assert_eq!(texts(&log), messages(ALL - 20..ALL), "{len}");
        assert_eq!(log.records[15].ts_nsec, Some((ALL - 5) * 1000));
        let told = log.stopped.or(log.doubt).map(|why| why.to_string());
        assert!(told.is_some_and(|why| why.contains(&format!("text_len {len}"))), "{len}");
    }
}

/// Descriptors of state 0: where the text is whole it is told with a word, where it was being written it is not there.
#[test]
fn a_message_that_is_marked_as_being_written() {
    for (n, is_whole) in [(ALL - 1, true), (ALL - 7, true), (ALL - 1, false), (ALL - 7, false)] {
        let mut ram = ring();
        let slot = id(n) & 31;
        ram.word(DESCS + slot * 24, id(n) | DESC_RESERVED << 62);
        if !is_whole {
            // the length is written last
            ram.put(INFOS + slot * 88 + 16, &[0, 0]);
        }
        let log = read(&ram);
        let texts: Vec<_> = log.records.iter().map(|r| r.text.clone()).collect();
        let wanted: Vec<_> = (ALL - 20..ALL).filter(|m| is_whole || *m != n).map(message).collect();
        assert_eq!(texts, wanted, "{n} {is_whole}");
        assert_eq!(
            (log.reserved, log.lost),
            (u64::from(is_whole), OVER + u64::from(!is_whole)),
            "{n} {is_whole}"
        );
        assert!(log.stopped.is_none() && log.hole.is_none(), "{n} {is_whole}");
    }
}

/// A descriptor between messages that cannot be one that was given up.
#[test]
fn a_damaged_descriptor_between_messages_is_no_message_that_was_written_over() {
    type Damage = fn(&mut Ram, u64);
    let desc = |n: u64| DESCS + (id(n) & 31) * 24;
    let damages: [(&str, Damage); 5] = [
        ("another id", |ram, at| ram.word(at, 0x1234_5678 | DESC_FINALIZED << 62)),
        ("the id of a round before", |ram, at| ram.word(at, (id(40) - 32) | DESC_FINALIZED << 62)),
        ("reusable", |ram, at| ram.word(at, id(40) | DESC_REUSABLE << 62)),
        ("nothing", |ram, at| ram.word(at, 0)),
        ("no text", |ram, at| {
            ram.word(at + 8, 5);
            ram.word(at + 16, 7);
        }),
    ];
    for (what, damage) in damages {
        let mut ram = ring();
        damage(&mut ram, desc(40));
        let log = read(&ram);
        // its text and its info are there all the same
        assert_eq!((texts(&log), log.lost), (messages(30..50), OVER), "{what}");
        assert_eq!(log.records[10].ts_nsec, Some(40_000), "{what}");
        let told = log.stopped.map(|why| why.to_string()).unwrap_or_default();
        assert!(told.contains("printk descriptors"), "{what}: {told}");
        // without them it is missing, and where it was is told
        let is_its = |n: &usize| ram.bytes[0x4000 + n..][..8] == id(40).to_le_bytes();
        let text = (0..1 << 12).step_by(8).find(is_its);
        ram.bytes[0x4000 + text.unwrap()..][..8].fill(0);
        let log = read(&ram);
        assert_eq!((log.records.len(), log.hole, log.lost), (19, Some(10), OVER), "{what}");
        assert!(log.stopped.is_some(), "{what}");
    }
    // what CPUs took and have not marked yet, or gave up among the oldest
    let mut ram = ring();
    ram.word(desc(ALL - 2), (id(ALL - 2) - 32) | DESC_REUSABLE << 62);
    ram.word(desc(31), id(31) | DESC_REUSABLE << 62);
    let begin = |ram: &Ram, n: u64| {
        u64::from_le_bytes(ram.bytes[(desc(n) - BASE + 8) as usize..][..8].try_into().unwrap())
    };
    let before = begin(&ram, 30);
    ram.word(desc(31) + 8, before.wrapping_sub(0x20));
    let log = read(&ram);
    assert_eq!((log.records.len(), log.lost), (18, OVER + 2));
    assert!(log.stopped.is_none() && log.doubt.is_none() && log.hole.is_none());
}

/// A number that the places of the others contradict.
#[test]
fn a_number_that_is_no_part_of_the_sequence_is_damage() {
    for n in [30, 40, ALL - 1] {
        let mut ram = ring();
        ram.word(INFOS + (id(n) & 31) * 88, n - 1 + 64);
        let log = read(&ram);
        let numbers: Vec<_> = log.records.iter().map(|r| r.seq.unwrap()).collect();
        assert_eq!((numbers, log.lost), ((29..49).collect(), OVER), "{n}");
        let told = log.doubt.map(|why| why.to_string()).unwrap_or_default();
        assert!(told.contains(&format!("number {}", n - 1 + 64)), "{told}");
    }
}

/// `count_bits`, `size_bits` and the place of the texts, which the rest of the ring contradicts.
#[test]
fn a_damaged_size_or_place_hides_no_message() {
    for bits in (3..=10).filter(|bits| *bits != BITS.0) {
        let mut ram = ring();
        ram.word(PRB, bits.into());
        let log = read(&ram);
        assert_eq!((texts(&log), log.lost), (messages(30..50), OVER), "{bits}");
        assert!(log.doubt.is_some_and(|why| why.to_string().contains("count_bits")), "{bits}");
    }
    // of the texts no more than half of the ring was ever used
    for bits in [8, 9, 10, 11, 13, 16] {
        let mut ram = ring();
        ram.word(PRB + 40, bits);
        let log = read(&ram);
        let told = texts(&log);
        assert!(told.iter().all(|text| messages(30..50).contains(text)), "size_bits {bits}: {told:?}");
        assert!(told == messages(30..50) || log.stopped.is_some(), "size_bits {bits}: {told:?}");
    }
    let mut ram = ring();
    ram.word(PRB + 48, TEXT + 8);
    let log = read(&ram);
    assert!(texts(&log).iter().all(|text| messages(30..50).contains(text)), "{:?}", texts(&log));
    assert!(log.records.len() == 20 && log.doubt.is_some() || log.stopped.is_some());
}
