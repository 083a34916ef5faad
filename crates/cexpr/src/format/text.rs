//! The layout of a tree: gdb's "pretty" braces, two spaces a level.

use super::ValueTree;
use debuginfo::types::CompoundKind;

/// What kind of node it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A scalar, string or mark: its text says all.
    Leaf,
    /// A struct or union.
    Compound(CompoundKind),
    /// An array that is no string.
    Array,
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

impl ValueTree {
    /// The text of the value.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_text_at(0, None)
    }

    /// The text of a value whose line is indented by `indent` spaces; equal elements in a row are
    /// counted beyond `repeats`.
    #[must_use]
    pub fn to_text_at(&self, indent: usize, repeats: Option<usize>) -> String {
        let mut out = String::new();
        self.write(&mut out, indent, repeats);
        out
    }

    fn write(&self, out: &mut String, indent: usize, repeats: Option<usize>) {
        match self.shape {
            Shape::Leaf => out.push_str(&self.text),
            Shape::Compound(_) if self.children.is_empty() => {
                out.push_str(if self.cut { "{...}" } else { "{<No data fields>}" });
            }
            Shape::Compound(_) => {
                out.push('{');
                for (i, child) in self.children.iter().enumerate() {
                    out.push_str(if i > 0 { ",\n" } else { "\n" });
                    out.extend(std::iter::repeat_n(' ', indent + 2));
                    if let Some(name) = &child.name {
                        out.push_str(name);
                        out.push_str(" = ");
                    }
                    child.write(out, indent + 2, repeats);
                }
                if self.cut {
                    out.push_str("...");
                }
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                out.push('}');
            }
            Shape::Array => {
                out.push('{');
                self.elements(out, indent + 2, repeats);
                if self.cut {
                    out.push_str("...");
                }
                if self.lines {
                    new_line(out, indent);
                }
                out.push('}');
            }
        }
    }

    fn elements(&self, out: &mut String, indent: usize, repeats: Option<usize>) {
        let mut rest = self.children.as_slice();
        let mut first = true;
        while let [head, tail @ ..] = rest {
            let same = 1 + tail.iter().take_while(|c| c.same(head)).count();
            // what memory lacks is always counted: there is nothing to see in it
            let counted = (head.absent.is_some() && same > 1) || repeats.is_some_and(|max| same > max);
            match (first, self.lines) {
                (false, true) => out.push(','),
                (false, false) => out.push_str(", "),
                (true, _) => {}
            }
            if self.lines {
                new_line(out, indent);
            }
            first = false;
            head.write(out, indent, repeats);
            let taken = if counted {
                out.push_str(&format!(" <repeats {same} times>"));
                same
            } else {
                1
            };
            rest = rest.get(taken..).unwrap_or(&[]);
        }
    }

    /// Equal as shown.
    fn same(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.text == other.text
            && self.children.len() == other.children.len()
            && self.children.iter().zip(&other.children).all(|(a, b)| a.same(b))
    }

    /// The leaf or object at the end of a path of names; anonymous members are looked through.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ValueTree> {
        self.children.iter().find_map(|c| match &c.name {
            Some(n) => (**n == *name).then_some(c),
            None => c.find(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debuginfo::types::TypeRef;

    fn tree(shape: Shape, text: &str, children: Vec<ValueTree>, lines: bool) -> ValueTree {
        ValueTree {
            name: None,
            ty: TypeRef::VOID,
            shape,
            text: text.into(),
            children,
            absent: None,
            number: None,
            address: None,
            cut: false,
            lines,
        }
    }

    #[test]
    fn arrays_may_have_an_element_a_line() {
        let numbers = |lines| {
            let leaves = ["164", "34"].map(|text| tree(Shape::Leaf, text, Vec::new(), false));
            tree(Shape::Array, "", leaves.into(), lines)
        };
        assert_eq!(numbers(false).to_text(), "{164, 34}");
        assert_eq!(numbers(true).to_text(), "{\n  164,\n  34\n}");
        let nested = tree(Shape::Array, "", vec![numbers(true)], true);
        assert_eq!(nested.to_text_at(2, None), "{\n    {\n      164,\n      34\n    }\n  }");
    }
}
