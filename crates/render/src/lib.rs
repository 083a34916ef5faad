//! Reports as text, JSON and HTML. Only here (and in the front ends) do reports become bytes.

mod html;
mod json;
mod page;
mod text;

pub use html::{class, html_body, html_foot, html_head, html_piece};
pub use json::{SCHEMA, Source, json, json_error};
pub use page::Page;
pub use report::{Clean, Keep};
pub use text::{Colour, text};

#[cfg(test)]
mod tests;
