//! Why a file could not be opened as a dump. Every message says what failed, where and what to do.
//! What is wrong with a single page is no error but a [`base::Gap`].

use std::io;
use std::path::PathBuf;

/// Why [`crate::open`] failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DumpError {
    /// No file was named.
    #[error("no dump file was given")]
    NoFiles,
    /// The system refused to open or read the file.
    #[error("{}: cannot read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory was named.
    #[error("{}: is a directory; name the dump file in it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// A FIFO, socket or terminal was named.
    #[error("{}: not a regular file; save the stream to a file first", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty; the dump was never written (disk full?)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Nothing in the file says dump.
    #[error("{}: not a kernel dump: starts with {}, {why}", path.display(), hex(start))]
    NotADump {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        start: Vec<u8>,
        /// Why it is no raw RAM image either.
        why: String,
    },
    /// A file of a kind that is known, but cannot be opened.
    #[error("{}: is {what}; {advice}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do with it.
        advice: &'static str,
    },
    /// The file ends inside a header.
    #[error(
        "{}: truncated: {what} needs {wanted} bytes at offset {offset:#x}, the file has {len:#x}; \
         copy the dump again", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The header that is cut.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// How many bytes it has by its own account.
        wanted: u64,
        /// Length of the file.
        len: u64,
    },
    /// A header field has a value that no dump has.
    #[error("{}: corrupt header: {field} is {value:#x} ({expected})", path.display())]
    BadField {
        /// The file.
        path: PathBuf,
        /// The field, as the format's specification spells it.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What would be right.
        expected: &'static str,
    },
    /// Several files that are no parts of one dump.
    #[error("{}: not a part of the same dump as {}: {why}", path.display(), first.display())]
    NotOneSet {
        /// The file that does not fit.
        path: PathBuf,
        /// The first file of the set.
        first: PathBuf,
        /// Why not.
        why: String,
    },
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".into();
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a dump that opened all the same; shown by `info`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Warning {
    /// The file ends before the data that its headers promise.
    FileTruncated {
        /// The end of the data by the headers.
        wanted: u64,
        /// Length of the file.
        len: u64,
    },
    /// The text of a log is longer than what is read of it.
    LongLog {
        /// Bytes that are read, the last of them.
        read: u64,
        /// Length of the file.
        len: u64,
    },
    /// The dumping program marked the file as incomplete.
    MarkedIncomplete,
    /// The dump came out of a packed file of which not all could be unpacked.
    Shortened {
        /// The packed file.
        packed: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An ELF note runs over the end of its segment: it and what follows are left out.
    NoteOverflow {
        /// Offset of the note in the segment.
        offset: u64,
        /// Bytes that it claims.
        wanted: u64,
        /// Bytes of the segment.
        len: u64,
    },
    /// The notes, or what else the headers point at, lie all or in part outside the file.
    NotesTruncated {
        /// What.
        what: &'static str,
        /// Where they start.
        offset: u64,
        /// Their length by the header.
        wanted: u64,
        /// Length of the file.
        len: u64,
    },
    /// A header points at VMCOREINFO that is not there or is no such text.
    BadVmcoreinfo {
        /// Where it should be.
        offset: u64,
        /// Its length by the header.
        size: u64,
    },
    /// A header points at what makedumpfile erased, and no such text is there.
    BadEraseInfo {
        /// Where it should be.
        offset: u64,
        /// Its length by the header.
        size: u64,
    },
    /// A split set lacks files: page frames that none of the given files holds.
    PartMissing {
        /// First page frame of the gap.
        start_pfn: u64,
        /// One past the last.
        end_pfn: u64,
    },
    /// The bitmap of a kdump file's pages has a bit for another number of pages than the file has descriptors: which page
    /// is which cannot be told.
    BitmapMisfit {
        /// First page frame of the file.
        start_pfn: u64,
        /// One past the last.
        end_pfn: u64,
    },
    /// A part of a split set was given twice.
    PartOverlap {
        /// First page frame that two parts claim.
        start_pfn: u64,
        /// One past the last.
        end_pfn: u64,
    },
    /// A record of a flattened stream lies outside of any file: it and all after it are left out.
    StreamCorrupt {
        /// Where the record is.
        at: u64,
        /// Where it says its bytes belong.
        offset: u64,
        /// How many it says they are.
        size: u64,
    },
    /// The header has a newer version than is known.
    NewerHeader {
        /// The version.
        version: u32,
        /// The newest one known.
        known: u32,
    },
    /// A field of an ELF program header that the other headers contradict, and what they say it is.
    HeaderMended {
        /// Which header, from 0.
        number: usize,
        /// The field.
        field: &'static str,
        /// What the header says.
        value: u64,
        /// What is taken.
        taken: u64,
    },
    /// A segment that the other program headers contradict.
    HeaderLeftOut {
        /// Which header, from 0.
        number: usize,
        /// Its `p_paddr`.
        phys: u64,
        /// Bytes of its data.
        len: u64,
        /// What contradicts it.
        why: &'static str,
    },
    /// The file ends before all program headers.
    HeadersLost {
        /// How many the ELF header tells of.
        claimed: u64,
        /// How many are in the file.
        found: usize,
    },
    /// No header tells of memory.
    NoMemory,
    /// The ELF header claims another number of program headers than there are.
    HeaderCount {
        /// How many by `e_phnum`.
        claimed: u64,
        /// How many there are.
        found: usize,
    },
    /// A field of a kdump header that the rest of the file contradicts, and what it says.
    FieldMended {
        /// The field.
        field: &'static str,
        /// What the header says.
        value: u64,
        /// What is taken.
        taken: u64,
    },
    /// Notes or a text that the header places in itself.
    InHeader {
        /// What.
        what: &'static str,
        /// Where by the header.
        offset: u64,
        /// How many bytes by the header.
        len: u64,
    },
    /// The header calls the file a part of a split set, of frames that no part can have.
    NoPart {
        /// First page frame.
        start: u64,
        /// One past the last.
        end: u64,
    },
    /// A raw image ends inside a page.
    CutPage {
        /// Length of the file.
        len: u64,
    },
    /// Bytes of an ELF dump that no header leads to.
    Unplaced {
        /// Where in the file.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// The bytes that name the format are damaged; what follows them is a header of it.
    MagicDamaged {
        /// The format.
        format: &'static str,
        /// Where the bytes are.
        offset: u64,
    },
    /// Behind the last range of a LiME image lies what is none.
    NoRange {
        /// Where.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// A flattened stream that has its end mark lacks records.
    StreamHole {
        /// The first byte of the dump that no record has.
        offset: u64,
        /// How many bytes no record has.
        len: u64,
    },
    /// Nothing tells which page frames a file of a split set has.
    FramesUnknown {
        /// The file.
        path: PathBuf,
    },
    /// One of several files of a set.
    OfFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: Box<Warning>,
    },
    /// A flattened stream ends without its end mark.
    StreamTruncated {
        /// Where the next record was expected.
        offset: u64,
    },
}

impl Warning {
    /// What it says, of whichever file.
    #[must_use]
    pub fn itself(&self) -> &Self {
        match self {
            Self::OfFile { why, .. } => why,
            own => own,
        }
    }

    /// Whether memory that the dump should hold is lost for this reason.
    #[must_use]
    pub(crate) fn loses_memory(&self) -> bool {
        matches!(
            self.itself(),
            Self::FileTruncated { .. }
                | Self::StreamTruncated { .. }
                | Self::StreamHole { .. }
                | Self::NoRange { .. }
                | Self::FramesUnknown { .. }
                | Self::StreamCorrupt { .. }
                | Self::HeadersLost { .. }
                | Self::HeaderLeftOut { .. }
                | Self::NoMemory
                | Self::Unplaced { .. }
                | Self::CutPage { .. }
                | Self::PartMissing { .. }
                | Self::BitmapMisfit { .. }
                | Self::MarkedIncomplete
                | Self::Shortened { .. }
        )
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FileTruncated { wanted, len } => {
                write!(f, "file is truncated: its headers promise at least {wanted} bytes, it has {len}")
            }
            Self::Shortened { packed, why } => {
                write!(f, "{}: {why}: the dump may not be whole", packed.display())
            }
            Self::LongLog { read, len } => {
                write!(f, "the text has {len} bytes: the last {read} of them are read")
            }
            Self::MarkedIncomplete => {
                f.write_str("dump is incomplete: the dumping program ran out of space and said so")
            }
            Self::NoteOverflow { offset, wanted, len } => write!(
                f,
                "ELF note at offset {offset:#x} claims {wanted:#x} bytes of a segment of {len:#x}: \
                 it and the notes after it are left out"
            ),
            Self::NotesTruncated { what, offset, wanted, len } => write!(
                f,
                "{what} of {wanted:#x} bytes at offset {offset:#x} are not all in the file of {len:#x}"
            ),
            Self::BadVmcoreinfo { offset, size } => {
                write!(
                    f,
                    "no VMCOREINFO text of {size:#x} bytes at offset {offset:#x}, where the header says"
                )
            }
            Self::BadEraseInfo { offset, size } => write!(
                f,
                "no text of {size:#x} bytes at offset {offset:#x}, where the header says that makedumpfile wrote what it \
                 erased"
            ),
            Self::PartMissing { start_pfn, end_pfn } => write!(
                f,
                "the file of the split set that holds page frames {start_pfn:#x}-{end_pfn:#x} was not given: \
                 name all parts"
            ),
            Self::BitmapMisfit { start_pfn, end_pfn } => write!(
                f,
                "the file is damaged: of page frames {start_pfn:#x}-{end_pfn:#x} its bitmap has another number of pages than \
                 the file has descriptors, so that it cannot be told which page is which: none is read; copy it again"
            ),
            Self::PartOverlap { start_pfn, end_pfn } => {
                write!(f, "page frames {start_pfn:#x}-{end_pfn:#x} are claimed by two files of the split set")
            }
            Self::StreamCorrupt { at, offset, size } => write!(
                f,
                "record at {at:#x} of the flattened stream is corrupt (offset {offset:#x}, size {size:#x}): \
                 it and all after it are left out"
            ),
            Self::NewerHeader { version, known } => {
                write!(f, "header version {version} is newer than {known}, which it is read as")
            }
            Self::HeaderMended { number, field, value, taken } => write!(
                f,
                "ELF program header {number} is damaged: {field} is {value:#x}, the other headers say {taken:#x}, which is \
                 taken"
            ),
            Self::HeaderLeftOut { number, phys, len, why } => write!(
                f,
                "ELF program header {number} (physical address {phys:#x}, {len:#x} bytes) is damaged: {why}; its memory is \
                 left out"
            ),
            Self::HeadersLost { claimed, found } => write!(
                f,
                "file is truncated: {found} of its {claimed} program headers are in it; where the memory of the others is in \
                 the file is lost; copy it again"
            ),
            Self::NoMemory => {
                f.write_str("the file places no memory: its headers and notes are all that can be read")
            }
            Self::HeaderCount { claimed, found } => write!(
                f,
                "the ELF header is damaged: e_phnum is {claimed}, data begin behind program header {found}; those are read"
            ),
            Self::FieldMended { field, value, taken } => write!(
                f,
                "the header is damaged: {field} is {value:#x}, the rest of the file says {taken:#x}, which is taken"
            ),
            Self::InHeader { what, offset, len } => write!(
                f,
                "the header is damaged: {what} of {len:#x} bytes cannot lie at offset {offset:#x}, which is in the header: it is \
                 left out"
            ),
            Self::NoPart { start, end } => write!(
                f,
                "the header is damaged: it calls the file a part of a split set with page frames {start:#x}-{end:#x}, which \
                 are none; it is read as a whole dump"
            ),
            Self::CutPage { len } => {
                write!(f, "file is truncated: {len} bytes are no whole number of pages; copy it again")
            }
            Self::Unplaced { offset, len } => write!(
                f,
                "{len:#x} bytes at offset {offset:#x} of the file are in no segment: a header is damaged, or they are no part of \
                 the dump; memory in them is not known"
            ),
            Self::MagicDamaged { format, offset } => write!(
                f,
                "the header is damaged: the signature of {format} at offset {offset:#x} has a wrong byte; what follows it is a \
                 header of that format, as which it is read"
            ),
            Self::NoRange { offset, len } => write!(
                f,
                "{len:#x} bytes at offset {offset:#x} of the file are no range of memory: a header is damaged or what was written \
                 behind the last range is something else; memory in them is not known"
            ),
            Self::StreamHole { offset, len } => write!(
                f,
                "flattened stream lacks records: none has {len:#x} bytes of the dump, from offset {offset:#x} on; copy it again"
            ),
            Self::FramesUnknown { path } => write!(
                f,
                "{}: the header is damaged: the page frames that it names are not as many as the file has pages, and no other \
                 range of the set fits; none of its pages is read",
                path.display()
            ),
            Self::OfFile { path, why } => write!(f, "{}: {why}", path.display()),
            Self::StreamTruncated { offset } => {
                write!(
                    f,
                    "the file is cut off at offset {offset:#x}: a flattened stream (makedumpfile -F) ends with a mark, and this has none"
                )
            }
        }
    }
}
