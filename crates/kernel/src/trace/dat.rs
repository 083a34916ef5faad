//! `trace.dat`, the file that trace-cmd and kernelshark read (trace-cmd.dat.v6(5)): what the kernel's tracing directory tells of
//! its events, its symbols and its tasks, then the sub-buffers of each CPU as they are.

use super::event::{Event, Events, Field};
use super::ring_buffer::Cpu;
use std::io::{self, Seek, SeekFrom, Write};

/// What comes first, with the version.
const MAGIC: &[u8] = b"\x17\x08\x44tracing6\0";
/// `TRACECMD_OPTION_…`: the end, a buffer of an instance, the clock.
const DONE: u16 = 0;
const BUFFER: u16 = 3;
const CLOCK: u16 = 4;

/// How a record begins (/sys/kernel/tracing/events/header_event).
const HEADER_EVENT: &str = "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 \
                            bits\n\n\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max \
                            type_len  == 28\n";

/// The buffers of an instance.
#[derive(Debug)]
pub struct Buffer<'a> {
    /// Its name; none for the one that is always there.
    pub name: Option<&'a str>,
    /// What its CPUs wrote.
    pub cpus: &'a [Cpu],
}

/// All that is written.
#[derive(Debug)]
pub struct File<'a> {
    /// Bytes of a sub-buffer.
    pub size: u64,
    /// The kinds of events.
    pub events: &'a Events,
    /// Addresses, kinds and names, a line each, as /proc/kallsyms has them.
    pub symbols: &'a str,
    /// Formats of `trace_printk()`, a line each, as printk_formats has them.
    pub formats: &'a str,
    /// Numbers and names of tasks, a line each, as saved_cmdlines has them.
    pub tasks: &'a str,
    /// The clock, as trace_clock has it.
    pub clock: &'a str,
    /// The buffers, the one that is always there first.
    pub buffers: &'a [Buffer<'a>],
}

/// How a sub-buffer begins (/sys/kernel/tracing/events/header_page).
fn header_page(size: u64) -> String {
    let field = |text: &str, offset: u64, size: u64, signed: u8| {
        format!("\tfield: {text};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n")
    };
    let data = size.saturating_sub(16);
    [
        field("u64 timestamp", 0, 8, 0),
        field("local_t commit", 8, 8, 1),
        field("int overwrite", 8, 1, 1),
        field("char data", 16, data, 1),
    ]
    .concat()
}

/// What the tracing directory's `format` of an event says.
#[must_use]
pub fn format(event: &Event, common: &[Field]) -> String {
    let lines = |fields: &[Field]| fields.iter().map(line).collect::<String>();
    let (name, number, text) = (&event.name, event.number, &event.format);
    let (all, own) = (lines(common), lines(&event.fields));
    format!("name: {name}\nID: {number}\nformat:\n{all}\n{own}\nprint fmt: {text}\n")
}

fn line(field: &Field) -> String {
    // the size of an array stands behind its name
    let array = field.kind.find('[').filter(|_| !field.kind.starts_with("__data_loc"));
    let (kind, array) =
        field.kind.split_at_checked(array.unwrap_or(field.kind.len())).unwrap_or((&field.kind, ""));
    let Field { name, offset, size, is_signed, .. } = field;
    format!(
        "\tfield:{kind} {name}{array};\toffset:{offset};\tsize:{size};\tsigned:{};\n",
        u8::from(*is_signed)
    )
}

