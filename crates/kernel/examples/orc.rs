//! Developer's look: the ORC entry at symbol+offset.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
use base::VirtAddr;
use kernel::{OpenOptions, Session};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut options = OpenOptions::default();
    options.files = vec![a[1].clone().into()];
    options.no_search = true;
    let s = Session::open(&options).unwrap();
    for x in &a[2..] {
        let at = VirtAddr(u64::from_str_radix(x, 16).unwrap());
        let l = s.locate(at).unwrap();
        println!("{} +{} {:?}", l.symbol.name, l.offset, s.kernel_orc().unwrap().find(s.mem(), at));
    }
}
