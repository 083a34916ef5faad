//! Flattened streams.

/// A file as a flattened stream with records of at most `record` bytes; the second half of the
/// records comes first, and a wrong first record is overwritten by a later one.
#[must_use]
pub fn flatten(file: &[u8], record: usize) -> Vec<u8> {
    let mut out = b"makedumpfile\0\0\0\0".to_vec();
    out.extend(1_u64.to_be_bytes());
    out.extend(1_u64.to_be_bytes());
    out.resize(4096, 0);
    let mut put = |offset: usize, bytes: &[u8]| {
        out.extend((offset as u64).to_be_bytes());
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    };
    put(0, &vec![0xee; record.min(file.len())]);
    let records: Vec<_> = file.chunks(record).enumerate().collect();
    let (first, second) = records.split_at(records.len() / 2);
    for (i, bytes) in second.iter().chain(first) {
        put(i * record, bytes);
    }
    out.extend([0xff; 16]);
    out
}
