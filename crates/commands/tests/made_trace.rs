//! `trace` on a kernel that is made from tables: its text, its file, what is missing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::Kernel;

/// What was made.
struct Traced {
    k: Kernel,
    /// `buffer_page`s: the reader's, then those of the ring.
    pages: [u64; 4],
    /// Their sub-buffers.
    data: [u64; 4],
    per_cpu: u64,
    size: u64,
}

/// The structs of a kernel: of 3.10, or of 6.8, whose sub-buffers have two pages here.
fn structs(k: &mut Kernel, is_new: bool) {
    let (call, class) = if is_new {
        ("trace_event_call", "trace_event_class")
    } else {
        ("ftrace_event_call", "ftrace_event_class")
    };
    let (array, whole) =
        if is_new { ("array_buffer", "trace_buffer") } else { ("trace_buffer", "ring_buffer") };
    k.structure("tracer", 64, &[("name", 0, "*char")]);
    k.structure(whole, 64, &[("buffers", 16, "**ring_buffer_per_cpu")]);
    if is_new {
        k.member(whole, ("subbuf_order", 32, "u32"));
    } else {
        k.member(whole, ("cpus", 4, "s32"));
        // perf's
        k.structure("perf_buffer", 16, &[("user_page", 8, "*void")]);
    }
    k.structure(array, 32, &[("buffer", 8, "*void")]);
    let members = [
        ("list", 0, "list_head"),
        ("name", 16, "*char"),
        (array, 24, array),
        ("current_trace", 56, "*tracer"),
        ("clock_id", 64, "s32"),
    ];
    k.structure("trace_array", 128, &members);
    let per_cpu = [
        ("cpu", 0, "s32"),
        ("nr_pages", 8, "u64"),
        ("pages", 16, "*list_head"),
        ("head_page", 24, "*buffer_page"),
        ("commit_page", 32, "*buffer_page"),
        ("reader_page", 40, "*buffer_page"),
        ("overrun", 48, "u64"),
        ("entries", 56, "u64"),
    ];
    k.structure("ring_buffer_per_cpu", 64, &per_cpu);
    k.structure("buffer_page", 64, &[("list", 0, "list_head"), ("read", 24, "u32"), ("page", 40, "*void")]);
    k.structure(
        "buffer_data_page",
        16,
        &[("time_stamp", 0, "u64"), ("commit", 8, "u64"), ("data", 16, "u8[0]")],
    );
    k.structure("trace_event", 32, &[("type", 8, "s32")]);
    k.structure(
        class,
        64,
        &[("system", 0, "*char"), ("get_fields", 8, "*void"), ("fields", 16, "list_head")],
    );
    let event = [
        ("list", 0, "list_head"),
        ("class", 16, "*void"),
        ("event", 32, "trace_event"),
        ("print_fmt", 72, "*char"),
        ("flags", 80, "u32"),
    ];
    k.structure(call, 128, &event);
    if is_new {
        k.member(call, ("tp", 24, "*tracepoint"));
        k.structure("tracepoint", 32, &[("name", 0, "*char")]);
        k.enumeration("trace_flags", &[("TRACE_EVENT_FL_TRACEPOINT", 16), ("TRACE_EVENT_FL_CUSTOM", 64)]);
    } else {
        k.member(call, ("name", 24, "*char"));
    }
    let field = [
        ("link", 0, "list_head"),
        ("name", 16, "*char"),
        ("type", 24, "*char"),
        ("offset", 32, "s32"),
        ("size", 36, "s32"),
        ("is_signed", 40, "s32"),
    ];
    k.structure("ftrace_event_field", 64, &field);
}

/// A list of fields; the last one stands first.
fn fields(k: &mut Kernel, head: u64, all: &[(&str, &str, u64, u64, u64)]) {
    let mut made = Vec::new();
    for (name, kind, offset, size, signed) in all {
        let at = k.object("ftrace_event_field");
        let (name, kind) = (k.text(name), k.text(kind));
        k.word(at + 16, name).word(at + 24, kind).half(at + 32, *offset as u32).half(at + 36, *size as u32);
        k.half(at + 40, *signed as u32);
        made.push(at);
    }
    made.reverse();
    k.link(head, &made);
}

