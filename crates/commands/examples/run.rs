//! Developer's way to run commands on a dump: files as arguments, one command a line on standard input.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
use base::Cancel;
use commands::{Cx, Settings};
use kernel::{Layers, OpenOptions};
use report::{Item, Record, Report};
use std::ops::ControlFlow;

fn show(record: &Record) {
    for item in &record.items {
        match item {
            Item::Line(line) => println!("{line}"),
            Item::Blank => println!(),
            Item::Record(_, r) => show(r),
            Item::List(list) => list.items.iter().for_each(show),
            Item::Note(n) => println!("{}", n.text),
            Item::Hidden(..) => {}
        }
    }
}

fn main() {
    let files = std::env::args().skip(1).map(Into::into).collect();
    let mut options = OpenOptions::default();
    options.files = files;
    options.no_search = true;
    let layers = Layers::open(options).unwrap();
    let mut settings = Settings::default();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        println!("@@@ {line}");
        let cancel = Cancel::new();
        let mut sink = |part: &Report| {
            show(&part.body);
            ControlFlow::Continue(())
        };
        let mut cx = Cx::new(Some(&layers), &mut settings, &cancel, &mut sink);
        match commands::run(&mut cx, &commands::split_words(&line)) {
            Ok(report) => show(&report.body),
            Err(e) => println!("{e}"),
        }
    }
}
