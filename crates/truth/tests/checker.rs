//! The values of the verdicts of the zoo and the sample, checked by what shares no code with `verdict`: `p` in the frame
//! that each value names, and the registers in the guest's own oops.

use std::path::PathBuf;

use crashlens_truth::State;
use crashlens_truth::checker::{Checked, check};
use crashlens_truth::zoo::{verdict, zoo};

#[test]
fn the_values_of_the_zoo_are_what_p_and_the_guests_say() {
    let mut all = Checked::default();
    for case in zoo().unwrap() {
        let console = std::fs::read_to_string(case.dir.join("console.log")).ok();
        // `p` is given the debug files whatever the verdict had: a dump alone has no variables
        let files = case.files(State::Modules);
        for state in State::ALL {
            let said = verdict(&case.files(state)).unwrap();
            all.add(&format!("{} {state:?}", case.name), check(&said, &files, console.as_deref()).unwrap());
        }
    }
    if all.right == 0 {
        eprintln!("no zoo: nothing was checked; `cargo xtask corpus --zoo` builds it");
        return;
    }
    println!("{} values confirmed, {} wrong, unchecked:", all.right, all.wrong.len());
    all.unchecked.iter().for_each(|why| println!("  {why}"));
    assert!(all.wrong.is_empty(), "wrong values:\n{}", all.wrong.join("\n"));
    assert!(all.is_good(), "more than one of ten is unchecked:\n{}", all.unchecked.join("\n"));
}

#[test]
fn the_values_of_the_sample_are_what_p_says() {
    let files = [PathBuf::from("samples/virtio-bug.kdump")];
    let said = verdict(&files).unwrap();
    let found = check(&said, &files, None).unwrap();
    println!("{} confirmed, unchecked: {:?}", found.right, found.unchecked);
    assert!(found.wrong.is_empty(), "wrong values:\n{}", found.wrong.join("\n"));
}
