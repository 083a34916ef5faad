//! The C of an event's `print_fmt`: a format, and expressions over the record.

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Number(i128),
    Text(String),
    /// `REC->name`
    Field(String),
    /// A name that stands for a number.
    Name(String),
    Unary(char, Box<Expr>),
    Binary(Box<Expr>, Vec<(&'static str, Expr)>),
    Choice(Box<Expr>, Option<Box<Expr>>, Box<Expr>),
    /// Bytes of the type, and whether it has a sign; none for a pointer.
    Cast(Option<(u32, bool)>, Box<Expr>),
    Call(String, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    /// `{ 1, "one" }`
    List(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Number(i128),
    Text(String),
    Name(String),
    Sign(&'static str),
}

/// What is in the way of understanding a format.
pub(super) type Unknown = String;

/// Signs, the longer ones first.
const SIGNS: [&str; 33] = [
    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!",
    "<", ">", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".", ";", "=",
];
/// Binary operators by how strongly they bind, the weakest first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];
/// How deep expressions may be in one another.
const MAX_DEPTH: u32 = 200;

fn tokens(text: &str) -> Result<Vec<Token>, Unknown> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len;
        if first == '"' {
            let (text, used) = string(rest)?;
            // strings that follow one another are one
            match out.last_mut() {
                Some(Token::Text(last)) => last.push_str(&text),
                _ => out.push(Token::Text(text)),
            }
            len = used;
        } else if first == '\'' {
            let mut inner = rest.chars().skip(1);
            let (Some(c), Some('\'')) = (inner.next(), inner.next()) else {
                return Err("a character".to_owned());
            };
            out.push(Token::Number(u32::from(c).into()));
            len = 2 + c.len_utf8();
        } else if first.is_ascii_digit() {
            len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let word = rest.get(..len).unwrap_or_default();
            let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
            let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => i128::from_str_radix(hex, 16),
                None if digits.len() > 1 && digits.starts_with('0') => i128::from_str_radix(digits, 8),
                None => digits.parse(),
            };
            out.push(Token::Number(number.map_err(|_| format!("the number {word}"))?));
        } else if first.is_ascii_alphabetic() || first == '_' {
            len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push(Token::Name(rest.get(..len).unwrap_or_default().to_owned()));
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("the sign {first}"))?;
            out.push(Token::Sign(sign));
            len = sign.len();
        }
        rest = rest.get(len..).unwrap_or_default().trim_start();
    }
    Ok(out)
}

