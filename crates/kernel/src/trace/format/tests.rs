use super::*;

struct Kernel;

impl Names for Kernel {
    fn symbol(&self, at: u64) -> Option<Symbol> {
        let module = (at >= 0x2000).then(|| "virtio".to_owned());
        (at >= 0x1000).then(|| Symbol { name: "schedule".into(), offset: at & 0xff, size: 0x80, module })
    }
    fn string(&self, at: u64) -> Option<String> {
        (at == 0x500).then(|| "rcu_preempt".to_owned())
    }
    fn constant(&self, name: &str) -> Option<i128> {
        (name == "ONE").then_some(1)
    }
}

fn field(name: &str, kind: &str, offset: usize, size: usize, is_signed: bool) -> Field {
    Field { name: name.into(), kind: kind.into(), offset, size, is_signed }
}

fn event(format: &str) -> Event {
    let fields = vec![
        field("comm", "char[8]", 8, 8, false),
        field("pid", "pid_t", 16, 4, true),
        field("state", "long", 24, 8, true),
        field("name", "__data_loc char[]", 32, 4, false),
        field("at", "void *", 40, 8, false),
        field("args", "u32[2]", 48, 8, false),
        field("small", "u8", 20, 1, false),
    ];
    Event { number: 1, system: "made".into(), name: "one".into(), format: format.into(), fields }
}

fn record() -> Vec<u8> {
    let mut data = vec![0; 64];
    data[8..12].copy_from_slice(b"init");
    data[16..20].copy_from_slice(&(-3_i32).to_le_bytes());
    data[20] = 0xfe;
    data[24..32].copy_from_slice(&0x42_u64.to_le_bytes());
    data[32..36].copy_from_slice(&(5 << 16 | 56_u32).to_le_bytes());
    data[40..48].copy_from_slice(&0x2010_u64.to_le_bytes());
    data[48..52].copy_from_slice(&7_u32.to_le_bytes());
    data[52..56].copy_from_slice(&0x0a00_0001_u32.to_be_bytes());
    data[56..61].copy_from_slice(b"vda1\0");
    data
}

fn shown(format: &str) -> Result<String, String> {
    let event = event(format);
    Format::of(&event, &[]).text(&record(), &Kernel).map_err(|lack| match lack {
        Lack::Unknown(why) | Lack::Lost(why) => why,
    })
}

#[test]
fn formats_print_as_the_kernel_prints_them() {
    for (format, wanted) in [
        (r#""comm=%s pid=%d", REC->comm, REC->pid"#, "comm=init pid=-3"),
        (
            r#""%x %lx %5u|%-5d|%05d %c %%" "more", REC->pid, REC->pid, 7, 7, 7, 'x'"#,
            "fffffffd fffffffffffffffd     7|7    |00007 x %more",
        ),
        (r#""%s %u", __get_str(name), __get_dynamic_array_len(name)"#, "vda1 5"),
        (
            r#""%s", REC->state & (0x01 | 0x02) ? __print_flags(REC->state & 0xff, "|", { 0x01, "S" }, { 0x02, "D" }) : "R""#,
            "D|0x40",
        ),
        (r#""%s", __print_symbolic(REC->pid, { -3, "minus" }, { 0, "none" })"#, "minus"),
        (r#""%s", __print_symbolic(REC->state, { 1, "one" })"#, "0x42"),
        (r#""%ps %pS", (void *)REC->at, (void *)REC->at"#, "schedule [virtio] schedule+0x10/0x80 [virtio]"),
        (
            r#""%p %#x %d,%d", REC->at, ((unsigned int) ((REC->state) >> 1)), (int)(REC->state & ((1U << 5) - 1)), !REC->pid"#,
            "0000000000002010 0x21 2,0",
        ),
        (r#""%u %s", REC->args[0], __print_hex(REC->args, 2)"#, "7 07 00"),
        (r#""%s", __print_array(REC->args, 2, 4)"#, "{0x7,0x100000a}"),
        (r#""%s %d", (const char *)0x500, ONE + 2 * 3"#, "rcu_preempt 7"),
        (r#""%d %u %hhu", (s8)REC->small, REC->small, 0x1ff"#, "-2 254 255"),
        (r#""%.2s|%*d|%lld", REC->comm, 4, 1, -5"#, "in|   1|-5"),
    ] {
        assert_eq!(shown(format).as_deref(), Ok(wanted), "{format}");
    }
}

#[test]
fn what_is_not_understood_is_an_error() {
    for (format, why) in [
        (r#""%d", jiffies_to_msecs(REC->pid)"#, "jiffies_to_msecs()"),
        (r#""%d", REC->nothing"#, "the field nothing"),
        (r#""%d %d", 1"#, "too few arguments"),
        (r#""%pU", REC->args"#, "a text in place of a number"),
        (r#""%d", TWO"#, "the name TWO"),
        (r#""%d", 1 / 0"#, "a division by zero"),
        (r#""%s", (char *)0x501"#, "the string at 0x501 is not in the dump"),
        (r#""%d", REC->pid REC->pid"#, "Name(\"REC\")"),
        (r#"no format"#, "what comes before the format"),
        (r#""no end"#, "a string without an end"),
    ] {
        let found = shown(format);
        assert_eq!(found.as_ref().err().map(String::as_str), Some(why), "{format}: {found:?}");
    }
    let deep = format!("\"%d\", {}1", "(".repeat(10_000));
    assert_eq!(shown(&deep).unwrap_err(), "an expression that is too deep");
    let event = event("?");
    let all = Format::of(&event, &[]).fields(&record(), &Kernel);
    assert_eq!(all, r#"comm="init" pid=-3 state=66 name="vda1" at=8208 args=070000000a000001 small=254"#);
    assert!(Format::of(&event, &[]).fields(&record()[..30], &Kernel).contains("state=? name=?"));
}

/// A format of a damaged dump is as long as it likes.
#[test]
fn a_format_without_end_takes_no_more_than_its_length() {
    let sum = format!("\"%d\", {}1", "1+".repeat(100_000));
    assert_eq!(shown(&sum).unwrap(), "100001");
    let choices = format!("\"%d\", {}1{}", "(".repeat(60), " ?: 1)".repeat(60));
    assert_eq!(shown(&choices).unwrap(), "1");
    let indices = format!("\"%d\", REC->args{}", "[0]".repeat(100_000));
    assert!(shown(&indices).is_err());
    assert!(shown(&format!("\"%d\", {}1", "(".repeat(100_000))).is_err());
    assert!(shown(&format!("\"%d\", {}1", "-".repeat(100_000))).is_err());
}