fn event(k: &mut Kernel, is_new: bool, number: u32, name: &str, format: &str) -> u64 {
    let (call, class) = if is_new {
        ("trace_event_call", "trace_event_class")
    } else {
        ("ftrace_event_call", "ftrace_event_class")
    };
    let (at, own) = (k.object(call), k.object(class));
    let (system, name, format) = (k.text("made"), k.text(name), k.text(format));
    k.word(own, system).word(at + 16, own).word(at + 72, format).half(at + 40, number);
    if is_new {
        let point = k.object("tracepoint");
        k.word(point, name).word(at + 24, point).half(at + 80, 16);
    } else {
        k.word(at + 24, name);
    }
    fields(k, own + 16, &[("prev", "char[8]", 8, 8, 0), ("state", "long", 16, 8, 1)]);
    at
}

/// Records of 24 bytes: the kind, flags, preemption, pid; then a name and a number.
fn records(k: &mut Kernel, page: u64, time: u64, all: &[(u32, u16, u8, u32, u64)]) -> u64 {
    let mut bytes = Vec::new();
    for (delta, number, flags, pid, state) in all {
        bytes.extend((6 | delta << 5).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend([*flags, 1]);
        bytes.extend(pid.to_le_bytes());
        bytes.extend(b"made\0\0\0\0");
        bytes.extend(state.to_le_bytes());
    }
    k.word(page, time).word(page + 8, bytes.len() as u64).put(page + 16, &bytes);
    bytes.len() as u64
}

fn traced(is_new: bool) -> Traced {
    let mut k = Kernel::new();
    k.old_tasks(3);
    structs(&mut k, is_new);
    let size = if is_new { 8192 } else { 4096 };
    let (global, arrays) = (k.variable("global_trace", 128), k.variable("ftrace_trace_arrays", 16));
    k.link(arrays, &[global]);
    let (buffer, array, per_cpu) = (k.memory(64), k.memory(4096), k.object("ring_buffer_per_cpu"));
    let (tracer, name) = (k.object("tracer"), k.text("nop"));
    k.word(tracer, name).word(global + 32, buffer).word(global + 56, tracer);
    if !is_new {
        k.half(buffer + 4, 1);
    }
    k.word(buffer + 16, array).word(array, per_cpu);
    if is_new {
        k.half(buffer + 32, 1);
    }
    let pages = [(); 4].map(|()| k.object("buffer_page"));
    let data = [(); 4].map(|()| k.memory(size));
    for (page, data) in pages.into_iter().zip(data) {
        k.word(page + 40, data);
    }
    let [reader, first, second, third] = pages;
    // the pointer to the head says so
    k.word(first, second).word(second, third).word(third, first | 1);
    k.word(per_cpu + 8, 3).word(per_cpu + 16, second).word(per_cpu + 24, first).word(per_cpu + 32, second);
    k.word(per_cpu + 40, reader).word(per_cpu + 48, 7).word(per_cpu + 56, 4);
    records(&mut k, data[0], 1_000_000_000, &[(1000, 5, 1, 1, 0), (5000, 5, 0, 2, 2)]);
    records(&mut k, data[1], 2_000_000_000, &[(0, 6, 4, 3, 1)]);
    records(&mut k, data[2], 3_000_000_000, &[(0, 5, 9, 1, 0x42), (1500, 9, 0, 0, 0)]);
    // what was overwritten is behind the commit
    records(&mut k, data[3], 500_000_000, &[(0, 5, 0, 77, 0)]);
    // the first record of all was read
    k.half(reader + 24, 28);
    let one = event(
        &mut k,
        is_new,
        5,
        "one",
        "\"prev=%s state=%s\", REC->prev, __print_flags(REC->state, \"|\", { 2, \"D\" })",
    );
    let two = event(&mut k, is_new, 6, "two", "\"%d\", unknown(REC->state)");
    let (head, common) = (k.variable("ftrace_events", 16), k.variable("ftrace_common_fields", 16));
    k.link(head, &[one, two]);
    let parts = [
        ("common_type", "unsigned short", 0, 2, 0),
        ("common_flags", "unsigned char", 2, 1, 0),
        ("common_preempt_count", "unsigned char", 3, 1, 0),
        ("common_pid", "int", 4, 4, 1),
    ];
    fields(&mut k, common, &parts);
    Traced { k, pages, data, per_cpu, size }
}

const SHOWN: [&str; 4] = [
    "            made-2       [000] ...1.      1.000006: one: prev=made state=D",
    "            made-3       [000] .n.1.      2.000000: two: prev=\"made\" state=1",
    "            made-1       [000] d.h1.      3.000000: one: prev=made state=D|0x40",
    "          <idle>-0       [000] ...1.      3.000002: <?>",
];

#[test]
fn records_of_all_ages_are_shown_in_their_order() {
    for is_new in [false, true] {
        let Traced { k, .. } = traced(is_new);
        let text = ask(&k, "trace show");
        assert_eq!(text.lines().take(4).collect::<Vec<_>>(), SHOWN, "{is_new}: {text}");
        assert!(text.contains("made:two is shown by its fields: its format has unknown()"), "{text}");
        assert!(text.contains("7 older events were overwritten"), "{text}");
        assert_eq!(ask(&k, "trace report"), text);
        let text = ask(&k, "trace");
        assert!(text.starts_with("INSTANCE: (top)  TRACER: nop  CLOCK: local  TRACE_ARRAY: "), "{text}");
        assert!(text.contains("    0           4           7      3\n"), "{text}");
    }
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_shown() {
    let lost = |change: &dyn Fn(&mut Traced)| {
        let mut made = traced(true);
        change(&mut made);
        let report = answer(&made.k, "trace show").unwrap();
        assert!(report.is_incomplete(), "{report:?}");
        ask(&made.k, "trace show")
    };
    // a sub-buffer is lost
    let text = lost(&|t| _ = t.k.exclude(t.data[1] & !4095));
    assert!(text.contains(SHOWN[0]) && text.contains(SHOWN[2]) && !text.contains(SHOWN[1]), "{text}");
    assert!(text.contains("the ring buffers are not whole"), "{text}");
    // the ring runs in a circle without its first page; the commit is nowhere; more is written than there is room
    let text = lost(&|t| _ = t.k.word(t.pages[3], t.pages[3]));
    assert!(text.contains(SHOWN[0]) && text.contains("its ring goes on behind 3 pages"), "{text}");
    let text = lost(&|t| _ = t.k.word(t.per_cpu + 32, t.pages[1] + 8));
    assert!(text.contains("that was written last is not in its ring"), "{text}");
    let text = lost(&|t| _ = t.k.word(t.data[2] + 8, t.size));
    assert!(text.contains("bytes are written of 8192") && text.contains(SHOWN[1]), "{text}");
    // a record that is none
    let text = lost(&|t| _ = t.k.half(t.data[1] + 16, 0));
    assert!(text.contains("CPU 0: at byte 0 of its events no event begins"), "{text}");
    let mut made = traced(true);
    made.k.without_btf();
    assert!(try_ask(&made.k, "trace show").unwrap_err().contains("trace"));
    let made = traced(true);
    assert!(try_ask(&made.k, "trace show -i none").unwrap_err().contains("there is no instance \"none\""));
    assert!(try_ask(&made.k, "trace show -t").unwrap_err().contains("-t, -m and -s are of dump"));
    assert!(try_ask(&made.k, "trace nothing").unwrap_err().contains("there are show, report and dump"));
    assert!(try_ask(&made.k, "trace show --snapshot").unwrap_err().contains("it has no snapshot"));
}

#[test]
fn the_file_has_formats_names_and_sub_buffers() {
    let made = traced(true);
    let folder = std::env::temp_dir().join(format!("crashlens-trace-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("trace.dat");
    let text = ask(&made.k, &format!("trace dump -t {}", path.display()));
    assert!(text.starts_with("3 sub-buffers of 8192 bytes written to "), "{text}");
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"\x17\x08\x44tracing6\0\0\x08\x00\x20\0\0header_page\0"));
    let text = String::from_utf8_lossy(&bytes);
    for part in [
        "name: one\nID: 5\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n",
        "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\tfield:char prev[8];\toffset:8;\tsize:8;\tsigned:0;\n",
        "\nprint fmt: \"%d\", unknown(REC->state)\n",
        "\n2 made\n",
        "[local]\0",
        "flyrecord\0",
    ] {
        assert!(text.contains(part), "{part}");
    }
    // the first sub-buffer begins at its second record, at the time of the one that was read
    assert_eq!(bytes.len() as u64 % made.size, 0);
    let first = &bytes[bytes.len() - 3 * 8192..];
    let word = |at: usize| u64::from_le_bytes(first[at..at + 8].try_into().unwrap());
    assert_eq!(
        (word(0), word(8), word(8192), word(16384)),
        (1_000_001_000, 28, 2_000_000_000, 3_000_000_000)
    );
    // the folder
    let line = format!("trace dump -ms {}", folder.join("d").display());
    ask(&made.k, &line);
    let raw = std::fs::read(folder.join("d/per_cpu/cpu0/trace_pipe_raw")).unwrap();
    assert_eq!(raw, first);
    assert!(folder.join("d/events/made/one/format").exists() && folder.join("d/kallsyms").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}
