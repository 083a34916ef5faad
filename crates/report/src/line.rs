//! One line of a report: text that is layout only, and fields that are data as well.

use crate::{Cell, Clean, Keep, Role};
use std::borrow::Cow;

/// The name of a value in JSON: lower case, words joined by `_`.
pub type Key = Cow<'static, str>;

/// How a field fills its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Align {
    /// Blanks after it.
    #[default]
    Left,
    /// Blanks before it.
    Right,
    /// Blanks around it, the odd one after.
    Center,
    /// Zeros before it.
    Zeros,
}

/// A value in its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Its name in JSON; empty for a value that is shown only in text.
    pub key: Key,
    /// The value.
    pub cell: Cell,
    /// Where it stands in its width.
    pub align: Align,
    /// Columns at least; a longer text is not cut.
    pub width: u16,
    /// What it is, where that is not what its cell says.
    pub role: Option<Role>,
    /// Which layout characters of its text are its own.
    pub keep: Keep,
}

/// A piece of a line.
#[derive(Clone, PartialEq, Debug)]
pub enum Span {
    /// Layout; not in JSON.
    Text(Cow<'static, str>, Role),
    /// A value.
    Field(Field),
}

impl Span {
    /// The role that the span is coloured by.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Span::Text(_, role) => *role,
            Span::Field(field) => field.role.unwrap_or_else(|| field.cell.role()),
        }
    }

    /// The number of blanks before, the text, the number of blanks after.
    #[must_use]
    pub fn parts(&self) -> (usize, Clean<'_>, usize) {
        let field = match self {
            Span::Text(text, _) => return (0, Clean::keep(text.as_ref(), Keep::Tabs), 0),
            Span::Field(field) => field,
        };
        let text: Cow<'_, str> = match &field.cell {
            Cell::Str(s) => Cow::Borrowed(s),
            Cell::Shown(_, s) => Cow::Borrowed(s),
            cell => Cow::Owned(cell.to_string()),
        };
        let text = Clean::keep(text, field.keep);
        let room = match field.width {
            0 => 0,
            width => usize::from(width).saturating_sub(text.width()),
        };
        match field.align {
            Align::Left => (0, text, room),
            Align::Right => (room, text, 0),
            Align::Center => (room / 2, text, room - room / 2),
            // what is missing is no number
            Align::Zeros if field.cell.role() == Role::Absent => (room, text, 0),
            // zeros belong to the number, so that they are coloured with it
            Align::Zeros => (0, text.after_zeros(room), 0),
        }
    }
}

/// One line, built left to right.
///
/// ```
/// # use report::{Cell, Line};
/// let line = Line::new().text("PID: ").field("pid", 12).left(6).text("TASK: ").field("task", Cell::Addr(0xffff8880));
/// assert_eq!(line.to_string(), "PID: 12    TASK: ffff8880");
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Line(pub Vec<Span>);

impl Line {
    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    /// A line of layout only: not in JSON.
    #[must_use]
    pub fn of(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new().text(text)
    }
    /// A line of column heads: not in JSON.
    #[must_use]
    pub fn heading(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new().styled(text, Role::Heading)
    }
    /// Appends layout.
    #[must_use]
    pub fn text(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.styled(text, Role::Plain)
    }
    /// Appends layout with a role.
    #[must_use]
    pub fn styled(mut self, text: impl Into<Cow<'static, str>>, role: Role) -> Self {
        self.0.push(Span::Text(text.into(), role));
        self
    }
    /// Appends a value under a name.
    #[must_use]
    pub fn field(mut self, key: impl Into<Key>, cell: impl Into<Cell>) -> Self {
        self.0.push(Span::Field(Field {
            key: key.into(),
            cell: cell.into(),
            align: Align::Left,
            width: 0,
            role: None,
            keep: Keep::Nothing,
        }));
        self
    }
    /// Appends a value that JSON leaves out, since another field says it.
    #[must_use]
    pub fn cell(self, cell: impl Into<Cell>) -> Self {
        self.field("", cell)
    }
    /// The last field takes `width` columns, blanks after it.
    #[must_use]
    pub fn left(self, width: usize) -> Self {
        self.place(Align::Left, width)
    }
    /// The last field takes `width` columns, blanks before it.
    #[must_use]
    pub fn right(self, width: usize) -> Self {
        self.place(Align::Right, width)
    }
    /// The last field takes `width` columns, blanks around it.
    #[must_use]
    pub fn center(self, width: usize) -> Self {
        self.place(Align::Center, width)
    }
    /// The last field takes `width` columns, zeros before it.
    #[must_use]
    pub fn zeros(self, width: usize) -> Self {
        self.place(Align::Zeros, width)
    }
    /// Says what the last field is.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        match self.0.last_mut() {
            Some(Span::Field(field)) => field.role = Some(role),
            Some(Span::Text(_, old)) => *old = role,
            None => {}
        }
        self
    }
    /// Says which layout characters the last field's text has of its own.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        if let Some(Span::Field(field)) = self.0.last_mut() {
            field.keep = keep;
        }
        self
    }
    fn place(mut self, align: Align, width: usize) -> Self {
        if let Some(Span::Field(field)) = self.0.last_mut() {
            field.align = align;
            field.width = u16::try_from(width).unwrap_or(u16::MAX);
        }
        self
    }
    /// Its fields.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().filter_map(|span| match span {
            Span::Field(field) => Some(field),
            Span::Text(..) => None,
        })
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for span in &self.0 {
            let (before, text, after) = span.parts();
            write!(f, "{:before$}{text}{:after$}", "", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fill_their_width_and_are_never_cut() {
        let line = |f: fn(Line, usize) -> Line, w| f(Line::new().field("n", 42), w).to_string();
        assert_eq!(line(Line::left, 5), "42   ");
        assert_eq!(line(Line::right, 5), "   42");
        assert_eq!(line(Line::center, 5), " 42  ");
        assert_eq!(line(Line::zeros, 5), "00042");
        assert_eq!(line(Line::right, 1), "42");
        let missing = Line::new().field("n", Cell::absent("?", "it is not in the dump")).zeros(5);
        assert_eq!(missing.to_string(), "  <?>");
    }

    #[test]
    fn symbols_read_as_crash_writes_them() {
        let mut sym = crate::SymbolRef { name: "schedule".into(), offset: 43, ..Default::default() };
        assert_eq!(sym.to_string(), "schedule+43");
        sym.hex = true;
        sym.size = Some(0x80);
        sym.module = Some("ext4".into());
        assert_eq!(sym.to_string(), "schedule+0x2b/0x80 [ext4]");
        assert_eq!(Cell::symbol("schedule", 0).to_string(), "schedule");
    }

    #[test]
    fn what_is_missing_says_why() {
        let missing = base::Missing::new(base::PhysAddr(0x1000), base::Gap::Excluded);
        let cell = Cell::of(Err::<u32, _>(missing));
        assert_eq!(cell.to_string(), "<page excluded>");
        assert_eq!(cell.role(), Role::Absent);
    }
}
