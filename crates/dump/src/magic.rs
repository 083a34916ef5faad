//! The bytes that name a format, also where one of them is damaged.

/// Whether the first bytes are a magic of which a quarter at most is damaged. That tells no format by itself: the fields behind
/// it have to fit too.
pub(crate) fn is_nearly(start: &[u8], magic: &[u8]) -> bool {
    let same = start.iter().zip(magic).filter(|(byte, own)| byte == own).count();
    4 * same >= 3 * magic.len() && same < magic.len()
}
