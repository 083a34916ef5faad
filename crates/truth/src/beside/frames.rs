//! Frames as `bt` prints them.

use crate::Place;

/// ` #5 [ff38d7e3404c36f8] virtqueue_add_sgs+0x1d2 at ffffffffc0568222 [virtio_ring]`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where the program counter was found.
    pub(super) slot: u64,
    /// The function.
    pub(super) function: String,
    /// Bytes from its start, where shown.
    pub(super) offset: Option<u64>,
    /// The program counter.
    pub(super) pc: u64,
}

/// A line without the number of a frame.
pub(super) fn without_number(line: &str) -> &str {
    let rest = line.trim_start().strip_prefix('#');
    let rest = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    rest.and_then(|rest| rest.strip_prefix(' ')).unwrap_or(line)
}

impl Frame {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (slot, rest) = line.strip_prefix('[')?.split_once("] ")?;
        let (place, rest) = rest.split_once(" at ")?;
        let pc = rest.split(' ').next()?;
        let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
        let (function, offset) = match place.split_once('+') {
            Some((function, offset)) => (function, Some(hex(offset)?)),
            None => (place, None),
        };
        Some(Self { slot: hex(slot)?, function: function.to_owned(), offset, pc: hex(pc)? })
    }
    /// As the guest writes it.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place { symbol: self.function.clone(), offset: self.offset? })
    }
}

/// The pid in a task's line.
pub(super) fn pid(head: &str) -> Option<i64> {
    head.strip_prefix("PID: ")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let line = without_number(
            " #5 [ff38d7e3404c36f8] virtqueue_add_sgs+0x1d2 at ffffffffc0568222 [virtio_ring]",
        );
        let frame = Frame::parse(line).unwrap();
        assert_eq!((frame.slot, frame.pc), (0xff38_d7e3_404c_36f8, 0xffff_ffff_c056_8222));
        assert_eq!(frame.place().unwrap(), Place { symbol: "virtqueue_add_sgs".into(), offset: 0x1d2 });
        assert_eq!(without_number("#12 [1] f at 2"), "[1] f at 2");
        assert_eq!(without_number("    RIP: 1"), "    RIP: 1");
        assert!(Frame::parse("    RIP: 1").is_none());
    }
}