/// A text behind its length, of eight bytes or of four.
fn long(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
fn short(out: &mut Vec<u8>, text: &str) {
    out.extend(count(text.len()).to_le_bytes());
    out.extend(text.as_bytes());
}
fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The kinds of events by their groups: those of ftrace itself first, and without a name.
fn events(out: &mut Vec<u8>, events: &Events) {
    let files = |out: &mut Vec<u8>, system: &str| {
        let own: Vec<&Event> = events.all.iter().filter(|event| event.system == system).collect();
        out.extend(count(own.len()).to_le_bytes());
        own.iter().for_each(|event| long(out, &format(event, &events.common)));
    };
    files(out, "ftrace");
    let mut systems: Vec<&str> = Vec::new();
    for event in &events.all {
        if event.system != "ftrace" && !systems.contains(&event.system.as_str()) {
            systems.push(&event.system);
        }
    }
    out.extend(count(systems.len()).to_le_bytes());
    for system in systems {
        out.extend(system.as_bytes());
        out.push(0);
        files(out, system);
    }
}

/// Writes the file.
///
/// # Errors
/// It cannot be written.
pub fn write<W: Write + Seek>(out: &mut W, file: &File<'_>) -> io::Result<()> {
    let mut head = MAGIC.to_vec();
    // little-endian, bytes of a long, bytes of a page
    head.extend([0, 8]);
    head.extend(u32::try_from(file.size).map_err(io::Error::other)?.to_le_bytes());
    head.extend(b"header_page\0");
    long(&mut head, &header_page(file.size));
    head.extend(b"header_event\0");
    long(&mut head, HEADER_EVENT);
    events(&mut head, file.events);
    short(&mut head, file.symbols);
    short(&mut head, file.formats);
    long(&mut head, file.tasks);
    let cpus =
        file.buffers.iter().flat_map(|buffer| buffer.cpus).map(|one| one.cpu as usize + 1).max().unwrap_or(0);
    head.extend(count(cpus).to_le_bytes());
    head.extend(b"options  \0");
    let mut places = Vec::new();
    for (n, buffer) in file.buffers.iter().enumerate() {
        let Some(name) = buffer.name else { continue };
        head.extend(BUFFER.to_le_bytes());
        head.extend(count(8 + name.len() + 1).to_le_bytes());
        // where its own part is, is known when it is written
        places.push((n, head.len() as u64));
        head.extend([0; 8]);
        head.extend(name.as_bytes());
        head.push(0);
    }
    head.extend(CLOCK.to_le_bytes());
    short(&mut head, &format!("[{}]\0", file.clock));
    head.extend(DONE.to_le_bytes());
    out.write_all(&head)?;
    let mut end = head.len() as u64;
    let first = file.buffers.iter().position(|buffer| buffer.name.is_none());
    end = buffer(out, end, first.and_then(|n| file.buffers.get(n)), cpus, file.size)?;
    for (n, place) in places {
        let begins = end;
        end = buffer(out, end, file.buffers.get(n), cpus, file.size)?;
        out.seek(SeekFrom::Start(place))?;
        out.write_all(&begins.to_le_bytes())?;
        out.seek(SeekFrom::Start(end))?;
    }
    out.flush()
}

/// Writes the sub-buffers of an instance at the end of the file, and gives back where it ends then.
fn buffer<W: Write + Seek>(
    out: &mut W,
    at: u64,
    buffer: Option<&Buffer<'_>>,
    cpus: usize,
    size: u64,
) -> io::Result<u64> {
    let mut head = b"flyrecord\0".to_vec();
    let of = |cpu: usize| buffer.and_then(|b| b.cpus.iter().find(|one| one.cpu as usize == cpu));
    let table = at.saturating_add(head.len() as u64).saturating_add(cpus as u64 * 16);
    let begins = table.next_multiple_of(size);
    let mut next = begins;
    for cpu in 0..cpus {
        let len = of(cpu).map_or(0, |one| one.pages.len() as u64).saturating_mul(size);
        head.extend(next.to_le_bytes());
        head.extend(len.to_le_bytes());
        next = next.saturating_add(len);
    }
    out.write_all(&head)?;
    out.seek(SeekFrom::Start(begins))?;
    for page in (0..cpus).filter_map(of).flat_map(|one| &one.pages) {
        out.write_all(&page.unread())?;
    }
    // a file ends where its last buffer does, also where that is empty
    if next == begins {
        out.seek(SeekFrom::Start(begins.saturating_sub(1)))?;
        out.write_all(&[0])?;
    }
    Ok(next)
}