/// A string in quotes at the beginning of a text, and how much of the text it is.
fn string(text: &str) -> Result<(String, usize), Unknown> {
    let mut out = String::new();
    let mut all = text.char_indices().skip(1);
    while let Some((at, c)) = all.next() {
        match c {
            '"' => return Ok((out, at + 1)),
            '\\' => match all.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a string without an end".to_owned())
}

/// The format and its arguments.
pub(super) fn parse(text: &str) -> Result<(String, Vec<Expr>), Unknown> {
    let tokens = tokens(text)?;
    let mut p = Parser { tokens: &tokens, at: 0, depth: 0 };
    let Some(Token::Text(format)) = p.next() else { return Err("what comes before the format".to_owned()) };
    let mut arguments = Vec::new();
    while p.take(",") {
        arguments.push(p.choice()?);
    }
    match p.tokens.get(p.at) {
        None => Ok((format, arguments)),
        Some(token) => Err(format!("{token:?}")),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }
    fn take(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(is_it);
        is_it
    }
    fn want(&mut self, sign: &str) -> Result<(), Unknown> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(format!("{:?} in place of {sign}", self.peek())),
        }
    }

    fn choice(&mut self) -> Result<Expr, Unknown> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("an expression that is too deep".to_owned());
        }
        let which = self.binary(0)?;
        let out = if self.take("?") {
            // gcc's a ?: b
            let yes = match self.peek() {
                Some(Token::Sign(":")) => None,
                _ => Some(Box::new(self.choice()?)),
            };
            self.want(":")?;
            let no = self.choice()?;
            Expr::Choice(Box::new(which), yes, Box::new(no))
        } else {
            which
        };
        self.depth -= 1;
        Ok(out)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Unknown> {
        let Some(own) = LEVELS.get(level) else { return self.unary() };
        let left = self.binary(level + 1)?;
        let mut rest = Vec::new();
        while let Some(sign) =
            own.iter().find(|sign| matches!(self.peek(), Some(Token::Sign(own)) if own == *sign))
        {
            self.at += 1;
            rest.push((*sign, self.binary(level + 1)?));
        }
        Ok(if rest.is_empty() { left } else { Expr::Binary(Box::new(left), rest) })
    }

    fn unary(&mut self) -> Result<Expr, Unknown> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("an expression that is too deep".to_owned());
        }
        let out = self.unary_within();
        self.depth -= 1;
        out
    }

    fn unary_within(&mut self) -> Result<Expr, Unknown> {
        for (sign, operator) in [("-", '-'), ("~", '~'), ("!", '!'), ("+", '+')] {
            if self.take(sign) {
                return Ok(Expr::Unary(operator, Box::new(self.unary()?)));
            }
        }
        if let Some(ty) = self.cast() {
            return Ok(Expr::Cast(ty, Box::new(self.unary()?)));
        }
        let mut out = self.primary()?;
        // only a field has elements, and those have none
        if self.take("[") {
            let index = self.choice()?;
            self.want("]")?;
            out = Expr::Index(Box::new(out), Box::new(index));
        }
        Ok(out)
    }

    /// A type in parentheses, where one comes next.
    fn cast(&mut self) -> Option<Option<(u32, bool)>> {
        let before = self.at;
        let mut words = Vec::new();
        let mut stars = 0;
        if self.take("(") {
            while let Some(Token::Name(word)) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
            while self.take("*") {
                stars += 1;
            }
            if self.take(")") && is_type(&words) {
                return Some(if stars > 0 { None } else { Some(width(&words)) });
            }
        }
        self.at = before;
        None
    }

    fn primary(&mut self) -> Result<Expr, Unknown> {
        match self.next() {
            Some(Token::Number(n)) => Ok(Expr::Number(n)),
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Sign("(")) => {
                let out = self.choice()?;
                self.want(")")?;
                Ok(out)
            }
            Some(Token::Sign("{")) => Ok(Expr::List(self.list("}")?)),
            Some(Token::Name(name)) if name == "REC" => {
                self.want("->")?;
                match self.next() {
                    Some(Token::Name(field)) => Ok(Expr::Field(field)),
                    other => Err(format!("{other:?} in place of a field")),
                }
            }
            Some(Token::Name(name)) if self.take("(") => Ok(Expr::Call(name, self.list(")")?)),
            Some(Token::Name(name)) => Ok(Expr::Name(name)),
            other => Err(format!("{other:?} in place of a value")),
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, Unknown> {
        let mut out = Vec::new();
        while !self.take(end) {
            out.push(self.choice()?);
            if !self.take(",") {
                self.want(end)?;
                break;
            }
        }
        Ok(out)
    }
}

fn is_type(words: &[String]) -> bool {
    const WORDS: [&str; 13] = [
        "unsigned", "signed", "int", "long", "short", "char", "void", "struct", "union", "enum", "const",
        "bool", "_Bool",
    ];
    const SIZED: [&str; 4] = ["8", "16", "32", "64"];
    words.iter().any(|word| {
        let bare = word.trim_start_matches("__").trim_end_matches("_t");
        let number = bare
            .strip_prefix(['u', 's'])
            .or_else(|| bare.strip_prefix("uint"))
            .or_else(|| bare.strip_prefix("int"));
        WORDS.contains(&word.as_str()) || word.ends_with("_t") || number.is_some_and(|n| SIZED.contains(&n))
    })
}

/// Bytes of a type, and whether it has a sign.
fn width(words: &[String]) -> (u32, bool) {
    let has = |word: &str| words.iter().any(|own| own == word);
    let number = words.iter().find_map(|word| {
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok().filter(|n| matches!(n, 8 | 16 | 32 | 64))
    });
    let bytes = match number {
        Some(bits) => bits / 8,
        None if has("char") || has("bool") || has("_Bool") => 1,
        None if has("short") => 2,
        None if has("long")
            || words.iter().any(|word| word.ends_with("_t") && word != "pid_t" && word != "dev_t") =>
        {
            8
        }
        None => 4,
    };
    let is_unsigned = |word: &String| {
        let bare = word.trim_start_matches("__");
        bare == "unsigned"
            || bare.starts_with('u')
            || matches!(bare, "size_t" | "bool" | "_Bool" | "dev_t" | "sector_t" | "gfp_t")
    };
    (bytes, !words.iter().any(is_unsigned))
}
