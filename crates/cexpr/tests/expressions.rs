//! Expressions against gdb's answers on the same types and memory (`lab/make.sh`), and those where
//! gdb has no answer or not C's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use cexpr::{FormatOptions, Letter, eval, format_value};
use common::Lab;

/// The usual options, changed.
fn options(change: impl FnOnce(&mut FormatOptions)) -> FormatOptions {
    let mut options = FormatOptions::default();
    change(&mut options);
    options
}

/// What `p` prints, without the `$1 = `.
fn p(lab: &Lab, text: &str) -> String {
    let (letter, expr) = match text.strip_prefix('/') {
        Some(rest) => (Letter::from_char(rest.chars().next().unwrap()), rest[1..].trim()),
        None => (None, text),
    };
    match eval(lab, expr) {
        Ok(value) => {
            let options = options(|o| (o.letter, o.alone) = (letter, true));
            format_value(lab, &value, &options).to_text()
        }
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn gdb_gives_the_same_answers() {
    let lab = Lab::new();
    let mut wrong = String::new();
    let mut count = 0;
    for block in include_str!("lab/gdb.txt").split("\n\n").filter(|b| !b.trim().is_empty()) {
        let (expr, want) = block.trim_start_matches('\n').split_once('\n').unwrap();
        let got = p(&lab, expr);
        count += 1;
        if got != want {
            wrong.push_str(&format!("{expr}\n  want {want}\n  got  {got}\n"));
        }
    }
    assert!(count >= 300, "{count}");
    assert!(wrong.is_empty(), "{wrong}");
}

/// Each pair is an expression and what `p` prints.
fn check(lab: &Lab, pairs: &[(&str, &str)]) {
    for (expr, want) in pairs {
        assert_eq!(p(lab, expr), *want, "{expr}");
    }
}

#[test]
fn where_gdb_has_no_answer_c_has_one() {
    let lab = Lab::new();
    check(
        &lab,
        &[
            ("2[table]", "30"),
            // bit-fields narrower than int are promoted to int (C17 6.3.1.1)
            ("-queue.lo", "-5"),
            ("~queue.mid", "-2749"),
            ("1<<32", "0"),
            ("(-1)>>40", "-1"),
            ("(unsigned __int128)-1 == (unsigned __int128)-1", "1"),
            ("-9223372036854775807-1", "-9223372036854775808"),
            ("(-9223372036854775807-1)/-1", "-9223372036854775808"),
            ("qp & ~0xfffull", "18446744071595622400"),
            ("(struct vvq *)&queue.vq == qp", "1"),
            ("\"ab\" \"cd\"", "\"abcd\""),
            ("\"abc\"[1]", "98 'b'"),
            ("sizeof \"abc\"", "4"),
            ("'no.such'", "error: no symbol \"no.such\""),
            ("(typeof(counter))3.7", "3"),
            ("(typeof(struct vvq) *)0", "(struct vvq *) 0x0"),
            ("sizeof(typeof(queue.comm))", "16"),
            ("(int (*)[2])0", "(int (*)[2]) 0x0"),
            ("(const char *)0", "0x0"),
            ("(long unsigned int)1", "1"),
            ("sizeof(long long int unsigned)", "8"),
            ("NULL", "(void *) 0x0"),
            ("PAGE_SIZE", "4096"),
            ("true", "true"),
        ],
    );
}

#[test]
fn the_kernels_macros_are_functions() {
    let lab = Lab::new();
    check(
        &lab,
        &[
            (
                "container_of(&queue.vq.num_free, struct vvq, vq.num_free)",
                "(struct vvq *) 0xffffffff820000a0 <queue>",
            ),
            ("container_of(head.next, struct virtqueue, list)->index", "3"),
            ("list_entry(head.next, struct vvq, vq.list)->split.num", "64"),
            (
                "list_first_entry(&head, struct virtqueue, list)",
                "(struct virtqueue *) 0xffffffff820000a0 <queue>",
            ),
            ("offsetof(struct vvq, split.desc)", "64"),
            ("offsetof(struct vvq, pids[2])", "92"),
            ("offsetof(struct vvq, b)", "64"),
            ("offsetof(vvq, comm)", "100"),
            ("sizeof_field(struct vvq, comm)", "16"),
            ("ARRAY_SIZE(queue.pids)", "4"),
            ("IS_ERR(err)", "1"),
            ("IS_ERR(qp)", "0"),
            ("IS_ERR_OR_NULL(0)", "1"),
            ("PTR_ERR(err)", "-22"),
            ("/x ERR_PTR(-1)", "0xffffffffffffffff"),
            ("BIT(5)", "32"),
            ("BIT(64)", "error: BIT: a bit from 0 to 63 is wanted"),
            ("/x GENMASK(7, 4)", "0xf0"),
            ("min(3, 5) + max(3, 5)", "8"),
            ("min(-1, 1u)", "1"),
            ("round_up(5, 4)", "8"),
            ("DIV_ROUND_UP(7, 2)", "4"),
            ("DIV_ROUND_UP(7, 0)", "error: division by zero"),
            ("ntohs(0x1234) == 0x3412", "1"),
            ("atomic_read(&queue.refs)", "3"),
            ("test_bit(8, &queue.flags)", "1"),
            ("READ_ONCE(counter)", "-7"),
            ("add(1, 2)", "error: add: a function of a dumped kernel cannot be called"),
            ("nothing(1)", "error: nothing: no function or macro of this name is known"),
            ("BIT()", "error: BIT: no function or macro of this name is known"),
            ("offsetof(struct vvq)", "error: offsetof: takes 2 arguments, got 1"),
        ],
    );
}

#[test]
fn per_cpu_variables_want_a_cpu() {
    let mut lab = Lab::new();
    lab.per_cpu.push("words".into());
    lab.per_cpu.push("jiff".into());
    check(
        &lab,
        &[
            ("jiff", "<'jiff' is a per-CPU variable; choose a CPU with per_cpu(jiff, CPU)>"),
            ("jiff + 1", "error: 'jiff' is a per-CPU variable; choose a CPU with per_cpu(jiff, CPU)"),
            ("per_cpu(jiff, 0)", "4294893917"),
            ("(long)per_cpu(jiff, 1)", "-5"),
            ("per_cpu(jiff, 9)", "error: per_cpu: CPU 9 is not possible"),
            ("&jiff", "(unsigned long *) 0xffffffff82000018 <jiff>"),
            ("*per_cpu_ptr(&jiff, 1)", "18446744073709551611"),
            ("this_cpu_read(jiff)", "error: this_cpu_read: no CPU is chosen; use per_cpu or per_cpu_ptr"),
        ],
    );
}

#[test]
fn registers_locals_and_history() {
    let mut lab = Lab::new();
    let value = eval(&lab, "qp->split").unwrap();
    lab.history = vec![eval(&lab, "41").unwrap(), value];
    let local = eval(&lab, "table[3]").unwrap();
    lab.locals.insert("counter".into(), local);
    check(
        &lab,
        &[
            ("$rdx", "129"),
            ("/x $rdi", "0xffffffff820000a0"),
            ("((struct vvq *)$rdi)->split.num < $rdx", "1"),
            (
                "*(struct vring *)((char *)$rdi + 56)",
                "{\n  num = 64,\n  desc = 0xffffffff82000008 <descs>\n}",
            ),
            ("$r11", "<not recovered>"),
            ("$r11 + 1", "error: not recovered"),
            ("$nosuch", "error: no register $nosuch"),
            ("$1 + 1", "42"),
            ("$.num", "64"),
            ("$$ * 2", "82"),
            ("$$1", "41"),
            ("$9", "error: history has no value $9"),
            ("counter", "40"), // the local hides the variable
        ],
    );
}

#[test]
fn symbols_without_a_type() {
    let mut lab = Lab::new();
    for name in ["counter", "add", "jiff"] {
        lab.var_types.remove(name);
    }
    lab.symbols.push(("jiffies".into(), 0xffff_ffff_8200_0018, 0, false));
    check(
        &lab,
        &[
            (
                "counter + 1",
                "error: 'counter' has unknown type; cast it to its declared type, as in *(int *)&counter",
            ),
            ("&counter", "(<data variable, no debug info> *) 0xffffffff82000010 <counter>"),
            ("*(int *)&counter", "-7"),
            ("(int)counter", "-7"),
            (
                "sizeof(counter)",
                "error: 'counter' has unknown type; cast it to its declared type, as in *(int *)&counter",
            ),
            ("add", "{<text variable, no debug info>} 0xffffffff81000000 <add>"),
            ("&add", "(<text variable, no debug info> *) 0xffffffff81000000 <add>"),
            ("(long)add", "-2130706432"),
            // the kernel declares it: no debug information is needed
            ("jiffies", "4294893917"),
        ],
    );
}

#[test]
fn what_memory_lacks_is_marked() {
    let mut lab = Lab::new();
    // the page ends within queue, at pids
    lab.memory.excluded.push((0xffff_ffff_8200_00f4, 0xffff_ffff_8200_0130));
    let text = p(&lab, "queue");
    assert!(text.contains("  split = {") || text.contains("    split = {\n      num = 64"), "{text}");
    assert!(text.contains("  pids = {<page excluded> <repeats 4 times>},"), "{text}");
    assert!(text.contains("  comm = <page excluded>,"), "{text}");
    assert!(text.contains("  d = -0.25,"), "{text}");
    check(
        &lab,
        &[
            ("queue.pids[0]", "<page excluded>"),
            (
                "queue.pids[0] + 1",
                "error: address 0xffffffff820000f4: physical address 0x5000: page excluded by the dump filter",
            ),
            ("&queue.pids[0]", "(pid_t *) 0xffffffff820000f4 <queue+84>"),
            ("*(int *)8", "<not mapped>"),
            ("(char *)8", "0x8 <not mapped>"),
            (
                "((struct vvq *)8)->vq.list.next->prev",
                "error: address 0x8: not mapped (PTE entry not present)",
            ),
        ],
    );
}

#[test]
fn errors_say_where_and_what_was_meant() {
    let lab = Lab::new();
    for (expr, start, end, message) in [
        ("countr", 0, 6, "no symbol \"countr\"; did you mean counter?"),
        ("1 + qp->vq.nme", 11, 14, "struct virtqueue has no member named \"nme\"; did you mean name?"),
        ("(struct virtqueu *)0", 1, 16, "no type named \"struct virtqueu\"; did you mean virtqueue?"),
        ("1/0", 0, 3, "division by zero"),
        ("counter % (1-1)", 0, 15, "division by zero"),
        ("counter.x", 0, 7, ".x cannot be applied to int"),
        ("*counter", 0, 8, "unary * cannot be applied to int"),
        ("&5", 1, 2, "int is not in memory, it has no address"),
        ("&queue.lo", 1, 9, "unary & (a bit-field) cannot be applied to u32"),
        ("queue + 1", 0, 5, "arithmetic cannot be applied to struct vvq"),
        ("counter = 5", 8, 9, "a dump cannot be written to: '=' is not allowed"),
        ("counter++", 7, 9, "a dump cannot be written to: '++' is not allowed"),
        ("(1 + 2", 6, 6, "expected ')', found the end"),
        ("1 2", 2, 3, "expected an operator or the end, found a number"),
        ("table[", 6, 6, "expected an expression, found the end"),
        ("queue.", 6, 6, "expected the name of a member, found the end"),
        ("1.5 % 2", 0, 7, "% cannot be applied to double"),
        ("queue.pids@0", 11, 12, "@: 0 elements; a count from 1 to 16777216 is wanted"),
        ("*queue.opaque.x", 1, 15, "struct opaque (only declared) has no size"),
        ("sizeof( countr )", 8, 14, "no symbol \"countr\"; did you mean counter?"),
        ("1 + (( $nosuch ))", 7, 14, "no register $nosuch"),
        ("((char *)(($r11)))[3]", 11, 15, "not recovered"),
        ("container_of($r11, struct vvq, vq)", 13, 17, "not recovered"),
        ("((struct vvq *)$r11)->num", 15, 19, "not recovered"),
        ("&((struct vvq *)$r11)->vq.list", 16, 20, "not recovered"),
        ("((char *)($rdx + $r11))[3]", 17, 21, "not recovered"),
        ("*(int *)8 + 1", 0, 9, "address 0x8: not mapped (PTE entry not present)"),
    ] {
        let e = eval(&lab, expr).unwrap_err();
        assert_eq!((e.span.start, e.span.end), (start, end), "{expr}: {e}");
        assert_eq!(e.to_string(), message, "{expr}");
    }
}

#[test]
fn radix_repeats_and_limits() {
    let lab = Lab::new();
    let show = |expr: &str, options: &FormatOptions| {
        let tree = format_value(&lab, &eval(&lab, expr).unwrap(), options);
        tree.to_text_at(0, options.repeats)
    };
    let hex = options(|o| o.radix = cexpr::Radix::Hex);
    assert_eq!(show("queue.comm", &hex), "\"swapper/0\\000\\000\\000\\000\\000\\000\"");
    assert_eq!(show("queue.pids", &hex), "{0x1, 0x2, 0x3, 0x4}");
    assert_eq!(show("queue.weak", &hex), "0x1");
    assert_eq!(show("queue.tag", &hex), "0x41");
    assert_eq!(show("queue.mode", &hex), "(MODE_R | MODE_W)");
    assert_eq!(show("queue.priv", &hex), "0xffffffff82000010 <counter>");
    let few = options(|o| o.print_max = 3);
    assert_eq!(show("table", &few), "{10, 20, 30...}");
    assert_eq!(show("queue.comm", &few), "\"swa\"...");
    assert_eq!(show("cp", &few), "0xffffffff82000000 <req0> \"req\"...");
    let counted = options(|o| o.repeats = Some(3));
    assert_eq!(show("queue.comm", &counted), "\"swapper/0\", '\\000' <repeats 6 times>");
    let stop = options(|o| o.null_stop = true);
    assert_eq!(show("queue.comm", &stop), "\"swapper/0\"");
    let bare = options(|o| o.symbols = false);
    assert_eq!(show("queue.priv", &bare), "0xffffffff82000010");
}

#[test]
fn a_definition_is_preferred_to_an_extern_declaration() {
    let mut lab = Lab::new();
    lab.var_types.remove("table");
    lab.variable("table", lab.array("int", None));
    assert_eq!(p(&lab, "table"), "0xffffffff82000040 <table>");
    lab.variable("table", lab.array("int", Some(5)));
    assert_eq!(p(&lab, "table"), "{10, 20, 30, 40, 50}");
}
