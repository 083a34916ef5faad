use super::*;
use crate::parse::{Parsed, parse_or_type};
use debuginfo::types::Space;

fn is_type(name: &str) -> bool {
    matches!(name, "u8" | "u32" | "size_t")
}

fn parsed(text: &str) -> Expr {
    match parse_or_type(text, &is_type).unwrap_or_else(|e| panic!("{text}: {e}")) {
        Parsed::Expr(e) => e,
        Parsed::Type(_) => panic!("{text} is a type"),
    }
}

/// The same tree as a text without places: what was parsed twice is compared by this.
fn shape(e: &Expr) -> String {
    let text = format!("{e:?}");
    let mut parts = text.split("Span {");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('}').map_or("", |(_, rest)| rest))
}

#[test]
fn parentheses_stand_where_c_and_readers_need_them() {
    for same in [
        "a + b + c",
        "a - (b - c)",
        "(a + b) * c",
        "(a & b) == c",
        "a & (b + 1)",
        "a & 1 << n",
        "(a && b) || c",
        "a && (b || c)",
        "!(a & 0x10)",
        "*p + 1",
        "(*p)->next",
        "*p->next",
        "&a[i].b",
        "((struct page *)p)->flags",
        "(struct page *)p->flags",
        "(u8)(a + b)",
        "-(-a)",
        "&(&a)",
        "- (a, b)",
        "f((a, b), c ? d : e)",
        "(a ? b : c) ? d : e",
        "a ? b : c ? d : e",
        "sizeof(struct page) * 2",
        "sizeof(a + b)",
        "'foo.isra.0'(1)",
        "mod::name + 1",
        "$rdi + $1 - $$2",
        "container_of(p, struct page, lru)",
        "(int (*)(const char *, ...))p",
        "(struct page *(*)[4])p",
        "(const volatile u32 *const)p",
        "(u32 **[3])p",
        "1UL + 0x80000000 + 4294967296 + 1U",
        "p@4",
        "\"a\\\"b\\n\\0017\" == '\\'' - 1.5f",
    ] {
        let printed = parsed(same).to_string();
        assert_eq!(shape(&parsed(&printed)), shape(&parsed(same)), "{same}: {printed}");
    }
    for (text, want) in [
        ("((a)+(b))-(c)", "a + b - c"),
        ("a && b || c", "(a && b) || c"),
        ("a+1&b", "(a + 1) & b"),
        ("(a<b)==c", "(a < b) == c"),
        ("a|b&c", "a | (b & c)"),
        ("*(p)->q", "*p->q"),
        ("(int(*)(void))p", "(int (*)())p"),
        ("- -a", "-(-a)"),
        ("0X1F+017", "0x1f + 15"),
    ] {
        assert_eq!(parsed(text).to_string(), want);
    }
}

#[test]
fn a_reader_sees_registers_and_names_as_assembler_has_them() {
    let e = parsed("'foo.isra.0'($rdi)->x");
    assert_eq!(e.to_string(), "'foo.isra.0'($rdi)->x");
    assert_eq!(e.for_reader().to_string(), "foo.isra.0(%rdi)->x");
}

/// Trees of every kind of node, drawn by a fixed sequence.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn expr(&mut self, depth: usize) -> Expr {
        let kinds = if depth == 0 { 5 } else { 14 };
        let ops = [
            BinOp::Comma,
            BinOp::LogOr,
            BinOp::LogAnd,
            BinOp::BitOr,
            BinOp::BitXor,
            BinOp::BitAnd,
            BinOp::Eq,
            BinOp::Ne,
            BinOp::Lt,
            BinOp::Ge,
            BinOp::Shl,
            BinOp::Shr,
            BinOp::At,
            BinOp::Add,
            BinOp::Sub,
            BinOp::Mul,
            BinOp::Rem,
        ];
        let prefix = [UnOp::Neg, UnOp::Plus, UnOp::Not, UnOp::BitNot, UnOp::Deref, UnOp::AddrOf];
        let ty = TypeName::named(Space::Struct, "page").pointer();
        match self.below(kinds) {
            0 => Expr::ident("a"),
            1 => Expr::int(self.below(1 << 20).cast_signed()),
            2 => Expr::hex(self.below(1 << 30) << 10),
            3 => Expr::register("rdi"),
            4 => Expr::new(ExprKind::Str(b"x\"\n1".as_slice().into())),
            5 | 6 => {
                let op = ops[self.below(ops.len() as u64) as usize];
                Expr::binary(op, self.expr(depth - 1), self.expr(depth - 1))
            }
            7 | 8 => {
                let op = prefix[self.below(prefix.len() as u64) as usize];
                Expr::unary(op, self.expr(depth - 1))
            }
            9 => self.expr(depth - 1).cast(ty),
            10 => self.expr(depth - 1).member("m"),
            11 => self.expr(depth - 1).arrow("n"),
            12 => self.expr(depth - 1).index(self.expr(depth - 1)),
            _ => Expr::new(ExprKind::Ternary(
                self.expr(depth - 1).into(),
                self.expr(depth - 1).into(),
                self.expr(depth - 1).into(),
            )),
        }
    }
}

#[test]
fn what_is_printed_parses_to_the_same_tree() {
    let mut draw = Draw(1);
    for _ in 0..20_000 {
        let e = draw.expr(4);
        let text = e.to_string();
        assert_eq!(shape(&parsed(&text)), shape(&e), "{text}");
    }
}

#[test]
fn an_address_that_is_followed_is_its_object() {
    let x = || Expr::ident("x");
    assert_eq!(x().address().arrow("m").to_string(), "x.m");
    assert_eq!(x().address().pointed().to_string(), "x");
    assert_eq!(x().pointed().address().to_string(), "x");
    assert_eq!(x().arrow("m").address().arrow("n").to_string(), "x->m.n");
    let sum = Expr::binary(BinOp::Add, x(), Expr::hex(0x50));
    assert_eq!(sum.pointed().to_string(), "*(x + 0x50)");
    let path = crate::MemberPath::parse("split.vring[2].num").unwrap();
    assert_eq!(x().path(&path, true).to_string(), "x->split.vring[2].num");
    assert!(Expr::register("rdi").arrow("x").names_register() && !x().names_register());
}
